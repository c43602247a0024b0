"""The scorer `final-pass`: 1 for a plan that breaks no constraint, else 0; the six rates stand beside the mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace

from . import commonsense, hard, question
from . import plan as plans
from .database import opened
from .rates import Counted, rates

GATES = ("Complete Information", "Within Sandbox")
"""Commonsense constraints without which hard ones are not judged, as published."""


@dataclass(frozen=True, slots=True)
class FinalPass:
    """Judges a plan against the database in a folder."""

    folder: Path
    label: str = "final pass rate"
    secondary: ClassVar[Mapping[str, str]] = {
        "delivered": "delivery rate",
        "commonsense_share": "commonsense micro",
        "commonsense_all": "commonsense macro",
        "hard_all": "hard macro",
    }
    """Hard micro is no mean over tasks, as they state different numbers of constraints: it is among the facts."""

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer. `details` has every constraint with why it does not hold, or `None`."""
        days, fault = plans.read(trace.answer)
        if fault:
            return Score(0.0, "no_plan", {"message": fault, **_details(Counted(False, 0, 0, 1))})
        asked = question.of(task.reference)
        database = opened(self.folder)
        sense = commonsense.judge(asked, days, database)
        judged = all(sense[gate] is None for gate in GATES)
        obeyed = hard.judge(asked, days, database) if judged else {}
        counted = Counted(True, _holding(sense), _holding(obeyed), asked.stated())
        broken = [name for name, why in {**sense, **obeyed}.items() if why is not None]
        return Score(
            float(counted.sensible and counted.obedient),
            broken[0] if broken else "",
            {"commonsense": dict(sense), "hard": dict(obeyed), **_details(counted)},
        )

    def groups(self, task: Task) -> Mapping[str, str]:
        """Grouping -> the task's group: days."""
        return {"days": str(task.reference["days"])}

    def facts(self, judged: Sequence[tuple[Task, Score]]) -> Mapping[str, Json]:
        """The six rates over all judged tasks, each in [0, 1]; a task that failed has delivered nothing."""
        found = (_counted(task, score.details) for task, score in judged if score.value is not None)
        return dict(rates(found))


def _holding(verdicts: Mapping[str, str | None]) -> int:
    return sum(why is None for why in verdicts.values())


def _details(counted: Counted) -> dict[str, Json]:
    return {
        "delivered": counted.delivered,
        "commonsense_share": counted.commonsense / len(commonsense.CONSTRAINTS),
        "commonsense_all": counted.sensible,
        "hard_all": counted.obedient,
    }


def _counted(task: Task, details: Mapping[str, Any]) -> Counted:
    delivered = bool(details.get("delivered", False))
    sense, obeyed = (_holding(details.get(key, {})) for key in ("commonsense", "hard"))
    return Counted(delivered, sense, obeyed, question.of(task.reference).stated())
