"""`drop-f1`: DROP's F1, with exact match beside it.

Source: DROP (arXiv:1903.00161), its evaluation: words split at spaces and hyphens; lower case, punctuation off words
that are no numbers, articles off, numbers as floats; bags are sets; spans aligned one to one for the greatest sum; a
pair whose reference has numbers, none of them in the answer, counts 0; rounded to two decimals; the best over the
references. AFlow uses SQuAD's F1 and splits answer and reference at `|`, so that hedging pays; here the answer is one
span, whatever it holds.
"""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, text

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, slots=True)
class DropF1:
    """An answer that is a JSON list is several spans; any other is one."""

    field: str = "answers"
    """Key of `Task.reference`: the right answers, each a text or a list of spans."""

    label: str = "DROP F1"
    secondary: ClassVar[Mapping[str, str]] = {"em": "exact match"}

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer; exact match is in the details as `em`.

        Raises:
            DataError: If the task has no such reference.
        """
        spans = _spans(trace.answer)
        if not any(span.strip() for span in spans):
            return Score(0.0, "no_answer", {"em": 0})
        verdicts = [metrics(spans, _spans(gold)) for gold in golds(task, self.field)]
        same, best = max(verdicts)
        # The official maximum is over (em, f1) pairs; a full F1 without em (other order of words) is as good.
        best = max(best, *(item[1] for item in verdicts)) if len(verdicts) > 1 else best
        return Score(best, "" if best == 1.0 else "partial" if best else "mismatch", {"em": int(same)})


def metrics(answer: Sequence[str], gold: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of spans against one reference's spans, both in [0, 1]."""
    said, wanted = [_normalised(span) for span in answer], [_normalised(span) for span in gold]
    same = float(set(said) == set(wanted) and len(said) == len(wanted))
    bags, gold_bags = [set(span.split()) for span in said], [set(span.split()) for span in wanted]
    table = [[_f1(bag, gold_bag) if _numbers_match(gold_bag, bag) else 0.0 for bag in bags] for gold_bag in gold_bags]
    return same, round(_best_sum(table) / max(len(bags), len(gold_bags)), 2)


def _spans(value: Json) -> list[str]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [text(item) for item in value]
    return [text(value)]


def _normalised(span: str) -> str:
    words = []
    for word in re.split(" |-", span):
        plain = word.lower()
        if not _is_number(plain):
            plain = plain.translate(_PUNCTUATION)
        if _is_number(plain):
            plain = str(float(plain))
        words.append(" ".join(_ARTICLES.sub(" ", plain).split()))
    return " ".join(word for word in words if word)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _numbers_match(gold: set[str], said: set[str]) -> bool:
    numbers = {word for word in gold if _is_number(word)}
    return not numbers or bool(numbers & said)


def _f1(said: set[str], gold: set[str]) -> float:
    common = len(said & gold)
    precision = common / len(said) if said else 1.0
    recall = common / len(gold) if gold else 1.0
    return 0.0 if precision == recall == 0.0 else 2 * precision * recall / (precision + recall)


def _best_sum(table: Sequence[Sequence[float]]) -> float:
    if len(table) == 1 or len(table[0]) == 1:
        return max(max(row) for row in table)
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(table, maximize=True)
    return float(sum(table[row][column] for row, column in zip(rows, columns, strict=True)))


def _make(parameters: Mapping[str, Json]) -> DropF1:
    return build("drop-f1", DropF1, parameters)


PLUGIN = _make
