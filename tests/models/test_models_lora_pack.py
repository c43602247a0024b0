"""A packed adapter is the same adapter at half the size, and names no path."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoflow.errors import DataError, UsageError
from autoflow.models import lora, lora_pack


def _write(folder: Path, values: dict[str, Any], **provenance: Any) -> Path:
    folder.mkdir()
    header: dict[str, Any] = {}
    at = 0
    for name, found in values.items():
        header[name] = {"dtype": "F32", "shape": list(found.shape), "data_offsets": [at, at + found.nbytes]}
        at += found.nbytes
    text = json.dumps(header).encode()
    data = struct.pack("<Q", len(text)) + text + b"".join(found.tobytes() for found in values.values())
    (folder / lora.WEIGHTS).write_bytes(data)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": "/some/where"}
    (folder / lora.CONFIG).write_text(json.dumps(config))
    if provenance:
        (folder / lora_pack.PROVENANCE).write_text(json.dumps(provenance))
    return folder


def _halves(scale: float = 1.0) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    place = "base_model.model.model.layers.0.mlp.up_proj"
    return {
        f"{place}.lora_A.weight": (scale * rng.normal(size=(2, 6))).astype("<f4"),
        f"{place}.lora_B.weight": rng.normal(size=(8, 2)).astype("<f4"),
    }


def test_a_packed_adapter_adds_what_the_adapter_adds(tmp_path: Path) -> None:
    source = _write(tmp_path / "source", _halves(), base={"name": "smollm2-135m"})
    size = lora_pack.pack(source, tmp_path / "packed")
    name = lora.gguf_name("model.layers.0.mlp.up_proj")
    before, after = lora.load(source), lora.load(tmp_path / "packed")
    assert np.allclose(before.delta(name), after.delta(name), rtol=2e-3, atol=2e-3)
    assert before.base == "/some/where"
    assert after.base == "smollm2-135m"
    assert size == (tmp_path / "packed" / lora.WEIGHTS).stat().st_size
    assert size - 2 * (2 * 6 + 8 * 2) < 400  # the header
    assert (tmp_path / "packed" / lora_pack.PROVENANCE).read_bytes() == (source / lora_pack.PROVENANCE).read_bytes()


def test_what_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    source = _write(tmp_path / "source", _halves(scale=1e6))
    with pytest.raises(DataError, match="float16"), pytest.warns(RuntimeWarning, match="overflow"):
        lora_pack.pack(source, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    source = _write(tmp_path / "source", _halves())
    with pytest.raises(UsageError, match="not empty"):
        lora_pack.pack(source, source)
