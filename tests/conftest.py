"""Fixtures that several areas share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    # A developer's AUTOFLOW_... variables or keys must not decide whether tests pass.
    for name in list(os.environ):
        if name.startswith("AUTOFLOW_") and name not in {"AUTOFLOW_CACHE", "AUTOFLOW_DATA"}:
            monkeypatch.delenv(name)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
