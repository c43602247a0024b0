"""Who writes the workflows that are learnt from: a search that needs no model, or a strong model (MetaFlow's way)."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from autoflow.core.model import Model, Sampling
from autoflow.core.workflow import Workflow
from autoflow.generator.draft import SAMPLING, Form, draft, written
from autoflow.generator.outline import from_outline, to_outline
from autoflow.synthesis.exercise import Exercise

Score = Callable[[Workflow], Awaitable[float | None]]
"""Runs a workflow on the exercise's tasks; `None`: it does not lint, or a fault left it unscored."""


class Teacher(Protocol):
    """Proposes workflows for an exercise. What it proposes is judged by others."""

    @property
    def name(self) -> str:
        """Where its rows say they come from."""
        ...

    async def write(self, exercise: Exercise, score: Score) -> Sequence[Workflow]:
        """Workflows, the best first; none where it finds none.

        Raises:
            ProviderError, BudgetExhaustedError: From a teacher that is a model.
        """
        ...


@dataclass(frozen=True, slots=True)
class SearchTeacher:
    """Plans of tools. A made-up domain's plan was found by search over its goal; a benchmark's is searched by score."""

    name: str = "search"

    async def write(self, exercise: Exercise, score: Score) -> Sequence[Workflow]:
        if exercise.plan is not None:
            return (of_plan(exercise.plan, exercise.reasons),)
        tools = [card.name for card in exercise.request.cards if card.kind == "tool"]
        found = await plan_by_score(tools, score, max_steps=exercise.request.limits.max_steps - 1)
        return () if found is None else (of_plan(found),)


def of_plan(plan: Sequence[str], reasons: Sequence[str] = ()) -> Workflow:
    """The workflow that runs the tools in that order; the last result is the answer.

    `reasons` are the steps' instructions, one for each tool; without them tools stand alone.
    """
    steps = [[reason, tool] for reason, tool in zip(reasons or [""] * len(plan), plan, strict=True)]
    return from_outline({"steps": steps, "answer": ""}, name="plan")


async def plan_by_score(tools: Sequence[str], score: Score, *, max_steps: int) -> tuple[str, ...] | None:
    """A plan of tools that scores 1, found by its score alone; `None`: none was found.

    It begins with the best plan of one or two tools and inserts, at each turn, the tool that raises the score most, at
    the place where it does. That finds whatever each right tool alone makes better, and nothing else.
    """
    best: tuple[str, ...] = ()
    value = 0.0
    starts: list[tuple[str, ...]] = [(first,) for first in tools]
    starts += [(first, second) for first in tools for second in tools]
    for start in starts:
        best, value = max((best, value), (start, await score(of_plan(start)) or 0.0), key=lambda pair: pair[1])
    while 0.0 < value < 1.0 and len(best) < max_steps:
        longer = [(*best[:at], tool, *best[at:]) for at in range(len(best) + 1) for tool in tools]
        scored = [(plan, await score(of_plan(plan)) or 0.0) for plan in longer]
        plan, raised = max(scored, key=lambda pair: pair[1])
        if raised <= value:
            break
        best, value = plan, raised
    return best if value == 1.0 else None


@dataclass(frozen=True, slots=True)
class ModelTeacher:
    """Drafts of a strong model, in the form that suits it."""

    model: Model
    samples: int = 1
    """Drafts for an exercise, each an independent draw."""

    repairs: int = 3
    sampling: Sampling = field(default=SAMPLING)

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    async def write(self, exercise: Exercise, score: Score) -> Sequence[Workflow]:
        found = []
        for sample in range(self.samples):
            request = replace(exercise.request, sampling=self.sampling, sample=sample)
            drafted = await draft(self.model, request, repairs=self.repairs)
            if drafted.workflow is not None:
                found.append(drafted.workflow)
        return found


def as_written(workflow: Workflow, exercise: Exercise, form: Form) -> tuple[Workflow, str] | None:
    """The workflow as a generator in this form would write it, and the text; `None` where the form cannot say it.

    What an outline leaves out, such as names of steps, is left out of the workflow too: the score that is kept belongs
    to the text that is learnt.
    """
    if form != "outline":
        return workflow, written(workflow, form, exercise.request.answer)
    value = to_outline(workflow)
    return None if value is None else (from_outline(value), json.dumps(value, ensure_ascii=False))
