"""Rewrites a GGUF file: other weights, another precision, everything else as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from autoflow.errors import MissingDependencyError

Precision = Literal["Q8_0", "F16", "F32"]
"""Q8_0 is half the size of F16 and reads prompts 1.6 times as fast; F32 is exactly what was trained."""

Change = Callable[[str, Any], Any]
"""A tensor's GGUF name and its values (float32, rows first) -> its new values; the same object: unchanged."""


def require() -> Any:
    """The package that reads and writes GGUF.

    Raises:
        MissingDependencyError: If it is not installed.
    """
    try:
        import gguf
    except ImportError as error:
        raise MissingDependencyError(
            "the package gguf, which converts the embedded model's weights, is not installed",
            hint="run: pip install 'autoflow[embedded]'",
        ) from error
    return gguf


def read(source: Path) -> Any:
    """The opened file: `.fields`, `.tensors`.

    Raises:
        MissingDependencyError: Without the package gguf.
    """
    return require().GGUFReader(source)


def number(reader: Any, key: str) -> int:
    """A whole number of the metadata.

    Raises:
        KeyError: If it is not there.
    """
    return int(reader.fields[key].contents())


def rewrite(source: Path, target: Path, change: Change | None = None, precision: Precision = "Q8_0") -> None:
    """Write `source` with its matrices in `precision` to `target`; metadata, tokenizer and vectors stay.

    A matrix that is unchanged and already of the precision is copied bit by bit.
    """
    gguf = require()
    import numpy as np

    kinds = gguf.GGMLQuantizationType
    wanted = kinds[precision]
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, "llama")
    replaced = {"general.architecture", "general.file_type", "general.quantization_version"}
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in replaced:
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType["ALL_F32" if precision == "F32" else f"MOSTLY_{precision}"])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    for tensor in reader.tensors:
        data: Any = np.array(tensor.data)
        kept = wanted if len(tensor.shape) > 1 else kinds.F32
        floats = None
        if change is not None or tensor.tensor_type != kept:
            before = gguf.quants.dequantize(data, tensor.tensor_type).astype(np.float32)
            floats = before if change is None else change(tensor.name, before)
            if floats is before and tensor.tensor_type == kept:
                floats = None
        if floats is not None:
            data = gguf.quants.quantize(np.ascontiguousarray(floats, dtype=np.float32), kept)
        writer.add_tensor(tensor.name, data, raw_dtype=kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
