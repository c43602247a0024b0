"""The scorer `plan`: how much of what a task asks for its plan would achieve. No expert model runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace

from . import breakdown, reference
from .goal import Goal, from_json
from .machine import Outcome, execute
from .modules import MODULES
from .plan import Parsed, Token, parse
from .state import asked

FAULT_COST = 0.05
"""Taken off for each needless module and each order fault."""


def read_plan(trace: Trace) -> tuple[Parsed, str]:
    """The plan of a trace, and where it was read: "steps", "answer" or "tools".

    1. Where the workflow's own steps ran modules, their order is the plan, whatever the answer says.
    2. Otherwise the answer, if it reads as a plan.
    3. Otherwise the modules that the model called within its steps (the `core` protocol), if it called any.

    Tools that are no modules of this benchmark are not part of a plan.
    """
    steps = [tool for step in trace.steps if step.operator in step.tools for tool in step.tools if tool in MODULES]
    if steps:
        return parse(steps), "steps"
    answer = parse(trace.answer)
    called = [tool for tool in trace.tools if tool in MODULES]
    if answer.code is not None and called:
        return parse(called), "tools"
    return answer, "answer"


def requirements(goal: Goal, outcome: Outcome) -> dict[str, bool]:
    """What the task asks for, each with whether the plan's result has it."""
    value = outcome.value
    held = {"content": value is not None and value.content == asked(goal)}
    if goal.language is not None:
        held[f"language {goal.language}"] = value is not None and value.language == goal.language
    for index, item in enumerate(goal.inputs):
        for defect in item.defects:
            held[f"{defect} {item.role} restored"] = (index, defect) in outcome.restored
    return held


def _reason(held: dict[str, bool], outcome: Outcome) -> str:
    if outcome.code is not None:
        return outcome.code
    if not all(held.values()):
        return "unmet_requirement"
    return "needless_module" if outcome.needless else "order_fault" if outcome.order_faults else ""


def score_plan(goal: Goal, tokens: tuple[Token, ...]) -> Score:
    """Judge a plan that could be read. 0 with the code as reason if it cannot run."""
    outcome = execute(goal, tokens)
    held = requirements(goal, outcome)
    faults = len(outcome.needless) + len(outcome.order_faults)
    value = 0.0
    if outcome.code is None:
        value = max(0.0, sum(held.values()) / len(held) - FAULT_COST * faults)
    details: dict[str, Json] = {
        "valid": outcome.code is None,
        "requirements": held,
        "needless": list(outcome.needless),
        "order_faults": list(outcome.order_faults),
        "exact_match": tokens in (reference.flat(goal), reference.postfix(goal)),
        "message": outcome.message,
    }
    return Score(value, _reason(held, outcome), details)


@dataclass(frozen=True, slots=True)
class PlanScorer:
    """Share of the task's requirements that hold when its plan is run symbolically, less 0.05 for each needless module
    and each order fault; 0 for a plan that cannot be read or run."""

    label: str = "plan score"

    @property
    def secondary(self) -> Mapping[str, str]:
        """Shown beside the score."""
        return breakdown.SECONDARY

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the plan of the trace. `details` has the plan as read, its source, and why it got what it got."""
        parsed, source = read_plan(trace)
        plan: list[Json] = [str(token) for token in parsed.tokens]
        if parsed.code is not None:
            details: dict[str, Json] = {"valid": False, "exact_match": False, "message": parsed.message}
            return Score(0.0, parsed.code, {"plan": plan, "source": source, **details})
        judged = score_plan(from_json(task.reference), parsed.tokens)
        return Score(judged.value, judged.reason, {"plan": plan, "source": source, **judged.details})

    def groups(self, task: Task) -> Mapping[str, str]:
        """Grouping -> the task's group: plan length, form."""
        return breakdown.groups(task)

    def facts(self, judged: Sequence[tuple[Task, Score]]) -> Mapping[str, Json]:
        """None."""
        return {}
