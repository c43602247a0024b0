"""`hotpotqa-f1`: HotpotQA's answer F1, with exact match beside it.

Source: HotpotQA (arXiv:1809.09600), its evaluation: SQuAD's F1, but 0 where answer and reference differ and one of them
is yes, no or noanswer. AFlow leaves that rule out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.parameters import build
from autoflow.scorers.token_f1 import f1, normalised
from autoflow.scorers.wording import golds, text

_CLOSED = {"yes", "no", "noanswer"}


@dataclass(frozen=True, slots=True)
class HotpotqaF1:
    """Exact match is in the details as `em`."""

    field: str = "answer"
    label: str = "HotpotQA F1"
    secondary: ClassVar[Mapping[str, str]] = {"em": "exact match"}

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference.
        """
        answer = text(trace.answer)
        right = [text(gold) for gold in golds(task, self.field)]
        if not answer.strip():
            return Score(0.0, "no_answer", {"em": 0})
        best = max(_f1(answer, gold) for gold in right)
        same = any(normalised(answer) == normalised(gold) for gold in right)
        return Score(best, "" if best == 1.0 else "partial" if best else "mismatch", {"em": int(same)})


def _f1(answer: str, gold: str) -> float:
    said, wanted = normalised(answer), normalised(gold)
    if said != wanted and (said in _CLOSED or wanted in _CLOSED):
        return 0.0
    return f1(answer, gold)


def _make(parameters: Mapping[str, Json]) -> HotpotqaF1:
    return build("hotpotqa-f1", HotpotqaF1, parameters)


PLUGIN = _make
