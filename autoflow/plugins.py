"""Finds operators, strategies, providers, scorers and rewards: a file in the folder of its kind, or an entry point.

A module `autoflow/<kind>/in_context.py` is the plugin `in-context`; it is one where it binds `PLUGIN`, to what its
kind asks for (the package's docstring says what). Other distributions add to a kind through the entry-point
group `autoflow.<kind>`. A dot in a kind is a folder: `training.rewards`.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from autoflow.errors import UnknownNameError, UsageError

Kind = Literal["models", "operators", "scorers", "strategies", "training.rewards"]

_SINGULAR: dict[Kind, str] = {
    "models": "model provider",
    "operators": "operator",
    "scorers": "scorer",
    "strategies": "strategy",
    "training.rewards": "reward",
}


@cache
def _modules(kind: Kind) -> dict[str, str]:
    # Told from the text whether a module is a plugin: importing all of them to list their names would load torch.
    package = Path(__file__).resolve().parent / kind.replace(".", "/")
    found = {}
    for module in pkgutil.iter_modules([str(package)]):
        path = package / f"{module.name}.py"
        if path.is_file() and "\nPLUGIN" in path.read_text(encoding="utf-8"):
            found[module.name.replace("_", "-")] = f"autoflow.{kind}.{module.name}"
    return found


@cache
def _entry_points(kind: Kind) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"autoflow.{kind}")}


def names(kind: Kind) -> list[str]:
    """Every plugin of the kind, sorted. Imports none of them."""
    return sorted({*_modules(kind), *_entry_points(kind)})


def load(kind: Kind, name: str) -> Any:
    """The `PLUGIN` of that name.

    Raises:
        UnknownNameError: Listing what exists.
        UsageError: If two distributions offer the same name.
    """
    module = _modules(kind).get(name)
    point = _entry_points(kind).get(name)
    if module is not None and point is not None:
        raise UsageError(f"{_SINGULAR[kind]} {name!r} is built in and also offered by {point.value}; rename the latter")
    if module is not None:
        return importlib.import_module(module).PLUGIN
    if point is not None:
        return point.load()
    raise UnknownNameError(_SINGULAR[kind], name, names(kind))
