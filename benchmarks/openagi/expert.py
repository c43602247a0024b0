"""An expert model that runs: what the files of a set declare, and what they are given to run with.

A set is a folder (`local`, `paper`) with one file an expert, found by its `EXPERT = ...`.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from autoflow.core.json import Json, digest
from autoflow.core.operator import Card
from autoflow.errors import SandboxError, UnknownNameError

from .modules import MODULES

SETS = ("local", "paper")

Picture: TypeAlias = NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""

Value: TypeAlias = Picture | str
Apply: TypeAlias = Callable[[Sequence[tuple[Any, ...]]], Sequence[Any]]
"""Operands of each sample (`Value`s, the lowest on the stack first) -> one `Value` a sample, in order. Raises
`OperatorError` for an input that the model cannot take."""


class ExpertFaultError(SandboxError):
    """An expert model broke through no fault of a plan (memory, device, damaged weights): never scored."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What must be there before an expert can load."""

    name: str
    """Repository on the hub, or file in the weights folder."""

    licence: str
    size_mb: int | None = None
    """Download size; `None` where it is not known."""

    revision: str | None = None
    """Commit on the hub, as far as it is known; `None` for a file, and where it is not."""

    source: str | None = None
    """Where a user gets a file; `None` for a repository on the hub."""

    main_file: str = "config.json"
    """Of a repository: without it the rest is not there either."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where experts run."""

    device: str = "cpu"
    """As torch names it."""

    dtype: str = "float32"
    weights: Path | None = None
    """Folder of the files that users download themselves."""

    revisions: Mapping[str, str] = field(default_factory=dict)
    """Hub repository -> commit, in place of the one in `Weights`."""

    shared: Callable[[str, Callable[[], Any]], Any] = field(default=lambda name, load: load())
    """Loads what several experts use (an encoder) once for all of them, under a name."""


@dataclass(frozen=True, slots=True)
class Expert:
    """One implementation of a module."""

    module: str
    """A key of `MODULES`, which has its types."""

    description: str
    """How it does it; one sentence."""

    packages: Mapping[str, str]
    """Import name -> the requirement that provides it."""

    load: Callable[[Site], Apply]
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Whatever its output depends on, besides code, packages and weights."""

    weights: tuple[Weights, ...] = ()
    file: str = ""
    """The file that declares it."""

    @property
    def card(self) -> Card:
        """What a reader and lint know of it."""
        module = MODULES[self.module]
        return Card(module.name, f"{module.description} {self.description}", module.inputs, module.output, kind="tool")

    def missing_packages(self) -> list[str]:
        """Requirements that are not installed."""
        return [wanted for name, wanted in self.packages.items() if importlib.util.find_spec(name) is None]

    def version(self, site: Site) -> str:
        """Hash of all that its output depends on: equal versions give equal outputs, on one kind of device."""
        return digest(
            {
                "module": self.module,
                "code": [path.read_text(encoding="utf-8") for path in _code(Path(self.file))],
                "settings": self.settings,
                "packages": {name: _installed(name) for name in self.packages},
                "weights": [[item.name, site.revisions.get(item.name, item.revision)] for item in self.weights],
                "device": [site.device.split(":")[0], site.dtype],
            }
        )


def _code(file: Path) -> list[Path]:
    """The expert's own file and what those of its folder share."""
    helpers = [path for path in sorted(file.parent.glob("*.py")) if not _is_expert(path)]
    return [file, *helpers]


def _is_expert(path: Path) -> bool:
    return "\nEXPERT" in path.read_text(encoding="utf-8")


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


def _installed(name: str) -> list[str]:
    return [f"{found}=={metadata.version(found)}" for found in sorted(set(_distributions().get(name, [])))]


@cache
def expert_set(name: str) -> Mapping[str, Expert]:
    """The experts of a set by module, in the order of `MODULES`.

    Raises:
        UnknownNameError: If there is no such set.
    """
    if name not in SETS:
        raise UnknownNameError("set of expert models", name, list(SETS))
    found: dict[str, Expert] = {}
    for path in sorted((Path(__file__).parent / name).glob("*.py")):
        if _is_expert(path):
            expert: Expert = importlib.import_module(f".{name}.{path.stem}", __package__).EXPERT
            assert expert.module in MODULES, path
            assert expert.module not in found, path
            found[expert.module] = expert
    return {module: found[module] for module in MODULES if module in found}
