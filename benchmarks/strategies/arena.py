"""One strategy on one benchmark with one seed: what it found, what that cost, and how good it was on the way."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Model, Reply, Request
from autoflow.core.strategy import Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import AutoflowError
from autoflow.improve import Collaborators, ImproveConfig, ImproveEvent, improve
from autoflow.runs.ledger import Ledger
from autoflow.statistics import mean_interval

NEAR = 0.25
"""How far below the level a validation mean may be for the judge to be asked: four standard deviations, of 40 tasks."""

Judge = Callable[[Workflow], Awaitable[float | None]]
"""The score that counts: on tasks that no search has seen."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A strategy with its options."""

    label: str
    strategy: str
    options: Mapping[str, Json] = field(default_factory=dict)
    race: bool = True
    author: Mapping[str, float] = field(default_factory=dict)
    """What the simulated generator is to be otherwise."""


@dataclass(frozen=True, slots=True)
class Point:
    """The state of a search after one of its rounds."""

    evaluations: int
    """Task runs so far, of every split and of changed runs, those that ended in a fault too."""

    validation: float
    """Of the best so far."""

    true: float | None
    """The judge's score of it; `None` where the judge was not asked."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one search."""

    label: str
    seed: int
    state: str
    points: tuple[Point, ...]
    calls: int
    tokens: int
    usd: float
    seconds: float
    drafts: int
    invalid: int
    """Drafts that could not be used, and patches of `evolve` that could not."""

    validation_interval: tuple[float, float] | None = None
    """95 %, over tasks, of the last point's validation."""

    test_interval: tuple[float, float] | None = None
    """95 %, over tasks; `None` where the judge knows the true score."""

    @property
    def last(self) -> Point:
        """The end of the search."""
        return self.points[-1]


def reached(outcome: Outcome, level: float) -> int | None:
    """Task runs until the best so far first had a true score of `level`; `None` if it never had."""
    return next((point.evaluations for point in outcome.points if (point.true or 0.0) >= level), None)


def best(trials: Sequence[Trial]) -> Trial | None:
    """The highest mean on validation, the earliest among equals; what a race has dropped is out."""
    scored = [
        (trial.validation.mean, trial)
        for trial in trials
        if trial.validation is not None and trial.validation.mean is not None and trial.validation.dropped is None
    ]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


async def search(
    contender: Contender,
    config: ImproveConfig,
    given: Callable[[asyncio.Event, Callable[[ImproveEvent], None]], Collaborators],
    judge: Judge,
    folder: Path,
    *,
    most: int | None = None,
    until: float | None = None,
) -> Outcome:
    """Run a strategy to its end, to the end of its budget, or to a bound.

    Args:
        given: Makes the collaborators, with the event that stops the run and the listener.
        most: Task runs after which no further round begins.
        until: True score of the best so far at which none begins, either. The judge is asked on the way only where this
            is given, and only of a best within `NEAR` of it on validation: judging takes as long as searching.
    """
    stop = asyncio.Event()
    counts: dict[int, int] = {}
    ledger = folder / "ledger.sqlite"
    judging: list[asyncio.Task[None]] = []
    points: list[Point] = []
    judged: dict[str, float | None] = {}

    def listen(event: ImproveEvent) -> None:
        if event.kind == "round" and event.round is not None and event.round - 1 not in counts:
            # A round has begun, so the one before it is over.
            counts[event.round - 1] = _evaluations(ledger)
            judging.append(asyncio.create_task(in_turn(judging[-1:], event.round - 1)))
            if most is not None and counts[event.round - 1] >= most:
                stop.set()

    async def look(number: int, *, ask: bool = False) -> None:
        with closing(Ledger.reading(ledger)) as record:
            leader = best([trial for trial in record.trials() if trial.round <= number])
        if leader is None or leader.proposal.workflow is None or leader.validation is None:
            return
        name = leader.proposal.workflow.fingerprint()
        mean = leader.validation.mean or 0.0
        if name not in judged and (ask or (until is not None and mean >= until - NEAR)):
            judged[name] = await judge(leader.proposal.workflow)
        true = judged.get(name)
        points.append(Point(counts[number], mean, true))
        if until is not None and (true or 0.0) >= until:
            stop.set()

    async def in_turn(before: Sequence[asyncio.Task[None]], number: int) -> None:
        await asyncio.gather(*before)
        await look(number)

    collaborators = given(stop, listen)
    if collaborators.generator is not None:
        collaborators = replace(collaborators, generator=_Waiting(collaborators.generator, judging))
    try:
        report = await improve(config, collaborators, folder=folder)
        await asyncio.gather(*judging)
    finally:
        for task in judging:
            task.cancel()
    with closing(Ledger.reading(ledger)) as record:
        trials = record.trials()
    last = max((trial.round for trial in trials), default=0)
    # Also what was run for a round that came to nothing.
    counts[last] = _evaluations(ledger)
    await look(last, ask=True)
    if not points:
        raise AutoflowError(f"{contender.label}, seed {config.seed}: nothing was scored; {report.stopped}")
    leader = best(trials)
    shown = None
    if leader is not None and leader.validation is not None:
        interval = mean_interval(leader.validation.values, seed=config.seed)
        shown = (interval.low, interval.high)
    broken = [trial.proposal.notes.get("broken") for trial in trials]
    spend = report.generator + report.interpreter
    return Outcome(
        contender.label,
        config.seed,
        report.state,
        tuple(points),
        spend.calls,
        spend.tokens,
        spend.usd,
        report.timing.seconds,
        report.drafts,
        report.invalid + sum(count for count in broken if isinstance(count, int)),
        shown,
    )


class _Waiting:
    """A generator that answers once the rounds before are judged: models that take no time would run far ahead."""

    def __init__(self, model: Model, judging: Sequence[asyncio.Task[None]]) -> None:
        self.name = model.name
        self.features = model.features
        self._model = model
        self._judging = judging

    async def complete(self, request: Request) -> Reply:
        """The answer of the model within."""
        await asyncio.shield(asyncio.gather(*self._judging))
        return await self._model.complete(request)

    async def aclose(self) -> None:
        """Close the model within."""
        await self._model.aclose()


def configured(contender: Contender, base: ImproveConfig, seed: int, budget: Budget) -> ImproveConfig:
    """The configuration of one search. Rounds are no bound: it ends by its own rule, or by what it may spend."""
    return replace(
        base,
        strategy=contender.strategy,
        strategy_options={"rounds": 1000, **contender.options},
        race=contender.race,
        seed=seed,
        budget=budget,
        shortlist=0,
        references=False,
    )


def _evaluations(ledger: Path) -> int:
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
        counted = database.execute("SELECT (SELECT COUNT(*) FROM results) + (SELECT COUNT(*) FROM faults)")
        return int(counted.fetchone()[0])
