"""Makes an adapter small and fit to be handed on: half precision, and the base by its name instead of a path."""

import json
import struct
from pathlib import Path
from typing import Any

from autoflow.errors import DataError, UsageError
from autoflow.models import lora

PROVENANCE = "provenance.json"


def pack(source: Path, target: Path) -> int:
    """Write the adapter of `source` to the folder `target`, which is new or empty, and return its weights' bytes.

    Weights become float16: its 11 significant bits are more than bfloat16's 8 and enough for what an adapter adds.

    Raises:
        DataError: If `source` is no adapter, or its values do not fit float16.
        UsageError: If there is something in `target`.
    """
    import numpy as np

    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there and not empty", hint="name another folder, or remove this one")
    lora.load(source)  # says what is wrong with it, if anything is
    values = {name: found.astype("<f2") for name, found in lora.tensors(source / lora.WEIGHTS)}
    if not all(np.isfinite(found).all() for found in values.values()):
        raise DataError(f"{source / lora.WEIGHTS}: has values that float16 cannot hold")
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, found in values.items():
        header[name] = {"dtype": "F16", "shape": list(found.shape), "data_offsets": [at, at + found.nbytes]}
        at += found.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = struct.pack("<Q", len(text)) + text + b"".join(found.tobytes() for found in values.values())
    config = json.loads((source / lora.CONFIG).read_text(encoding="utf-8"))
    told = source / PROVENANCE
    target.mkdir(parents=True, exist_ok=True)
    if told.is_file():
        config["base_model_name_or_path"] = json.loads(told.read_text(encoding="utf-8"))["base"]["name"]
        (target / PROVENANCE).write_bytes(told.read_bytes())
    (target / lora.CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    (target / lora.WEIGHTS).write_bytes(data)
    return len(data)
