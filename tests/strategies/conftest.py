"""Puts the synthetic benchmark, which stands with the comparison that it is made for, in reach of the tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks" / "strategies"))
