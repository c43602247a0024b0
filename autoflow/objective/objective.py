"""Scores a workflow on tasks: the only gateway to scores, for every strategy and every trainer."""

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoflow.core.json import Json
from autoflow.core.score import Score, Scorer
from autoflow.core.strategy import Evaluation, TaskResult
from autoflow.core.task import Task
from autoflow.core.trace import Failure, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import AutoflowError, BudgetExhaustedError, ProviderError, SandboxError
from autoflow.runs.ledger import Fault, Ledger, Place

NOT_RUN = "not_run"
"""Reason of a task that a stopped run did not come to."""


class Runner(Protocol):
    """What runs a workflow on a task: `autoflow.interpreter.run.Interpreter`."""

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        """The trace; a failure is in it, not raised."""
        ...


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a candidate's scoring is, in draws: a task counts once an epoch."""

    done: int
    total: int
    mean: float | None
    """Of the draws scored so far."""

    unscored: int
    recorded: int
    """Of `done`: taken from the ledger."""


class Interrupted(Exception):  # noqa: N818  a person's wish is no error
    """Scoring was asked to stop. Everything in flight has ended and is recorded; the same command resumes."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__("interrupted; the same command resumes")
        self.evaluation = evaluation
        """With `None` for tasks that are not finished."""


class BudgetReachedError(BudgetExhaustedError):
    """The budget ended while a candidate was scored. Everything in flight has ended and is recorded."""

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message)
        self.evaluation = evaluation
        """With `None` for tasks that are not finished."""


class ProviderGoneError(ProviderError):
    """The model failed for so many draws in a row that asking on is pointless. What was done is recorded."""

    def __init__(self, message: str, evaluation: Evaluation) -> None:
        super().__init__(message, transient=True, hint="the same command resumes with what is missing")
        self.evaluation = evaluation
        """With `None` for tasks that are not finished."""


class Objective:
    """Scores candidates on train or validation tasks, from the ledger where it can.

    A workflow that failed scores 0 with the reason. A fault (provider, sandbox, budget, cancelled) is no score: it is
    recorded as a fault, the task's value is `None`, and the next call tries again. A judgement of `None` by the scorer
    itself ("not covered") is final.
    """

    def __init__(
        self,
        benchmark_name: str,
        scorer: Scorer,
        interpreter: Runner,
        ledger: Ledger,
        *,
        epochs: int = 1,
        concurrency: int = 8,
        seed: int | None = None,
        retry_faults: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """`epochs` draws a task, averaged. `seed` deals the order in which tasks run, so that a run that stops early
        has seen a random part; `None` keeps the order given. Without `retry_faults` a draw whose fault is on record
        stays unscored. Once `stop` is set, no further draw starts."""
        if epochs < 1 or concurrency < 1:
            raise ValueError(f"epochs and concurrency are at least 1, not {epochs} and {concurrency}")
        self.benchmark_name = benchmark_name
        self.scorer = scorer
        self._interpreter = interpreter
        self._ledger = ledger
        self.epochs = epochs
        self._concurrency = concurrency
        self._seed = seed
        self._retry_faults = retry_faults
        self._on_progress = on_progress
        self._stop = stop

    async def score_all(self, workflow: Workflow, tasks: Sequence[Task], split: str) -> Evaluation:
        """Score `workflow` on every task; one result per task, in the order given.

        Raises:
            BudgetReachedError: The budget ended.
            Interrupted: `stop` was set before every task was done.
            ProviderGoneError: The model failed for many draws in a row.
            AutoflowError: Misuse, such as an unknown operator; or a scorer that broke, naming the task.
        """
        scoring = _Scoring(self, workflow, tasks, split)
        return await scoring.run()


class _Scoring:
    """One call of `score_all`."""

    def __init__(self, objective: Objective, workflow: Workflow, tasks: Sequence[Task], split: str) -> None:
        self._objective = objective
        self._workflow = workflow
        self._candidate = workflow.fingerprint()
        self._tasks = tasks
        self._split = split
        self._open: dict[int, dict[int, _Drawn]] = {}
        self._finished: list[TaskResult | None] = [None] * len(tasks)
        self._done = self._unscored = self._recorded = 0
        self._sum = 0.0
        # By place, the last of each: what is not tried again.
        faults = [] if objective._retry_faults else objective._ledger.faults(self._candidate, split)
        self._left_alone = {fault.place: fault.reason for fault in faults}
        self._ended: Failure | None = None
        self._in_a_row = 0

    async def run(self) -> Evaluation:
        draws = self._draws()
        count = min(self._objective._concurrency, len(self._tasks) * self._objective.epochs)
        workers = [asyncio.create_task(self._work(draws)) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        evaluation = self._evaluation()
        if self._ended is not None and self._ended.reason == "budget":
            raise BudgetReachedError(self._ended.message, evaluation)
        if self._ended is not None:
            raise ProviderGoneError(
                f"{self._in_a_row} draws in a row failed for the provider; the last: {self._ended.message}", evaluation
            )
        if self._done < len(self._tasks) * self._objective.epochs:
            raise Interrupted(evaluation)
        return evaluation

    def _draws(self) -> Iterator[tuple[int, int]]:
        # Epochs inside tasks: a task is finished, and its tally dropped, as early as can be.
        order: Sequence[int] = range(len(self._tasks))
        if self._objective._seed is not None:
            order = list(order)
            random.Random(f"{self._objective._seed}/{self._split}").shuffle(order)  # noqa: S311  no secret
        return ((index, epoch) for index in order for epoch in range(self._objective.epochs))

    async def _work(self, draws: Iterator[tuple[int, int]]) -> None:
        stop = self._objective._stop
        for index, epoch in draws:
            task = self._tasks[index]
            place = Place(self._candidate, self._split, task.id, epoch)
            result = self._objective._ledger.result(place)
            if result is not None:
                self._recorded += 1
                self._count(index, epoch, _Drawn(result.score.value, result.score.reason, result.answer))
                if self._recorded % 100 == 0:
                    # Reading never waits; let signals, progress and other runs have their turn.
                    await asyncio.sleep(0)
            elif place in self._left_alone:
                self._recorded += 1
                self._count(index, epoch, _Drawn(None, self._left_alone[place], None))
            else:
                await self._draw(index, task, place)
            if self._ended is not None or (stop is not None and stop.is_set()):
                return

    async def _draw(self, index: int, task: Task, place: Place) -> None:
        trace = await self._objective._interpreter.run(self._workflow, task, sample=place.epoch)
        judged = await self._judged(task, trace)
        if isinstance(judged, Score):
            self._in_a_row = 0
            result = self._objective._ledger.add_result(place, judged, trace)
            self._count(index, place.epoch, _Drawn(result.score.value, result.score.reason, result.answer))
            return
        if judged.reason == "budget":
            # Not a fault of this task: nothing is recorded, and the task stays as if it had not begun.
            self._ended = self._ended or judged
            return
        self._objective._ledger.add_fault(Fault(place, judged.reason, judged.message), trace)
        self._count(index, place.epoch, _Drawn(None, judged.reason, None))
        if judged.reason == "provider":
            self._in_a_row += 1
            if self._in_a_row >= max(10, 2 * self._objective._concurrency):
                self._ended = self._ended or judged

    async def _judged(self, task: Task, trace: Trace) -> Score | Failure:
        """The score, or the fault that left none."""
        failure = trace.failure
        if failure is not None and failure.kind == "fault":
            return failure
        if failure is not None:
            return Score(0.0, failure.reason, {"message": failure.message, "step": failure.step})
        try:
            return await self._objective.scorer.score(task, trace)
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
                f"scorer {self._objective.scorer.label!r} failed on task {task.id!r}: {type(error).__name__}: {error}"
            ) from error

    def _count(self, index: int, epoch: int, drawn: "_Drawn") -> None:
        objective = self._objective
        draws = self._open.setdefault(index, {})
        draws[epoch] = drawn
        if drawn.value is None:
            self._unscored += 1
        else:
            self._sum += drawn.value
        self._done += 1
        if len(draws) == objective.epochs:
            # By epoch, not by who ended first: equal draws give equal results, bit for bit.
            in_order = [draws[number] for number in range(objective.epochs)]
            self._finished[index] = _averaged(self._tasks[index].id, in_order)
            del self._open[index]
        if objective._on_progress is not None:
            scored = self._done - self._unscored
            total = len(self._tasks) * objective.epochs
            mean = self._sum / scored if scored else None
            objective._on_progress(Progress(self._done, total, mean, self._unscored, self._recorded))

    def _evaluation(self) -> Evaluation:
        return Evaluation(
            self._split,
            tuple(
                result if result is not None else TaskResult(self._tasks[index].id, None, NOT_RUN)
                for index, result in enumerate(self._finished)
            ),
        )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """One draw's outcome."""

    value: float | None
    reason: str
    answer: Json


def _averaged(task: str, draws: Sequence[_Drawn]) -> TaskResult:
    values = [drawn.value for drawn in draws if drawn.value is not None]
    return TaskResult(
        task,
        # A task with a fault in any epoch waits for it: a mean over fewer draws is another quantity.
        math.fsum(values) / len(values) if len(values) == len(draws) else None,
        next((drawn.reason for drawn in draws if drawn.reason), ""),
        draws[0].answer,
    )
