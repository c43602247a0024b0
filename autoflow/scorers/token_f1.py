"""`token-f1`: overlap of the answer's words with the reference's, in [0, 1].

Source: SQuAD 1.1 (arXiv:1606.05250), its evaluation: lower case, ASCII punctuation and the articles a, an, the off,
F1 over the multiset of words, the best over several references.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import golds, text

_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True)
class TokenF1:
    """Exact match, after the same normalisation, is in the details as `em`."""

    field: str = "answer"
    """Key of `Task.reference`; a list there holds several right answers."""

    label: str = "token F1"
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
        best = max(f1(answer, gold) for gold in right)
        same = any(normalised(answer) == normalised(gold) for gold in right)
        return Score(best, "" if best == 1.0 else "partial" if best else "mismatch", {"em": int(same)})


def normalised(written: str) -> str:
    """SQuAD's form of an answer."""
    plain = written.lower().translate(_PUNCTUATION)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())


def f1(answer: str, gold: str) -> float:
    """F1 of the words. Two answers without any word are equal."""
    said, wanted = normalised(answer).split(), normalised(gold).split()
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    # 2PR/(P+R), in the form that is exactly 1 for equal answers.
    return 2 * common / (len(said) + len(wanted))


def _make(parameters: Mapping[str, Json]) -> TokenF1:
    return build("token-f1", TokenF1, parameters)


PLUGIN = _make
