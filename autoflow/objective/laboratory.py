"""Where a strategy looks into recorded runs and tries things out: every run in it is metered, judged and recorded."""

import asyncio
from collections.abc import Mapping, Sequence

from autoflow.core.benchmark import Benchmark
from autoflow.core.json import digest
from autoflow.core.model import Feature, Model, Reply, Request
from autoflow.core.score import Scorer
from autoflow.core.strategy import Change, Tried
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import UnknownNameError, UsageError
from autoflow.interpreter.changed import Changed, changed
from autoflow.interpreter.run import Interpreter
from autoflow.language.json_schema import fault_of_value
from autoflow.objective.drawing import Runner
from autoflow.objective.objective import Objective
from autoflow.runs.ledger import Ledger, Place

RERUN = "rerun"
"""Splits of runs that were changed begin with the split of the run they go on from, a slash and this word."""


class Stopped(Exception):  # noqa: N818  a person's wish is no error
    """`stop` was set while a strategy worked. What it paid for is on record: proposing again repeats it for nothing."""


class Stoppable:
    """A model that is asked nothing more once `stop` is set."""

    def __init__(self, model: Model, stop: asyncio.Event | None) -> None:
        self._model = model
        self._stop = stop

    @property
    def name(self) -> str:
        """Of the model within."""
        return self._model.name

    @property
    def features(self) -> frozenset[Feature]:
        """Of the model within."""
        return self._model.features

    async def complete(self, request: Request) -> Reply:
        """Answer, unless the run is to stop.

        Raises:
            Stopped: Before the call.
            ProviderError, BudgetExhaustedError: From the model within.
        """
        _look(self._stop)
        return await self._model.complete(request)

    async def aclose(self) -> None:
        """Close the model within."""
        await self._model.aclose()


class Bench:
    """The laboratory of one run: an `autoflow.core.strategy.Laboratory`."""

    def __init__(
        self,
        benchmark: Benchmark,
        scorer: Scorer,
        interpreter: Interpreter,
        ledger: Ledger,
        *,
        stop: asyncio.Event | None = None,
    ) -> None:
        """`interpreter` asks metered models; `scorer` can score; `stop` is heeded before each run."""
        self._benchmark = benchmark
        self._scorer = scorer
        self._interpreter = interpreter
        self._ledger = ledger
        self._stop = stop
        # Test tasks are not among them, so no strategy can name one.
        self._tasks: Mapping[str, Mapping[str, Task]] = {
            "train": {task.id: task for task in benchmark.train},
            "validation": {task.id: task for task in benchmark.validation},
        }

    async def attempt(self, workflow: Workflow, task: str) -> Tried:
        """See `Laboratory.attempt`."""
        return await self._scored(self._interpreter, workflow, self._task("train", task), "train")

    def trace(self, workflow: Workflow, split: str, task: str) -> Trace | None:
        """See `Laboratory.trace`."""
        return self._ledger.trace(Place(workflow.fingerprint(), split, self._task(split, task).id, 0))

    async def rerun(self, workflow: Workflow, split: str, task: str, changes: Sequence[Change]) -> Tried:
        """See `Laboratory.rerun`."""
        if not changes:
            raise UsageError("a re-run needs a change")
        *earlier, last = changes
        if earlier:
            before = await self.rerun(workflow, split, task, earlier)
            if before.trace is None:
                return before
            found: Trace | None = before.trace
        else:
            found = self.trace(workflow, split, task)
        if found is None:
            raise UsageError(f"workflow {workflow.name!r} was not run on {split} task {task!r}: it cannot be re-run")
        run = changed(found, last.visit, last.result)
        step = workflow.step(run.records[-1].step)
        fault = None if step.output is None else fault_of_value(last.result, step.output)
        if fault is not None:
            raise UsageError(f"this cannot be the result of step {step.name!r}: {fault}")
        # The wish itself names the place: an equal one is answered from the ledger.
        wish = digest([[change.visit, change.result] for change in changes])
        place = f"{split}/{RERUN} {wish[:16]}"
        return await self._scored(_Changing(self._interpreter, run), workflow, self._task(split, task), place)

    async def _scored(self, runner: Runner, workflow: Workflow, task: Task, split: str) -> Tried:
        _look(self._stop)
        # The gateway to scores, with one task and one draw: its rules on failures, faults and budgets hold here too.
        objective = Objective(self._benchmark.name, self._scorer, runner, self._ledger, concurrency=1)
        evaluation = await objective.score_all(workflow, (task,), split)
        return Tried(evaluation.results[0], self._ledger.trace(Place(workflow.fingerprint(), split, task.id, 0)))

    def _task(self, split: str, task: str) -> Task:
        if split not in self._tasks:
            raise UnknownNameError("split", split, list(self._tasks))
        if task not in self._tasks[split]:
            raise UnknownNameError(f"{split} task", task, list(self._tasks[split]))
        return self._tasks[split][task]


class _Changing:
    """Runs one changed run."""

    def __init__(self, interpreter: Interpreter, begun: Changed) -> None:
        self._interpreter = interpreter
        self._begun = begun

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        return await self._interpreter.run(workflow, task, sample=sample, changed=self._begun)


def _look(stop: asyncio.Event | None) -> None:
    if stop is not None and stop.is_set():
        raise Stopped
