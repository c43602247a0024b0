"""What scorers of texts share: the reference, the form in which texts are compared, the answer as text."""

import json
import unicodedata
from collections.abc import Sequence

from autoflow.core.json import Json, canonical
from autoflow.core.task import Task
from autoflow.errors import DataError


def golds(task: Task, field: str) -> Sequence[Json]:
    """The right answers of a task, at least one.

    Raises:
        DataError: If the reference has none.
    """
    value = task.reference.get(field)
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    if value is None or not found:
        raise DataError(
            f"task {task.id}: its reference has no {field!r}; it has: {', '.join(task.reference) or 'nothing'}"
        )
    return found


def text(value: Json) -> str:
    """The answer as text: itself where it is one, nothing where there is none, else its JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical(value)


def spoken(value: Json) -> str:
    """As `text`, but JSON that a person may read: a list or mapping on lines of its own, characters as they are."""
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False, indent=1)


def normalise(text: str, *, ignore_case: bool) -> str:
    """NFKC, white space collapsed and stripped, and case folded where asked."""
    folded = " ".join(unicodedata.normalize("NFKC", text).split())
    return folded.casefold() if ignore_case else folded


def boxed(text: str) -> str | None:
    r"""What the last balanced `\boxed{...}` (or `\fbox{...}`) holds, braces inside it kept; `None` without one.

    `\boxed 7` holds the 7.
    """
    for at in sorted(_starts(text), reverse=True):
        rest = text[at:].lstrip()
        if not rest.startswith("{"):
            return rest[:1] or None
        depth = 0
        for index, character in enumerate(rest):
            # An escaped brace is a character of the formula (a set), not a group; it balances with its partner anyway.
            depth += (character == "{") - (character == "}")
            if depth == 0:
                return rest[1:index]
    return None


def _starts(text: str) -> list[int]:
    found = []
    for command in ("\\boxed", "\\fbox"):
        at = text.find(command)
        while at >= 0:
            end = at + len(command)
            if not text[end : end + 1].isalpha():
                found.append(end)
            at = text.find(command, end)
    return found


def after(text: str, phrase: str) -> str | None:
    """What follows the last occurrence of `phrase`, whatever its case; `None` without one."""
    # Not str.lower(): it may change the length, and with it the place.
    lowered = "".join(character.lower() if len(character.lower()) == 1 else character for character in text)
    at = lowered.rfind(phrase)
    return None if at < 0 else text[at + len(phrase) :]
