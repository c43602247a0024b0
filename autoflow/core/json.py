"""JSON values and their one canonical text, which hashes and cache keys are made from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


def canonical(value: object) -> str:
    """Render with sorted keys and no spaces, so that equal values give equal text.

    Raises:
        ValueError: For NaN and infinities, which JSON cannot say.
        TypeError: For values that are not JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: object) -> str:
    """SHA-256 of the canonical text, as 64 hexadecimal characters."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()
