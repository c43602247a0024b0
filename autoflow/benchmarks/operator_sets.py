"""Operator sets: lists of names in YAML that say which operators a generator is given.

A set narrows what a generator is shown and may use in its drafts, and nothing else: a person's workflow may use any
operator in reach. `generate` is in every set: it carries out the steps that name no operator.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autoflow import operators
from autoflow.benchmarks import places
from autoflow.core.operator import Card
from autoflow.core.workflow import DEFAULT_OPERATOR
from autoflow.errors import AutoflowError, DataError, UnknownNameError

FOLDER = Path(operators.__file__).resolve().parent / "sets"


def names() -> list[str]:
    """The sets that come with autoflow, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name_or_path: str, cards: Mapping[str, Card], folder: Path = Path()) -> tuple[str, ...]:
    """The operators of a set: one that comes with autoflow, or a YAML file with a list of names.

    Args:
        cards: The operators in reach, by name.
        folder: What a relative path begins in.

    Raises:
        UnknownNameError: If there is neither such a set nor such a file.
        DataError: If the file is no list of operators in reach, each once; with line and column.
    """
    file = FOLDER / f"{name_or_path}.yaml" if name_or_path in names() else folder / name_or_path
    if file.suffix not in {".yaml", ".yml"} or not file.is_file():
        hint = f"there is no file {file}" if file.suffix in {".yaml", ".yml"} else "or the path of a .yaml file"
        raise UnknownNameError("operator set", name_or_path, names(), hint=hint)
    placed = places.read(file)
    return checked(placed.value, cards, lambda place, message, hint: placed.error(place, message, hint=hint))


def checked(
    listed: object,
    cards: Mapping[str, Card],
    fault: Callable[[Sequence[int], str, str | None], DataError],
) -> tuple[str, ...]:
    """The names, if they are a set.

    Args:
        listed: What was read.
        cards: The operators in reach, by name.
        fault: Makes the error: place in the list (empty: all of it), message, hint.

    Raises:
        DataError: As `fault` made it.
    """
    if not isinstance(listed, list | tuple) or not listed:
        raise fault((), "an operator set is a list of operators' names", "write one a line: - generate")
    for index, name in enumerate(listed):
        if not isinstance(name, str):
            raise fault((index,), f"{name!r} is not the name of an operator", None)
        if name in listed[:index]:
            raise fault((index,), f"{name!r} is listed twice", None)
        if name not in cards:
            close = difflib.get_close_matches(name, cards)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(cards)}"
            raise fault((index,), f"there is no operator {name!r} in reach", hint)
    return tuple(listed)


def chosen(cards: Mapping[str, Card], wanted: Sequence[str] | None) -> tuple[Card, ...]:
    """The cards of a set in its order, `generate` first where the set leaves it out; of `None`, all cards.

    Raises:
        AutoflowError: If one is not among the cards; `load` and `checked` have seen to that.
    """
    if wanted is None:
        return tuple(cards.values())
    missing = [name for name in wanted if name not in cards]
    if missing:
        raise AutoflowError(f"the operator {missing[0]!r} of the set is not in reach; there are: {', '.join(cards)}")
    first = [DEFAULT_OPERATOR] if DEFAULT_OPERATOR in cards and DEFAULT_OPERATOR not in wanted else []
    return tuple(cards[name] for name in (*first, *wanted))
