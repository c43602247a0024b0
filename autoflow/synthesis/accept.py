"""Keeps what lints, runs and scores: the filter between a teacher's workflow and a row."""

from dataclasses import dataclass

from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.core.workflow import Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.language.lint import lint
from autoflow.synthesis.exercise import Exercise


class NoModel:
    """Stands where no interpreter's model was given: a workflow of tools alone never asks one."""

    name = "none/none"
    features: frozenset[Feature] = frozenset()

    async def complete(self, request: Request) -> Reply:
        """Refuse.

        Raises:
            ProviderError: Always.
        """
        raise ProviderError("a step asks a model, and no interpreter was given", transient=False)

    async def aclose(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a workflow."""

    score: float | None
    """Mean over the exercise's tasks; `None` where a fault left one of them unscored, or lint refused it."""

    reason: str = ""
    """`lint`, `fault`, or the reason of the first task below 1."""


async def judge(exercise: Exercise, workflow: Workflow, model: Model, settings: Settings) -> Verdict:
    """Lint the workflow, run it on the exercise's tasks and score it.

    Raises:
        BudgetExhaustedError: From the model.
    """
    if any(finding.severity == "error" for finding in lint(workflow, exercise.cards)):
        return Verdict(None, "lint")
    interpreter = Interpreter(model, exercise.operators, settings)
    total = 0.0
    reason = ""
    for task in exercise.tasks:
        trace = await interpreter.run(workflow, task)
        if trace.failure is not None and trace.failure.reason == "budget":
            raise BudgetExhaustedError(trace.failure.message)
        if trace.failure is not None and trace.failure.kind == "fault":
            return Verdict(None, "fault")
        if trace.failure is not None:
            reason = reason or trace.failure.reason
            continue
        score = await exercise.scorer.score(task, trace)
        if score.value is None:
            return Verdict(None, "fault")
        total += score.value
        reason = reason or score.reason
    return Verdict(total / len(exercise.tasks), reason)
