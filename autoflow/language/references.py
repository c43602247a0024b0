"""`$(step name)` in an instruction stands for that step's result, `$(task)` for the task, `$$(` for a plain `$(`.

Parentheses inside a name are paired, so `$(check (final))` names the step `check (final)`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.errors import UnknownNameError

_BRACKET = re.compile("[()]")

TASK = "task"
"""The reserved name: `$(task)` inserts the task's text."""


@dataclass(frozen=True, slots=True)
class _Scan:
    marks: list[tuple[int, int, str | None]]
    """Start, end and name of every reference, in order. No name: an escape, which stands for a plain `$(`."""

    loose: int
    """How many `$(` are no reference. Their text stays."""


def _scan(text: str) -> _Scan:
    closing = _pairs(text)
    marks: list[tuple[int, int, str | None]] = []
    position = loose = floor = 0
    while (position := text.find("$(", position)) >= 0:
        if position > floor and text[position - 1] == "$":
            marks.append((position - 1, position + 2, None))
            floor = position = position + 2
            continue
        end = closing.get(position + 1)
        name = "" if end is None else text[position + 2 : end].strip()
        if end is None or not name or "\n" in name:
            loose += 1
            position += 2
        else:
            marks.append((position, end + 1, name))
            floor = position = end + 1
    return _Scan(marks, loose)


def _pairs(text: str) -> dict[int, int]:
    # One pass: looking for the partner of each bracket alone would be quadratic on "$($($(...".
    found, stack = {}, []
    for match in _BRACKET.finditer(text):
        if match[0] == "(":
            stack.append(match.start())
        elif stack:
            found[stack.pop()] = match.start()
    return found


def references(text: str) -> tuple[str, ...]:
    """The names that `text` inserts, in order, each once; `task` among them where it stands."""
    if "$(" not in text:
        return ()
    return tuple(dict.fromkeys(name for _, _, name in _scan(text).marks if name is not None))


def loose(text: str) -> int:
    """How many `$(` are no reference because they are unclosed, empty or broken over lines."""
    return _scan(text).loose if "$(" in text else 0


def fill(text: str, values: Mapping[str, str]) -> str:
    """Insert the values. One pass: what is inserted is never looked at again.

    Raises:
        UnknownNameError: If a name has no value.
    """
    if "$(" not in text:
        return text
    parts, position = [], 0
    for start, end, name in _scan(text).marks:
        parts.append(text[position:start])
        if name is None:
            parts.append("$(")
        elif name in values:
            parts.append(values[name])
        else:
            raise UnknownNameError("result", name, list(values), hint="write `$$(` for a plain `$(`")
        position = end
    return "".join([*parts, text[position:]])


def rename(text: str, name: str, new: str) -> str:
    """The text with every `$(name)` made `$(new)`."""
    parts, position = [], 0
    for start, end, found in _scan(text).marks:
        if found == name:
            parts += [text[position:start], f"$({new})"]
            position = end
    return "".join([*parts, text[position:]])


def escape(text: str) -> str:
    """The text with every `$(` escaped, so that `fill` gives it back unchanged."""
    return text.replace("$(", "$$(")


def insertable(name: str) -> bool:
    """Whether `$(name)` stands for a step of that name."""
    return name != TASK and references(f"$({name})") == (name,)
