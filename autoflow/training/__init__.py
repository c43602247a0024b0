"""How a generator's weights are trained. The one place, besides the local model providers, that imports torch."""

import os

# Read when the hub's client is imported, so it must be set before: the trainers' constructors report to it otherwise.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
