"""A LoRA adapter as PEFT saves it, merged into a GGUF file without torch: W + (alpha / r) B A (arXiv:2106.09685, §4.1).

Also whole checkpoints, where all weights were trained. Only models of the llama architecture.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoflow.errors import DataError, UsageError
from autoflow.models import gguf_files
from autoflow.models.gguf_files import Precision

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_PLAIN = {"use_dora": False, "fan_in_fan_out": False, "bias": "none", "modules_to_save": None}
_PATTERNS = ("rank_pattern", "alpha_pattern", "layers_pattern", "megatron_config", "layer_replication")

_PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
_WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_LAYER = re.compile(r"model\.layers\.(\d+)\.(.+)")
_HALF = re.compile(r"base_model\.model\.(.+)\.lora_([AB])\.weight")


@dataclass(frozen=True, slots=True)
class Adapter:
    """What an adapter adds to each matrix."""

    base: str
    """The model that it was trained on, as its configuration names it."""

    scale: float
    """alpha / r; with rank-stabilised scaling alpha / sqrt(r)."""

    halves: Mapping[str, tuple[Any, Any]]
    """GGUF name of the matrix -> A (r, in) and B (out, r), float32."""

    def delta(self, name: str) -> Any:
        """What is added to the matrix of that GGUF name, (out, in) in the layout of transformers; `None`: nothing."""
        if name not in self.halves:
            return None
        a, b = self.halves[name]
        return self.scale * (b @ a)


def load(folder: Path) -> Adapter:
    """Read the adapter's folder.

    Raises:
        DataError: If it is none, or of a kind that is more than W + scale B A.
    """
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} is no adapter: {CONFIG} cannot be read: {error}") from error
    unusual = [key for key, plain in _PLAIN.items() if config.get(key, plain) != plain]
    unusual += [key for key in _PATTERNS if config.get(key)]
    if config.get("peft_type") != "LORA" or unusual:
        raise DataError(f"{file}: only plain LoRA can be merged; this has {', '.join(unusual) or 'another peft_type'}")
    halves: dict[str, dict[str, Any]] = {}
    for name, values in tensors(folder / WEIGHTS):
        match = _HALF.fullmatch(name)
        if match is None:
            raise DataError(f"{folder / WEIGHTS}: {name} is no half of a LoRA matrix")
        halves.setdefault(gguf_name(match[1]), {})[match[2]] = values
    rank = int(config["r"])
    scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    lacking = [name for name, both in halves.items() if set(both) != {"A", "B"}]
    if lacking or not halves:
        raise DataError(f"{folder / WEIGHTS}: {lacking[0] if lacking else 'every matrix'} lacks a half")
    both = {name: (found["A"], found["B"]) for name, found in halves.items()}
    return Adapter(str(config.get("base_model_name_or_path") or ""), scale, both)


def gguf_name(module: str) -> str:
    """What a GGUF file calls the weight of a module of transformers' Llama.

    Raises:
        DataError: If it has no such weight.
    """
    match = _LAYER.fullmatch(module)
    if match is not None and match[2] in _PARTS:
        return f"blk.{match[1]}.{_PARTS[match[2]]}.weight"
    if module in _WHOLE:
        return f"{_WHOLE[module]}.weight"
    raise DataError(f"{module} is no module of the llama architecture")


def export(source: Path, weights: Path, target: Path, *, precision: Precision = "Q8_0", new_file: bool = True) -> None:
    """Write the GGUF file `source` with trained weights to `target`.

    Args:
        source: The base that was trained, as GGUF.
        weights: Folder of an adapter, or of a whole checkpoint of that base.

    Raises:
        DataError: If the weights are not of this base, or cannot be read.
        UsageError: If `target` exists and `new_file` is set.
    """
    if new_file and target.exists():
        raise UsageError(f"{target} exists", hint="name another file")
    reader = gguf_files.read(source)
    shapes = {tensor.name: tuple(int(size) for size in reversed(tensor.shape)) for tensor in reader.tensors}
    heads = {
        "attn_q": gguf_files.number(reader, "llama.attention.head_count"),
        "attn_k": gguf_files.number(reader, "llama.attention.head_count_kv"),
    }
    new: Callable[[str, Any], Any]
    if (weights / CONFIG).is_file():
        adapter = load(weights)
        found = {name: (b.shape[0], a.shape[1]) for name, (a, b) in adapter.halves.items()}

        def new(name: str, before: Any) -> Any:
            delta = adapter.delta(name)
            return before if delta is None else before + _turned(delta, name, heads)
    else:
        whole = _checkpoint(weights)
        found = {name: tuple(values.shape) for name, values in whole.items()}

        def new(name: str, before: Any) -> Any:
            return _turned(whole[name], name, heads) if name in whole else before

    for name, shape in found.items():
        if shapes.get(name) != shape:
            there = f"is {shapes[name]} there" if name in shapes else "is not there"
            raise DataError(f"{weights} is not of the base {source.name}: {name} is {shape} and {there}")
    part = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        gguf_files.rewrite(source, part, new, precision)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _turned(values: Any, name: str, heads: Mapping[str, int]) -> Any:
    """Rows of queries and keys in llama.cpp's order: it rotates neighbours, transformers the two halves of a head."""
    kind = name.split(".")[-2]
    if kind not in heads:
        return values
    rows = values.shape[0] // heads[kind]
    return values.reshape(heads[kind], 2, rows // 2, -1).swapaxes(1, 2).reshape(values.shape)


def _checkpoint(folder: Path) -> dict[str, Any]:
    files = sorted(folder.glob("model*.safetensors"))
    if not files:
        raise DataError(f"{folder} is neither an adapter nor a checkpoint: no {CONFIG}, no model.safetensors")
    found = {}
    for file in files:
        for name, values in tensors(file):
            found[gguf_name(name.removesuffix(".weight"))] = values
    return found


def tensors(file: Path) -> Iterator[tuple[str, Any]]:
    """Name and values, in float32, of each tensor of a safetensors file.

    Raises:
        DataError: If it is none.
    """
    import numpy as np

    try:
        data = file.read_bytes()
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        for name, about in header.items():
            if name == "__metadata__":
                continue
            first, last = (8 + length + at for at in about["data_offsets"])
            if about["dtype"] == "BF16":
                # The upper half of a float32, which numpy has no name for.
                raw = np.frombuffer(data[first:last], "<u2").astype(np.uint32) << 16
                values = raw.view(np.float32)
            else:
                kind = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[about["dtype"]]
                values = np.frombuffer(data[first:last], kind).astype(np.float32)
            yield name, values.reshape(about["shape"])
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"{file}: cannot be read as safetensors: {type(error).__name__}: {error}") from error
