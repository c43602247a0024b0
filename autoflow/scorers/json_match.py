"""`json-match`: 1 if the answer is the reference as JSON, else 0; or the share of fields that are right.

Source: our own. Numbers are equal within 1e-6, relative; texts after white space is collapsed; key order does not
count.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import DataError
from autoflow.scorers.numeric import close
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import normalise

_DEEPEST = 100


@dataclass(frozen=True, slots=True)
class JsonMatch:
    """An answer in text is read as JSON; a fence of three backticks around it does no harm."""

    field: str = "answer"
    """Key of `Task.reference`: the right value, or its JSON as text."""

    fields: tuple[str, ...] = ()
    """Of an object, the keys that count; empty: all, and the answer may have no other."""

    partial: bool = False
    """Score the share of the object's keys that are right, instead of all or nothing."""

    ordered: bool = True
    """Whether the order in lists counts."""

    ignore_case: bool = False
    label: str = "JSON match"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer; `wrong` in the details names the keys that are missing or differ.

        Raises:
            DataError: If the task has no such reference, or it is no object where one is needed.
        """
        if self.field not in task.reference:
            raise DataError(f"task {task.id}: its reference has no {self.field!r}; it has: {', '.join(task.reference)}")
        gold = task.reference[self.field]
        if isinstance(gold, str):
            gold = _read(gold, gold)
        answer = trace.answer
        if isinstance(answer, str):
            answer = _read(answer, None if not isinstance(gold, str) else answer)
        if answer is None and gold is not None:
            return Score(0.0, "not_json")
        if not self.fields and not self.partial:
            same = self._same(answer, gold)
            wrong = [] if same or not isinstance(gold, Mapping) else self._wrong(answer, gold, list(gold))
            return Score(float(same), "" if same else "mismatch", {"wrong": wrong} if wrong else {})
        if not isinstance(gold, Mapping):
            raise DataError(f"task {task.id}: fields and partial need an object as reference {self.field!r}")
        keys = list(self.fields or gold)
        absent = [key for key in keys if key not in gold]
        if absent or not keys:
            raise DataError(f"task {task.id}: its reference has no key {absent[0] if absent else 'at all'!r}")
        wrong = self._wrong(answer, gold, keys)
        value = 1 - len(wrong) / len(keys) if self.partial else float(not wrong)
        return Score(value, "mismatch" if wrong else "", {"wrong": wrong} if wrong else {})

    def _wrong(self, answer: Json, gold: Mapping[str, Json], keys: Sequence[str]) -> list[str]:
        if not isinstance(answer, Mapping):
            return list(keys)
        return [key for key in keys if key not in answer or not self._same(answer[key], gold[key])]

    def _same(self, answer: Json, gold: Json, depth: int = 0) -> bool:
        # A model's JSON may be nested without end; the reference's author does not go that deep.
        if depth > _DEEPEST:
            return False
        if isinstance(answer, bool) or isinstance(gold, bool) or answer is None or gold is None:
            return answer is gold
        if isinstance(gold, int | float):
            return isinstance(answer, int | float) and (answer == gold or close(_float(answer), _float(gold)))
        if isinstance(gold, str):
            return isinstance(answer, str) and self._plain(answer) == self._plain(gold)
        if isinstance(gold, Mapping):
            return (
                isinstance(answer, Mapping)
                and set(answer) == set(gold)
                and all(self._same(answer[key], gold[key], depth + 1) for key in gold)
            )
        if isinstance(answer, str | int | float | Mapping) or len(answer) != len(gold):
            return False
        if self.ordered:
            return all(self._same(one, other, depth + 1) for one, other in zip(answer, gold, strict=True))
        rest = list(answer)
        for wanted in gold:
            at = next((index for index, one in enumerate(rest) if self._same(one, wanted, depth + 1)), None)
            if at is None:
                return False
            del rest[at]
        return True

    def _plain(self, written: str) -> str:
        return normalise(written, ignore_case=self.ignore_case)


def _read(written: str, otherwise: Json) -> Json:
    stripped = written.strip()
    if stripped.startswith("```") and stripped.endswith("```"):
        stripped = stripped.strip("`").removeprefix("json").strip()
    try:
        # NaN and infinities are no JSON: nothing equals them.
        found: Json = json.loads(stripped, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return otherwise
    return found


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _make(parameters: Mapping[str, Json]) -> JsonMatch:
    return build("json-match", JsonMatch, parameters)


PLUGIN = _make
