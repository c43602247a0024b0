"""What a benchmark says of itself to `autoflow doctor`: its options, and what it needs that is here or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.benchmarks import folder as folders
from autoflow.core.json import Json


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a benchmark needs, for one use of it or for all."""

    name: str
    present: bool
    detail: str
    """Size, licence, what its absence blocks."""

    remedy: str | None = None
    """What provides it; `None` where it is present."""


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found."""

    options: Mapping[str, Json]
    """Every option with the value it has."""

    findings: tuple[Finding, ...]


def examine(name_or_path: str, options: Mapping[str, Json]) -> Examination:
    """Ask a benchmark what it needs: its Python may have a function `doctor(options)` that returns `Finding`s. Nothing
    is loaded or fetched.

    Raises:
        UnknownNameError: For an unknown benchmark or option.
        DataError: If the definition or the code is at fault.
    """
    opened = folders.open_folder(name_or_path, options)
    found: Sequence[Finding] = opened.code.call("doctor", opened.options) if opened.code.has("doctor") else ()
    return Examination(opened.options, tuple(found))
