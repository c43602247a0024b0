"""`regex`: 1 if a regular expression finds what it should in the answer, else 0.

Source: our own; Python's `re` syntax.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, normalise, text

LONGEST = 100_000
"""Characters of an answer that are searched: a pattern may take time that grows with the square of them."""


@dataclass(frozen=True, slots=True)
class Regex:
    """Without a group in the pattern, finding it is right. With one, what the last match's first group caught must be
    the reference, white space aside."""

    pattern: str | None = None
    """The pattern for every task; without it, each task's own is read from `field` of its reference."""

    field: str = "answer"
    """Key of `Task.reference`: what the group must catch, or the pattern itself where `pattern` is not given."""

    ignore_case: bool = False
    multiline: bool = False
    """`^` and `$` match at every line, and `.` also matches a line end."""

    label: str = "pattern match"

    def __post_init__(self) -> None:
        if self.pattern is not None:
            self._compiled(self.pattern)

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference, or its own pattern is malformed.
        """
        answer = text(trace.answer)[:LONGEST]
        if self.pattern is None:
            try:
                patterns = [self._compiled(text(gold)) for gold in golds(task, self.field)]
            except ValueError as error:
                raise DataError(f"task {task.id}: its reference {self.field!r}: {error}") from error
            return _verdict(any(pattern.search(answer) for pattern in patterns), "not_found")
        pattern = self._compiled(self.pattern)
        found = None
        for found in pattern.finditer(answer):  # noqa: B007 - the last one is what is wanted
            pass
        if found is None:
            return Score(0.0, "not_found")
        if not pattern.groups:
            return Score(1.0)
        caught = self._plain(found[1] or "")
        hit = any(caught == self._plain(text(gold)) for gold in golds(task, self.field))
        return _verdict(hit, "mismatch", caught)

    def _compiled(self, pattern: str) -> "re.Pattern[str]":
        flags = (re.IGNORECASE if self.ignore_case else 0) | ((re.MULTILINE | re.DOTALL) if self.multiline else 0)
        try:
            return re.compile(pattern, flags)
        except re.error as error:
            raise ValueError(f"the pattern {pattern!r} is malformed: {error}") from error

    def _plain(self, written: str) -> str:
        return normalise(written, ignore_case=self.ignore_case)


def _verdict(right: bool, reason: str, caught: str | None = None) -> Score:
    return Score(float(right), "" if right else reason, {} if caught is None else {"caught": caught})


def _make(parameters: Mapping[str, Json]) -> Regex:
    return build("regex", Regex, parameters)


PLUGIN = _make
