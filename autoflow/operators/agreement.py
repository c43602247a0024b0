"""Which of several answers agree, told without a model: by their text, their last line or their number."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from autoflow.core.json import Json, canonical
from autoflow.scorers.numbers import number

RULES = ("whole", "last_line", "number")
"""What of two answers must be the same."""


@dataclass(frozen=True, slots=True)
class Group:
    """Answers that agree."""

    first: int
    """Index of the earliest of them."""

    size: int


def normalise(text: str) -> str:
    """What two answers must share to agree: NFKC, lower case, single spaces, no punctuation at the end."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.split()).rstrip(" .,;:!?")


def key(answer: Json, rule: str) -> str:
    """The part of `answer` that is compared. A number is read as the scorer `numeric` reads it; an answer without one
    is compared by its last line."""
    if not isinstance(answer, str):
        return canonical(answer)
    if rule == "whole":
        return normalise(answer)
    if rule == "number" and (found := number(answer)) is not None:
        return f"{found:.12g}"
    lines = [line for line in answer.splitlines() if line.strip()]
    return normalise(lines[-1]) if lines else ""


def groups(answers: Sequence[Json], rule: str) -> list[Group]:
    """The answers that agree, together; in the order of their first."""
    found: dict[str, Group] = {}
    for index, answer in enumerate(answers):
        own = key(answer, rule)
        before = found.get(own, Group(index, 0))
        found[own] = Group(before.first, before.size + 1)
    return list(found.values())


def largest(found: Sequence[Group]) -> Group:
    """The group of most answers; among equally large ones, the earliest."""
    return max(found, key=lambda group: (group.size, -group.first))


def majority(answers: Sequence[Json], rule: str) -> Json:
    """The commonest answer as it was first written; among equally common ones, the earliest."""
    return answers[largest(groups(answers, rule)).first]
