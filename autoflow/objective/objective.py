"""Scores a workflow on tasks: the only gateway to scores, for every strategy and every trainer."""

import asyncio
import math
import random
from array import array
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from typing import Literal

from autoflow.core.score import Score, Scorer
from autoflow.core.strategy import Cost, Evaluation, TaskResult, mean_cost
from autoflow.core.task import Task
from autoflow.core.trace import Failure
from autoflow.core.workflow import Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError
from autoflow.objective.drawing import Drawer, Here, Runner
from autoflow.runs.ledger import Fault, Ledger, Place, Result

NOT_RUN = "not_run"
"""Reason of a task that a stopped run did not come to."""

AT_HAND = 1_000
"""Judgements of a scoring that are kept besides the ledger: most scorings have no more, and need not read them back."""


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
        drawer: Drawer | None = None,
    ) -> None:
        """`epochs` draws a task, averaged. `seed` deals the order in which tasks run, so that a run that stops early
        has seen a random part; `None` keeps the order given. Without `retry_faults` a draw whose fault is on record
        stays unscored. Once `stop` is set, no further draw starts.
        `drawer` carries the draws out in the place of `interpreter` and `scorer`, elsewhere."""
        if epochs < 1 or concurrency < 1:
            raise ValueError(f"epochs and concurrency are at least 1, not {epochs} and {concurrency}")
        self.benchmark_name = benchmark_name
        self.scorer = scorer
        self._drawer = drawer or Here(interpreter, scorer)
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
        tally = await self.record_all(workflow, tasks, split)
        candidate = workflow.fingerprint()
        results = []
        for index, task in enumerate(tasks):
            places = [Place(candidate, split, task.id, epoch) for epoch in range(self.epochs)]
            drawn = tally.drawn(self._ledger, index, places)
            costs = [self._cost(result) for result in drawn if result is not None]
            results.append(result_of(task.id, drawn, tally.reasons(index, self.epochs), costs))
        evaluation = Evaluation(split, tuple(results))
        if tally.ended == "budget":
            raise BudgetReachedError(tally.message, evaluation)
        if tally.ended == "provider":
            raise ProviderGoneError(tally.message, evaluation)
        if tally.ended == "interrupted":
            raise Interrupted(evaluation)
        return evaluation

    def _cost(self, result: Result) -> Cost:
        spend = result.spend
        return Cost(
            float(spend.calls),
            None if spend.uncounted else float(spend.tokens),
            None if spend.unpriced else spend.usd,
            self._ledger.call_seconds(result.place),
        )

    async def record_all(self, workflow: Workflow, tasks: Sequence[Task], split: str) -> "Tally":
        """As `score_all`, for more tasks than results should be in memory: they are in the ledger, and only what is
        not there is told.

        Raises:
            AutoflowError: As `score_all`, but for a stop, which the tally tells.
        """
        return await _Scoring(self, workflow, tasks, split).run()


@dataclass(slots=True)
class Tally:
    """What a scoring leaves besides the ledger."""

    ended: Literal["complete", "budget", "interrupted", "provider"]
    message: str
    """Why it stopped; empty where it is complete."""

    faults: dict[int, str]
    """Why there is no judgement, by the draw's number: index of the task x epochs + epoch."""

    at_hand: dict[int, Result]
    """What is on record of the first draws that ended, by the draw's number."""

    def drawn(self, ledger: Ledger, index: int, places: Sequence[Place]) -> list[Result | None]:
        """What is on record of the task at `index` of those scored, whose places these are, by epoch."""
        first = index * len(places)
        return [self.at_hand.get(first + epoch) or ledger.result(place) for epoch, place in enumerate(places)]

    def reasons(self, index: int, epochs: int) -> list[str | None]:
        """Why there is no judgement of a task, by epoch; `None`: there is one, or the draw was not come to."""
        return [self.faults.get(index * epochs + epoch) for epoch in range(epochs)]


def result_of(
    task: str, drawn: Sequence[Result | None], faults: Sequence[str | None], costs: Sequence[Cost] = ()
) -> TaskResult:
    """The task's outcome from its recorded judgements and this sitting's faults, both by epoch, and what each took."""
    reasons = [fault if result is None else result.score.reason for result, fault in zip(drawn, faults, strict=True)]
    if None in reasons:
        return TaskResult(task, None, NOT_RUN)
    values = [result.score.value for result in drawn if result is not None and result.score.value is not None]
    return TaskResult(
        task,
        # A task with a fault in any epoch waits for it: a mean over fewer draws is another quantity.
        math.fsum(values) / len(values) if len(values) == len(drawn) else None,
        next((reason for reason in reasons if reason), ""),
        None if drawn[0] is None else drawn[0].answer,
        mean_cost(costs),
        tuple(None if result is None else result.score.value for result in drawn) if len(drawn) > 1 else (),
    )


class _Scoring:
    """One call of `score_all`."""

    def __init__(self, objective: Objective, workflow: Workflow, tasks: Sequence[Task], split: str) -> None:
        self._objective = objective
        self._workflow = workflow
        self._candidate = workflow.fingerprint()
        self._tasks = tasks
        self._split = split
        self._faults: dict[int, str] = {}
        self._at_hand: dict[int, Result] = {}
        self._done = self._unscored = self._recorded = 0
        self._sum = 0.0
        # By place, the last of each: what is not tried again.
        faults = [] if objective._retry_faults else objective._ledger.faults(self._candidate, split)
        self._left_alone = {fault.place: fault.reason for fault in faults}
        self._ended: Failure | None = None
        self._in_a_row = 0

    async def run(self) -> Tally:
        draws = self._draws()
        count = min(self._objective._concurrency, len(self._tasks) * self._objective.epochs)
        workers: list[asyncio.Task[None]] = []
        try:
            for _ in range(count):
                workers.append(asyncio.create_task(self._work(draws)))
                # One after another: begun all at once, the first call would wait until the last task is as far.
                await asyncio.sleep(0)
            await asyncio.gather(*workers)
        except BaseException:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            raise
        if self._ended is not None and self._ended.reason == "budget":
            return Tally("budget", self._ended.message, self._faults, self._at_hand)
        if self._ended is not None:
            message = f"{self._in_a_row} draws in a row failed for the provider; the last: {self._ended.message}"
            return Tally("provider", message, self._faults, self._at_hand)
        if self._done < len(self._tasks) * self._objective.epochs:
            return Tally("interrupted", "stopped before every task was done", self._faults, self._at_hand)
        return Tally("complete", "", self._faults, self._at_hand)

    def _draws(self) -> Iterator[tuple[int, int]]:
        # Epochs inside tasks: a run that is stopped then has finished as many tasks as can be.
        order: MutableSequence[int] = array("L", range(len(self._tasks)))
        if self._objective._seed is not None:
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
                self._judged(index, result)
                if self._recorded % 100 == 0:
                    # Reading never waits; let signals, progress and other runs have their turn.
                    await asyncio.sleep(0)
            elif place in self._left_alone:
                self._recorded += 1
                self._faults[index * self._objective.epochs + epoch] = self._left_alone[place]
                self._count(None)
            else:
                await self._draw(index, task, place)
            if self._ended is not None or (stop is not None and stop.is_set()):
                return

    async def _draw(self, index: int, task: Task, place: Place) -> None:
        drawn = await self._objective._drawer.draw(self._workflow, task, place.epoch)
        trace, judged = drawn.trace, drawn.judged
        if isinstance(judged, Score):
            self._in_a_row = 0
            self._judged(index, self._objective._ledger.add_result(place, judged, trace))
            return
        if judged.reason == "budget":
            # Not a fault of this task: nothing is recorded, and the task stays as if it had not begun.
            self._ended = self._ended or judged
            return
        self._objective._ledger.add_fault(Fault(place, judged.reason, judged.message), trace)
        self._faults[index * self._objective.epochs + place.epoch] = judged.reason
        self._count(None)
        if judged.reason == "provider":
            self._in_a_row += 1
            if self._in_a_row >= max(10, 2 * self._objective._concurrency):
                self._ended = self._ended or judged

    def _judged(self, index: int, result: Result) -> None:
        if len(self._at_hand) < AT_HAND:
            self._at_hand[index * self._objective.epochs + result.place.epoch] = result
        self._count(result.score.value)

    def _count(self, value: float | None) -> None:
        objective = self._objective
        if value is None:
            self._unscored += 1
        else:
            self._sum += value
        self._done += 1
        if objective._on_progress is not None:
            scored = self._done - self._unscored
            total = len(self._tasks) * objective.epochs
            mean = self._sum / scored if scored else None
            objective._on_progress(Progress(self._done, total, mean, self._unscored, self._recorded))
