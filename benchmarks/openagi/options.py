"""The options of this benchmark, read from what the command line or benchmark.yaml gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autoflow.core.json import Json
from autoflow.errors import DataError, UnknownNameError, UsageError

from .modules import MODULES
from .plan import token

INDEX_MODES = ("aligned", "paper-offset")
VIT_METRICS = ("cosine", "paper-distance")


@dataclass(frozen=True, slots=True)
class Options:
    """See benchmark.yaml for what each means to a user."""

    data: Path | None = None
    index_mode: str = "aligned"
    vit_metric: str = "cosine"
    limit_samples: int | None = None
    batch_size: int = 5
    device: str = "auto"
    dtype: str = "auto"
    weights: Path | None = None
    revisions: Mapping[str, str] = field(default_factory=dict)
    absent: frozenset[str] = frozenset()


def read(given: Mapping[str, Json]) -> Options:
    """The options, checked.

    Raises:
        UnknownNameError: For a mode or module that does not exist.
        UsageError: For a value of the wrong kind.
        DataError: If a folder is named that is not there.
    """
    return Options(
        data=_folder(given, "data"),
        index_mode=_one_of(given, "index_mode", INDEX_MODES),
        vit_metric=_one_of(given, "vit_metric", VIT_METRICS),
        limit_samples=None if given.get("limit_samples") is None else _count(given, "limit_samples", 1),
        batch_size=_count(given, "batch_size", 5),
        device=_text(given, "device"),
        dtype=_text(given, "dtype"),
        weights=_folder(given, "weights"),
        revisions=_revisions(given.get("revisions")),
        absent=_modules(given.get("absent")),
    )


def _folder(given: Mapping[str, Json], name: str) -> Path | None:
    value = given.get(name)
    if value is None:
        return None
    path = Path(str(value)).expanduser()
    if not path.is_dir():
        raise DataError(f"option {name} of openagi: there is no folder {path}")
    return path


def _one_of(given: Mapping[str, Json], name: str, known: Sequence[str]) -> str:
    value = str(given.get(name, known[0]))
    if value not in known:
        raise UnknownNameError(f"{name} of openagi", value, list(known))
    return value


def _count(given: Mapping[str, Json], name: str, default: int) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"option {name} of openagi is a whole number from 1, not {value!r}")
    return value


def _text(given: Mapping[str, Json], name: str) -> str:
    value = given.get(name, "auto")
    if not isinstance(value, str) or not value:
        raise UsageError(f"option {name} of openagi is a text, not {value!r}")
    return value


def _revisions(value: Json) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise UsageError(f"option revisions of openagi maps hub repositories to commits, not {value!r}")
    return {str(key): str(item) for key, item in value.items()}


def _modules(value: Json) -> frozenset[str]:
    names = [value] if isinstance(value, str) else value or []
    if not isinstance(names, Sequence):
        raise UsageError(f"option absent of openagi is a list of modules, not {value!r}")
    found = {str(name): token(str(name)) for name in names}
    for name, module in found.items():
        if not isinstance(module, str):
            raise UnknownNameError("module of openagi", name, list(MODULES))
    return frozenset(str(module) for module in found.values())
