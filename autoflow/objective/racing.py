"""Racing: candidates are scored side by side on a growing part of the tasks, and the beaten ones go no further.

After 16, 32, 64, ... tasks of one seeded order, each candidate is tested against the incumbent, the one that leads so
far. It is dropped if a one-sided paired test gives p < 0.05 / number of looks, or if perfect scores on all other tasks
could not catch up. What is left at the end has been scored on every task.

Who wins is then, but for rare draws, who would have won without a race: `benchmarks/strategies/racing.py` measures it.
"""

import math
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from autoflow.core.strategy import Dropped, Evaluation
from autoflow.core.task import Task
from autoflow.objective.objective import BudgetReachedError, Interrupted, ProviderGoneError
from autoflow.statistics import one_sided

FIRST_LOOK = 16
ALPHA = 0.05
"""Chance, at most and all looks together, that a candidate is dropped for one that is no better. Where the incumbent
is the luckiest of many, it is more."""

Values = Sequence[float | None]
"""Scores in the race's order; `None` where a task has none."""

Scoring = Callable[[str, Sequence[Task]], Awaitable[Evaluation]]
"""Scores the candidate of this name on tasks: `Objective.score_all`, which reads from the ledger what is there."""


def looks(total: int) -> tuple[int, ...]:
    """After how many of `total` tasks candidates may be dropped; never after all of them."""
    found = []
    count = FIRST_LOOK
    while count < total:
        found.append(count)
        count *= 2
    return tuple(found)


def beaten(
    running: Mapping[str, Values], finished: Mapping[str, Values], total: int, *, seed: int
) -> dict[str, Dropped]:
    """The rule: which of `running` are dropped at this look.

    Args:
        running: Scores on the first tasks of the order, the same number for each.
        finished: Scores on all `total` tasks, of candidates that need not run again.
        seed: Of the permutation test, for scores other than 0 and 1.
    """
    count = len(next(iter(running.values())))
    limit = ALPHA / len(looks(total))
    seen = {**{name: values[:count] for name, values in finished.items()}, **running}
    leader = max(seen, key=lambda name: _mean(seen[name]))
    # Certain even if every other task comes out at 0.
    certain = {name: _sum(values) for name, values in {**running, **finished}.items()}
    strongest = max(certain, key=lambda name: certain[name])
    dropped = {}
    for name, values in running.items():
        p_value = None if name == leader else _p_value(values, seen[leader], seed)
        known = sum(value is not None for value in values)
        if p_value is not None and p_value < limit:
            dropped[name] = Dropped(count, leader, p_value)
        elif _sum(values) + total - known < certain[strongest] - 1e-9:
            dropped[name] = Dropped(count, strongest, None)
    return dropped


def _mean(values: Values) -> float:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else -1.0


def _sum(values: Values) -> float:
    return math.fsum(value for value in values if value is not None)


def _p_value(values: Values, leader: Values, seed: int) -> float | None:
    if any(x is not None and y is not None for x, y in zip(values, leader, strict=True)):
        return one_sided(values, leader, seed=seed)
    return None


class Race:
    """One race. What it knows is in `evaluations`, also when it was stopped."""

    def __init__(
        self,
        names: Sequence[str],
        tasks: Sequence[Task],
        split: str,
        *,
        seed: int,
        finished: Mapping[str, Evaluation] | None = None,
        drop: bool = True,
    ) -> None:
        """`finished` are evaluations on all `tasks` to race against; without `drop` all candidates run to the end."""
        self._names = names
        self._tasks = tasks
        self._seed = seed
        self._finished = finished or {}
        self._looks = looks(len(tasks)) if drop else ()
        # The same for every race of a run on a split: a candidate that comes later meets the same first tasks.
        self._order = random.Random(f"{seed}/race/{split}").sample(range(len(tasks)), len(tasks))  # noqa: S311
        self.evaluations: dict[str, Evaluation] = {}
        """By name: results in the order of `tasks`, on as many as were looked at."""

    async def run(self, score: Scoring) -> None:
        """Score all candidates on as many tasks as each needs.

        Every look scores the order's first tasks anew: `score` reads the known ones from the record and tries faults
        again, so a race that was stopped resumes with no state of its own.

        Raises:
            BudgetReachedError, Interrupted, ProviderGoneError: From `score`.
        """
        running = list(self._names)
        total = len(self._tasks)
        for count in (*self._looks, total):
            if count < total and len(running) + len(self._finished) < 2:
                continue
            first = sorted(self._order[:count])
            for name in running:
                try:
                    self.evaluations[name] = await score(name, [self._tasks[index] for index in first])
                except (BudgetReachedError, Interrupted, ProviderGoneError) as error:
                    self.evaluations[name] = error.evaluation
                    raise
            if count < total and running:
                for name, reason in self._beaten(running, count).items():
                    running.remove(name)
                    self.evaluations[name] = replace(self.evaluations[name], dropped=reason)

    def _beaten(self, running: Sequence[str], count: int) -> dict[str, Dropped]:
        return beaten(
            {name: self._values(self.evaluations[name], count) for name in running},
            {name: self._values(evaluation, len(self._tasks)) for name, evaluation in self._finished.items()},
            len(self._tasks),
            seed=self._seed,
        )

    def _values(self, evaluation: Evaluation, count: int) -> Values:
        by_task = {result.task: result.value for result in evaluation.results}
        return [by_task[self._tasks[index].id] for index in self._order[:count]]
