"""The cache of expert outputs: a file each, under the hash of expert and operands, for all runs of one user.

Pictures are kept as PNG, without loss; texts as UTF-8. The folder may be deleted at any time.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from autoflow.core.json import digest

from .expert import Value


def value_digest(value: Value) -> str:
    """SHA-256 of a picture's shape and pixels, or of a text."""
    if isinstance(value, str):
        return hashlib.sha256(b"text\0" + value.encode("utf-8", "surrogatepass")).hexdigest()
    head = f"picture {'x'.join(map(str, value.shape))}\0".encode()
    return hashlib.sha256(head + np.ascontiguousarray(value).tobytes()).hexdigest()


def output_key(version: str, operands: tuple[Value, ...]) -> str:
    """Under which an expert's output on these operands is kept."""
    return digest([version, [value_digest(value) for value in operands]])


class OutputCache:
    """Safe among concurrent processes: a file appears whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str, kind: str) -> Value | None:
        """The output kept under `key`, of type "image" or "text"; `None` if there is none that can be read."""
        from PIL import Image

        path = self._path(key, kind)
        try:
            if kind == "text":
                return path.read_bytes().decode("utf-8", "surrogatepass")
            with Image.open(path) as picture:
                return np.asarray(picture.convert("RGB"))
        except (OSError, ValueError):
            # Absent, or damaged by a full disk: the expert makes it again.
            return None

    def put(self, key: str, value: Value) -> None:
        """Keep an output. A cache that cannot be written is no cache, and no fault."""
        path = self._path(key, "text" if isinstance(value, str) else "image")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, suffix=".new")
            with os.fdopen(handle, "wb") as file:
                self._write(file, value)
            Path(name).replace(path)
        except OSError:
            return

    @staticmethod
    def _write(file: Any, value: Value) -> None:
        from PIL import Image

        if isinstance(value, str):
            file.write(value.encode("utf-8", "surrogatepass"))
        else:
            Image.fromarray(value).save(file, "PNG", compress_level=1)

    def _path(self, key: str, kind: str) -> Path:
        return self._folder / key[:2] / f"{key[2:]}.{'txt' if kind == 'text' else 'png'}"
