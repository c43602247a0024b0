"""What trained weights say of themselves: base, data, configuration, metrics, versions. A file beside them."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from autoflow import __version__
from autoflow.core.json import Json
from autoflow.training.base import place_of

FILE = "provenance.json"

_LIBRARIES = ("torch", "transformers", "trl", "peft")
_BLOCK = 1 << 20


def write(
    folder: Path,
    *,
    config: Mapping[str, Json],
    data: Mapping[str, str],
    metrics: Mapping[str, Json],
    steps: int,
    samples: int,
    model: Any,
) -> None:
    """Write `provenance.json` into `folder`.

    Args:
        data: What was learned from, by name, with its hash.
        model: The trained model, for the revision of its base.
    """
    base = place_of(str(config["model"]))
    text = json.dumps(
        {
            "autoflow": __version__,
            "base": {"name": config["model"], **_identity(Path(base).expanduser(), model)},
            "adapter": _adapter(config.get("adapter")),
            "data": dict(data),
            "config": dict(config),
            "metrics": dict(metrics),
            "steps": steps,
            "samples": samples,
            "libraries": {name: version(name) for name in _LIBRARIES},
            "hardware": _hardware(),
        },
        indent=2,
    )
    (folder / FILE).write_text(f"{text}\n", encoding="utf-8")


def weights_hash(folder: Path) -> str | None:
    """SHA-256 over the weight files of a folder, in the order of their names; `None` where there are none."""
    files = sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")])
    if not files:
        return None
    found = hashlib.sha256()
    for file in files:
        found.update(f"{file.name}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                found.update(block)
    return found.hexdigest()


def _identity(folder: Path, model: Any) -> dict[str, str | None]:
    if folder.is_dir():
        return {"sha256": weights_hash(folder)}
    return {"revision": getattr(model.config, "_commit_hash", None)}


def _adapter(name: Json) -> dict[str, str | None] | None:
    if not isinstance(name, str):
        return None
    folder = Path(name).expanduser()
    return {"name": name, "sha256": weights_hash(folder) if folder.is_dir() else None}


def _hardware() -> str:
    import torch

    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name(0))
    return f"CPU, {platform.machine()}, {torch.get_num_threads()} threads"
