"""One draw of a task: the workflow run once, and its trace judged."""

from dataclasses import dataclass
from typing import Protocol

from autoflow.core.score import Score, Scorer
from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import AutoflowError, BudgetExhaustedError, ProviderError, SandboxError


class Runner(Protocol):
    """What runs a workflow on a task: `autoflow.interpreter.run.Interpreter`."""

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        """The trace; a failure is in it, not raised."""
        ...


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a draw left."""

    trace: Trace
    judged: Score | Failure
    """The score, or the fault that left none."""


class Drawer(Protocol):
    """What carries draws out, here or elsewhere."""

    async def draw(self, workflow: Workflow, task: Task, sample: int) -> Drawn:
        """Draw a task; draws of equal `sample` draw equally.

        Raises:
            AutoflowError: Misuse, such as an unknown operator; or a scorer that broke, naming the task.
        """
        ...


class Here:
    """Draws in this process."""

    def __init__(self, runner: Runner, scorer: Scorer) -> None:
        self._runner = runner
        self._scorer = scorer

    async def draw(self, workflow: Workflow, task: Task, sample: int) -> Drawn:
        """Run `workflow` on `task` and judge what comes of it."""
        trace = await self._runner.run(workflow, task, sample=sample)
        return Drawn(trace, await self._judged(task, trace))

    async def _judged(self, task: Task, trace: Trace) -> Score | Failure:
        failure = trace.failure
        if failure is not None and failure.kind == "fault":
            return failure
        if failure is not None:
            return Score(0.0, failure.reason, {"message": failure.message, "step": failure.step})
        try:
            return await self._scorer.score(task, trace)
        except BudgetExhaustedError as error:
            return Failure("fault", "budget", str(error))
        except ProviderError as error:
            return Failure("fault", "provider", f"scorer: {error}")
        except SandboxError as error:
            return Failure("fault", "sandbox", f"scorer: {error}")
        except AutoflowError:
            raise
        except Exception as error:  # boundary: a scorer is a plug-in
            raise AutoflowError(
                f"scorer {self._scorer.label!r} failed on task {task.id!r}: {type(error).__name__}: {error}"
            ) from error
