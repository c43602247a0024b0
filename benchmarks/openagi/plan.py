"""Reads a plan from an answer: a list of names, or text with one name a line, numbered, comma-separated or JSON.

Names must be the modules' own after folding of case, spaces and hyphens. Nothing is guessed: a name that is none of
them makes the whole plan unreadable.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from autoflow.core.json import Json

from .modules import MODULES


@dataclass(frozen=True, slots=True)
class Pick:
    """`Input Image k` or `Input Text k`: push that input, counted from 0 within its type."""

    type: Literal["image", "text"]
    index: int = 0

    def __str__(self) -> str:
        return f"Input {self.type.capitalize()} {self.index}"


Token: TypeAlias = str | Pick
"""A module's name as published, or a pick."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A plan, or why there is none."""

    tokens: tuple[Token, ...] = ()
    code: Literal["parse_empty", "unknown_module"] | None = None
    message: str = ""


_FOLD = re.compile(r"[\s\-\u2010-\u2015]+")
_NUMBERING = re.compile(r"^\s*(?:(?:step\s*)?\d{1,3}\s*[.):]|[-*\u2022])\s*", re.IGNORECASE)
_SEPARATOR = re.compile(r",|;|->|=>|\u2192")
_FENCE = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)
_INPUT = re.compile(r"input(image|text)(\d{0,3})", re.ASCII)


def fold(name: str) -> str:
    """The name without case, spaces and hyphens."""
    return _FOLD.sub("", name).casefold()


_BY_FOLDED = {fold(name): name for name in MODULES}


def token(name: str) -> Token | None:
    """The module or input of that name; `None` if there is none."""
    folded = fold(name)
    if folded in _BY_FOLDED:
        return _BY_FOLDED[folded]
    match = _INPUT.fullmatch(folded)
    if match is None:
        return None
    return Pick("image" if match[1] == "image" else "text", int(match[2] or 0))


def parse(answer: Json) -> Parsed:
    """The plan in an answer. Never raises.

    An object stands for its value if it has exactly one. A plan that only names inputs is empty.
    """
    names = _names(answer, depth=0)
    tokens: list[Token] = []
    for name in names:
        found = token(name) if isinstance(name, str) else None
        if found is None:
            return Parsed(code="unknown_module", message=f"no module is called {str(name)[:80]!r}")
        tokens.append(found)
    if all(isinstance(item, Pick) for item in tokens):
        return Parsed(code="parse_empty", message="the answer names no module")
    return Parsed(tuple(tokens))


def _names(answer: Json, depth: int) -> list[Json]:
    if isinstance(answer, str):
        return _from_text(answer, depth)
    if isinstance(answer, Mapping):
        # An object with several keys does not say which of them is the plan.
        values = list(answer.values())
        return _names(values[0], depth + 1) if len(values) == 1 and depth < 3 else [str(dict(answer))] * bool(values)
    if isinstance(answer, Sequence):
        return [item for item in answer if not (isinstance(item, str) and not item.strip())]
    return [] if answer is None else [answer]


def _from_text(text: str, depth: int) -> list[Json]:
    fenced = _FENCE.match(text)
    body = (fenced[1] if fenced else text).strip()
    if body[:1] in ("[", "{", '"') and depth < 3:
        try:
            return _names(json.loads(body), depth + 1)
        except (ValueError, RecursionError):
            pass  # Not JSON after all: read as plain text below, where a stray bracket makes the name unknown.
    pieces = [piece for line in body.splitlines() for piece in _SEPARATOR.split(_NUMBERING.sub("", line))]
    cleaned = (_NUMBERING.sub("", piece).strip().strip("\"'`*").rstrip(".").strip() for piece in pieces)
    return [piece for piece in cleaned if piece]
