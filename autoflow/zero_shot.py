"""Writes the workflow of each task by the task's description and runs it on that task alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Model, Sampling
from autoflow.core.task import Task
from autoflow.core.trace import Failure, FailureReason, Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import AutoflowError, BudgetExhaustedError, ProviderError, ReplyError
from autoflow.generator.draft import Form, draft
from autoflow.generator.for_task import request_for
from autoflow.objective.drawing import Runner

PLACEHOLDER = Workflow(
    "written for each task",
    (Step("answer", "terminal"),),
    "Stands for as many workflows as there are tasks; it was never run. The trace of a task has its steps.",
)
"""Stands in a run where a workflow would."""

INVALID: FailureReason = "draft"
"""The reason of a task whose draft is no workflow: it scores 0."""


@dataclass(frozen=True, slots=True)
class Writing:
    """Who writes, and how."""

    generator: str
    """`provider/model`."""

    form: Form | None = None
    """`None`: what suits the model (`autoflow.generator.draft.form_of`)."""

    repairs: int = 0
    """How often the errors of a draft go back; 0: the first draft counts."""

    temperature: float = 0.0
    max_tokens: int = 600
    """Longest draft, in tokens."""


class Writer:
    """Runs a task by a workflow of its own. The draws of one task (its epochs) are independent drafts."""

    def __init__(
        self,
        writing: Writing,
        model: Model,
        interpreter: Runner,
        benchmark: Benchmark,
        *,
        seed: int,
        on_workflow: Callable[[Workflow], None],
    ) -> None:
        """`on_workflow` is told of every workflow before it is run."""
        self._writing = writing
        self._model = model
        self._interpreter = interpreter
        self._benchmark = benchmark
        self._seed = seed
        self._on_workflow = on_workflow

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        """The trace of the workflow written for `task`; what was given as `workflow` is left alone."""
        writing = self._writing
        sampling = Sampling(writing.temperature, max_tokens=writing.max_tokens, seed=self._seed)
        request = replace(request_for(self._benchmark, task), sampling=sampling, sample=sample)
        try:
            found = await draft(self._model, request, repairs=writing.repairs, form=writing.form)
        except AutoflowError as error:
            return _failed(task, _failure_of(error))
        if found.workflow is None:
            return _failed(task, Failure("workflow", INVALID, "; ".join(found.errors)))
        self._on_workflow(found.workflow)
        return await self._interpreter.run(found.workflow, task, sample=sample)


def _failed(task: Task, failure: Failure) -> Trace:
    return Trace(PLACEHOLDER.fingerprint(), task.id, (), failure=failure)


def _failure_of(error: AutoflowError) -> Failure:
    """What a failed draft means for the task.

    Raises:
        AutoflowError: The error itself, where it is misuse.
    """
    if isinstance(error, ProviderError):
        return Failure("fault", "provider", f"generator: {error.message}")
    if isinstance(error, BudgetExhaustedError):
        return Failure("fault", "budget", error.message)
    if isinstance(error, ReplyError):
        return Failure("workflow", INVALID, error.message)
    raise error
