"""Drives a run from the first proposal to the report; what it needs to resume is in the ledger."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from autoflow.baselines import find
from autoflow.bench import BenchConfig, BenchReport, Outcome, bench, check_held_out
from autoflow.benchmarks import loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget, Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.operator import Operator
from autoflow.core.score import ChecksFirst
from autoflow.core.strategy import Evaluation, Proposal, Situation, Strategy, Trial
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError, UsageError
from autoflow.improve.claims import claim
from autoflow.improve.config import REFERENCES, ImproveConfig, cards_of, make_strategy, resolved, run_path
from autoflow.improve.front import ordered, points
from autoflow.improve.least import least, refuse
from autoflow.improve.paraphrases import Wording, reworded
from autoflow.improve.report import ImproveReport, dropped_text
from autoflow.improve.rows import Reference, measured, reference_rows, results, rows, test_rows
from autoflow.improve.selection import HAND_WRITTEN, Cost, distinct, hand_written, incumbent, same
from autoflow.interpreter.run import Interpreter
from autoflow.language.dump import dump
from autoflow.lineup import calls_a_task, equal_to
from autoflow.models.factory import open_model as factory
from autoflow.objective.judging import ready
from autoflow.objective.laboratory import Bench, Stoppable, Stopped
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.objective.objective import BudgetReachedError, Interrupted, Objective, Progress, ProviderGoneError
from autoflow.objective.racing import Race
from autoflow.operators.library import library
from autoflow.runs import serial
from autoflow.runs.folder import FREE_KEYS, RunFolder
from autoflow.runs.ledger import Ledger
from autoflow.statistics import Interval
from autoflow.summary import Timing, interval_text, total

EventKind = Literal[
    "resumed", "round", "draft", "invalid", "duplicate", "progress", "scored", "chosen", "test", "stopped"
]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands, for whoever watches it."""

    rounds: int | None
    """How many there may be; `None`: the strategy decides."""

    best: str | None
    """The best on all of validation so far."""

    interval: Interval | None
    budget: Budget
    spend: Spend
    seconds: float
    """Age of the run, earlier sittings included."""

    failed_calls: int
    """Calls that brought no reply."""

    invalid: int
    """Drafts that could not be used."""


@dataclass(frozen=True, slots=True)
class ImproveEvent:
    """Something happened. `message` is for a person, the rest for a program."""

    kind: EventKind
    message: str
    round: int | None = None
    trial: str | None = None
    split: str | None = None
    progress: Progress | None = None
    """How far a candidate's scoring is; only on `progress`."""

    standing: Callable[[], Standing] | None = None
    """Says where the run stands. It takes some work: ask as often as a person looks."""


@dataclass(frozen=True, slots=True)
class Collaborators:
    """What a run works with. `None`: made from the configuration, and closed by the run."""

    benchmark: Benchmark | None = None
    test: Callable[[], Sequence[Task]] | None = None
    """Reads the test split, at the end and once; `None`: `autoflow.bench` does."""

    strategy: Strategy | None = None
    generator: Model | None = None
    interpreter: Model | None = None
    open_model: Callable[[str], Model] = factory
    """Opens what is `None` above, and the models that steps name."""

    price: Price | None = None
    clock: Callable[[], float] = time.time
    rng: Callable[[str], random.Random] = random.Random
    """Makes the source of randomness of a round from a text."""

    on_event: Callable[[ImproveEvent], None] | None = None
    stop: asyncio.Event | None = None
    """Once set, what is in flight ends and is recorded, and the run ends resumable."""


async def improve(
    config: ImproveConfig,
    collaborators: Collaborators = Collaborators(),
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
) -> ImproveReport:
    """Improve workflows for a benchmark and write the report into the run folder.

    A run that is stopped (budget, `stop`, provider gone) reports what it has, with its state; the same call resumes
    it and repeats no recorded call.

    Args:
        runs: Where the folder is made, unless `folder` names it.

    Raises:
        UnknownNameError: For an unknown benchmark, strategy or model provider.
        UsageError: For options that do not fit, and a dollar budget that meets a model without a price.
        RunError: If the folder is held by another process or holds another configuration.
        ProviderError: If a model cannot be asked at all, for example for want of a key.
    """
    benchmark = collaborators.benchmark or loader.load(config.benchmark, scorer=config.scorer, options=config.options)
    strategy = collaborators.strategy or make_strategy(config)
    if isinstance(benchmark.scorer, ChecksFirst):
        benchmark.scorer.check(
            (*benchmark.train[: config.train_limit], *benchmark.validation[: config.validation_limit])
        )
        if config.shortlist:
            # To find after hours that the test split's data is missing would be late.
            check_held_out(benchmark.scorer, config.benchmark, config.options, config.test_limit)
    settled = resolved(config, benchmark)
    path = folder if folder is not None else run_path(config, benchmark, runs)
    async with AsyncExitStack() as stack:
        run = stack.enter_context(RunFolder.open(path, settled, clock=collaborators.clock))
        driver = _Driver(
            config=config,
            collaborators=collaborators,
            benchmark=benchmark,
            strategy=strategy,
            run=run,
            stack=stack,
        )
        await driver.search()
        if driver.stopped is None:
            await driver.reword()
        if driver.stopped is None:
            await driver.test()
        report = driver.report(settled)
        driver.write(report)
        run.end(report.state)
        return report


@dataclass(frozen=True, slots=True)
class _Stop:
    state: Outcome
    message: str


class _Stopping(Exception):  # noqa: N818  a person's wish is no error
    """`stop` was set between two pieces of work."""


class _Driver:
    """One sitting."""

    def __init__(
        self,
        *,
        config: ImproveConfig,
        collaborators: Collaborators,
        benchmark: Benchmark,
        strategy: Strategy,
        run: RunFolder,
        stack: AsyncExitStack,
    ) -> None:
        self._config = config
        self._given = collaborators
        self._benchmark = replace(
            benchmark,
            train=benchmark.train[: config.train_limit],
            validation=benchmark.validation[: config.validation_limit],
        )
        if not self._benchmark.train or not self._benchmark.validation:
            raise UsageError(f"benchmark {benchmark.name!r} needs train and validation tasks to improve on")
        self._strategy = strategy
        self._run = run
        self._ledger: Ledger = run.ledger
        self._stack = stack
        self._meter = Meter.resuming(config.budget, run.ledger, collaborators.clock, price=collaborators.price)
        self._opened: dict[str, Model] = {}
        self._operators: dict[str, Operator] = {**library(), **benchmark.operators}
        self._cards = cards_of(config, benchmark)
        self._interpreter = collaborators.interpreter or self._open(config.interpreter)
        shared = config.generator == config.interpreter and collaborators.generator is None
        generator = collaborators.generator or (self._interpreter if shared else self._open(config.generator))
        # Made before anything is paid: a dollar budget that cannot be kept is refused at once.
        self._generator = Stoppable(Metered(generator, self._ledger, self._meter, role="generator"), collaborators.stop)
        self._metered: dict[str, Metered] = {}
        self._now: tuple[str, int, str] | None = None
        scorer = ready(benchmark.scorer, self._step_model)
        runner = Interpreter(
            Metered(self._interpreter, self._ledger, self._meter),
            self._operators,
            replace(config.settings, seed=config.seed),
            open_model=self._step_model,
        )
        self._laboratory = Bench(self._benchmark, scorer, runner, self._ledger, stop=collaborators.stop)
        self._objective = Objective(
            benchmark.name,
            scorer,
            runner,
            self._ledger,
            epochs=config.epochs,
            concurrency=config.concurrency,
            seed=config.seed,
            on_progress=self._progress,
            stop=collaborators.stop,
        )
        self._trials: list[Trial] = []
        self._best: tuple[str, Interval | None] | None = None
        """The best so far and its interval, which takes some work."""

        self._tests: list[tuple[str, BenchReport]] = []
        # Found before anything is paid: a method that this benchmark cannot have is refused at once.
        asked = REFERENCES if config.references and config.shortlist else ()
        self._methods = [find(name, benchmark, config.settings.max_steps) for name in asked]
        self._references: list[Reference] = []
        self._wordings: list[Wording] = []
        self.stopped: _Stop | None = None

    # The search

    async def search(self) -> None:
        """Score the hand-written workflow, then rounds until the strategy proposes nothing."""
        await self._heeding(self._searched())

    async def _searched(self) -> None:
        if self._run.resumed:
            self._tell("resumed", f"resuming {self._run.path}")
        baseline = self._benchmark.baseline
        if self._config.refuse_small and not self._ledger.spend().calls:
            needed = least(self._config, self._benchmark, self._strategy, self._operators, self._given.price)
            refuse(self._config, needed, by_hand=baseline is not None)
        if baseline is not None:
            proposal = Proposal(baseline, dump(baseline), "the benchmark's own workflow")
            await self._score(0, {HAND_WRITTEN: proposal})
        proposed = self._proposed()
        number = 1
        while await self._round(number, proposed.get(number)):
            number += 1

    async def reword(self) -> None:
        """Where it is asked for, see what the generator writes for the same task in other words. Nothing of it is
        chosen from, and the test split is still unread."""
        if self._config.paraphrases:
            await self._heeding(self._reworded())

    async def _reworded(self) -> None:
        async def score(workflow: Workflow) -> Evaluation:
            self._look_for_stop()
            self._now = ("paraphrases", 0, "validation")
            return await self._objective.score_all(workflow, self._benchmark.validation, "validation")

        count, seed = self._config.paraphrases, self._config.seed
        self._wordings = await reworded(self._situation(0), count, seed=seed, score=score)

    async def _heeding(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it; what ends it early ends the run, resumable."""
        try:
            await work
        except BudgetExhaustedError as error:
            self._end("budget", error.message)
        except (Interrupted, Stopped, _Stopping):
            self._end("interrupted", "interrupted")
        except ProviderGoneError as error:
            self._end("provider", error.message)
        except ProviderError as error:
            if not error.transient:
                raise
            self._end("provider", error.message)

    async def _round(self, number: int, recorded: Sequence[Proposal] | None) -> bool:
        """One round, proposed now or in an earlier sitting; whether there may be another."""
        if recorded is None:
            self._look_for_stop()
            self._tell("round", f"round {number}: {self._config.generator} writes", round_=number)
            recorded = await self._strategy.propose(self._situation(number))
            # One row for the whole round: a sitting killed here has either proposed all of it or none.
            packed = [serial.pack(proposal) for proposal in recorded]
            self._ledger.add_event("round", {"round": number, "proposals": packed})
        if not recorded:
            self._tell("round", f"round {number}: no further drafts", number)
        await self._score(number, {f"r{number}c{index}": proposal for index, proposal in enumerate(recorded, 1)})
        return bool(recorded)

    def _proposed(self) -> dict[int, list[Proposal]]:
        rounds: dict[int, list[Proposal]] = {}
        for event in self._ledger.events():
            if event.kind == "round":
                data: Any = event.data
                rounds[data["round"]] = [serial.unpack(Proposal, packed) for packed in data["proposals"]]
        return rounds

    def _situation(self, number: int) -> Situation:
        return Situation(
            benchmark=self._benchmark,
            cards=self._cards,
            trials=tuple(self._trials),
            generator=self._generator,
            rng=self._given.rng(f"{self._config.seed}/round {number}"),
            round=number,
            laboratory=self._laboratory,
        )

    async def _score(self, number: int, proposals: Mapping[str, Proposal]) -> None:
        """Score a round's drafts on train, race them on validation, and record them all."""
        for trial_id, proposal in proposals.items():
            await self._train(Trial(trial_id, number, proposal))
        await self._race(proposals)
        known = {trial.id for trial in self._ledger.trials()}
        for trial in [trial for trial in self._trials if trial.id in proposals]:
            self._keep(trial, known)

    async def _train(self, trial: Trial) -> None:
        workflow, number = trial.proposal.workflow, trial.round
        if workflow is None:
            errors, repairs = trial.proposal.errors, trial.proposal.repairs
            first = errors[0] if errors else "no workflow"
            self._tell("invalid", f"{trial.id}: invalid after {repairs} repairs: {first}", number, trial.id)
            self._trials.append(trial)
            return
        earlier = same(self._trials, workflow)
        if earlier is not None:
            self._tell("duplicate", f"{trial.id}: the same workflow as {earlier.id}", number, trial.id)
            self._trials.append(trial)
            return
        if number:
            reason = trial.proposal.reason
            steps = "1 step" if len(workflow.steps) == 1 else f"{len(workflow.steps)} steps"
            self._tell("draft", f"{trial.id}: {steps}, {reason}", number, trial.id)
        if "train" not in self._strategy.splits:
            self._trials.append(trial)
            return
        try:
            train = await self._on(trial, self._benchmark.train, "train")
        except (BudgetReachedError, Interrupted, ProviderGoneError) as error:
            # Shown in this sitting's report as far as it got, and left open in the ledger.
            self._trials.append(replace(trial, train=error.evaluation))
            raise
        self._trials.append(replace(trial, train=train))

    async def _race(self, names: Collection[str]) -> None:
        """Score on validation those of the round that may go there, against each other and the best so far."""
        runners = {
            trial.id: trial
            for trial in distinct(self._trials)
            if trial.id in names and (self._config.gate == "all" or self._reaches_parent(trial))
        }
        best = incumbent(self._trials)
        race = Race(
            list(runners),
            self._benchmark.validation,
            "validation",
            seed=self._config.seed,
            finished={} if best is None or best.validation is None else {best.id: best.validation},
            drop=self._config.race,
        )
        try:
            await race.run(lambda name, tasks: self._on(runners[name], tasks, "validation"))
        finally:
            # Also of a race that was stopped: this sitting's report shows how far it got.
            self._trials = [
                replace(trial, validation=race.evaluations.get(trial.id, trial.validation)) for trial in self._trials
            ]

    async def _on(self, trial: Trial, tasks: Sequence[Task], split: str) -> Evaluation:
        self._look_for_stop()
        self._now = (trial.id, trial.round, split)
        assert trial.proposal.workflow is not None  # noqa: S101  an invalid draft is not scored
        return await self._objective.score_all(trial.proposal.workflow, tasks, split)

    def _reaches_parent(self, trial: Trial) -> bool:
        parent = next((item for item in self._trials if item.id == trial.proposal.parent), None)
        mine = trial.train.mean if trial.train is not None else None
        if parent is None or parent.train is None or parent.train.mean is None:
            return True
        return mine is not None and mine >= parent.train.mean

    def _keep(self, trial: Trial, known: Collection[str]) -> None:
        """Record a trial whose scoring is done, with its twin's scores if it was drafted twice."""
        workflow = trial.proposal.workflow
        twin = None if workflow is None else same(self._trials, workflow)
        if twin is not None and twin.id != trial.id:
            trial = replace(trial, train=twin.train, validation=twin.validation)
            self._trials[[item.id for item in self._trials].index(trial.id)] = trial
        elif workflow is not None:
            parts = [f"train {self._said(trial.train)}"] if trial.train is not None else []
            if trial.validation is not None:
                parts.append(f"validation {self._said(trial.validation)}")
                if trial.validation.dropped is not None:
                    parts.append(dropped_text(trial.validation.dropped))
            self._tell("scored", f"{trial.id}: {'; '.join(parts)}", trial.round, trial.id)
        if trial.id not in known:
            self._ledger.add_trial(trial)
        if workflow is not None:
            self._run.save_workflow(trial.id, workflow)

    # The choice and the test split

    async def test(self) -> None:
        """Freeze the shortlist, then run it on the test split."""
        candidates = self._frozen()
        if candidates is None:
            candidates = ordered(self._config.objective, self._trials, self._cost, self._config.seed)
            # Recorded before the first test task is read: nothing that test says can change it.
            self._ledger.add_event("chosen", {"chosen": candidates})
        self._tell("chosen", f"chosen on validation: {candidates[0] if candidates else self._fallback()}")
        if not self._config.shortlist:
            return
        names = [trial.id for trial in self._trials if trial.round == 0] + candidates[: self._config.shortlist]
        tasks = self._given.test() if self._given.test is not None else None
        for name in names:
            workflow = next(trial for trial in self._trials if trial.id == name).proposal.workflow
            assert workflow is not None  # noqa: S101  only valid trials are chosen
            report = await self._measure(name, workflow, tasks)
            if report is not None:
                self._tests.append((name, report))
            if self.stopped is not None:
                return
        if names:
            await self._compare(candidates[0] if candidates else HAND_WRITTEN, tasks)

    async def _compare(self, best: str, tasks: Sequence[Task] | None) -> None:
        """Run the reference methods on the same tasks."""
        kept = dict(self._tests)[best]
        for method in self._methods:
            label, note, workflow = method.name, "", method.workflow
            if method.equal:
                taken = calls_a_task(kept, self._config.epochs)
                samples, workflow = equal_to(workflow, taken, self._benchmark, self._config.settings)
                label = f"{method.name}:{samples}"
                note = (
                    f"no task of {best} is scored, so its calls are not known"
                    if taken is None
                    else f"as many samples as make the calls of {best}, {taken:.2f} a task"
                )
            twin = same([trial for trial in self._trials if trial.id in dict(self._tests)], workflow)
            if twin is not None:
                note = f"the same workflow as {twin.id}"
                report: BenchReport | None = dict(self._tests)[twin.id]
            else:
                report = await self._measure(label, workflow, tasks)
            if report is not None:
                self._references.append(Reference(label, note, report))
            if self.stopped is not None:
                return

    async def _measure(self, name: str, workflow: Workflow, tasks: Sequence[Task] | None) -> BenchReport | None:
        """One workflow on the test split; `None` where the budget leaves nothing to begin with."""
        config = self._config
        left = self._left()
        if left is None:
            self._end("budget", "the budget is used up")
            return None
        self._tell("test", f"test split: {name}", trial=name)
        self._now = (name, 0, "test")
        report = await bench(
            BenchConfig(
                benchmark=config.benchmark,
                interpreter=config.interpreter,
                limit=config.test_limit,
                epochs=config.epochs,
                seed=config.seed,
                settings=config.settings,
                scorer=config.scorer,
                options=config.options,
                base_url=config.base_url,
                budget=left,
                concurrency=config.concurrency,
                command=config.command,
            ),
            workflow,
            self._benchmark,
            self._interpreter,
            tasks=tasks,
            folder=self._run.path / "test" / name.replace(":", "-"),
            open_model=self._open,
            price=self._given.price,
            clock=self._given.clock,
            on_progress=self._progress,
            stop=self._given.stop,
        )
        if report.state != "complete":
            self._end(report.state, f"while {name} was run on the test split")
        return report

    def _tested(self) -> list[BenchReport]:
        """Every run on the test split, once."""
        reports = [*(report for _, report in self._tests), *(item.report for item in self._references)]
        return list({report.folder: report for report in reports}.values())

    def _left(self) -> Budget | None:
        """The budget of the next test run; `None` where nothing is left."""
        spent = total([self._meter.spend, *(report.spend for report in self._tested())])
        return self._config.budget.less(spent, self._meter.seconds)

    # The report

    def report(self, settled: Mapping[str, Json]) -> ImproveReport:
        """What this sitting knows."""
        made, seconds = rows(self._trials, self._ledger, self._benchmark.scorer, self._config.seed)
        tests = test_rows(self._tests, self._config.seed)
        frozen = self._frozen()
        best = None if frozen is None else next(iter(frozen), self._fallback())
        trial = next((item for item in self._trials if item.id == best), None)
        if self.stopped is None:
            supported, said = claim(made, tests, best)
        else:
            supported = False
            said = f"The run is not complete ({self.stopped.state}), so nothing can be said of its workflows yet."
        tested = self._tested()
        return ImproveReport(
            folder=self._run.path,
            state="complete" if self.stopped is None else self.stopped.state,
            stopped="" if self.stopped is None else self.stopped.message,
            config={key: value for key, value in settled.items() if key not in FREE_KEYS},
            command=self._config.command,
            notes=self._benchmark.notes,
            label=self._benchmark.scorer.label,
            rows=made,
            front=points(self._trials),
            wordings=tuple(self._wordings),
            best=best,
            workflow=None if trial is None else trial.proposal.workflow,
            test=tests,
            references=reference_rows(self._references, dict(self._tests).get(best or ""), self._config.seed),
            supported=supported,
            verdict=said,
            generator=self._ledger.spend("generator"),
            interpreter=total([self._ledger.spend("interpreter"), *(item.spend for item in tested)]),
            answered=tuple(sorted({*self._ledger.models(), *(name for item in tested for name in item.answered)})),
            timing=Timing(
                seconds=self._meter.seconds,
                cached_calls=self._meter.spend.cached_calls,
                failed_calls=self._ledger.failed_calls() + sum(item.timing.failed_calls for item in tested),
                rows=seconds,
            ),
        )

    def write(self, report: ImproveReport) -> None:
        """Leave the report and the best workflow in the run folder."""
        self._run.write("report.json", json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
        self._run.write("report.txt", report.to_text())
        self._run.write("timing.json", json.dumps(asdict(report.timing), indent=1) + "\n")
        if report.workflow is not None:
            self._run.write("best.yaml", dump(report.workflow))

    # Small things

    def _frozen(self) -> list[str] | None:
        """The choice that is on record: candidates, the best first."""
        for event in self._ledger.events():
            if event.kind == "chosen":
                data: Any = event.data
                return list(data["chosen"])
        return None

    def _fallback(self) -> str | None:
        return None if hand_written(self._trials) is None else HAND_WRITTEN

    def _cost(self, trial: Trial) -> Cost:
        spend = total([result.spend for result in results(trial, "validation", self._ledger)])
        return (spend.usd, spend.tokens, spend.calls)

    def _said(self, evaluation: Evaluation) -> str:
        return interval_text(measured(evaluation, self._config.seed).interval)

    def _open(self, spec: str) -> Model:
        if spec not in self._opened:
            self._opened[spec] = self._given.open_model(spec)
            self._stack.push_async_callback(self._opened[spec].aclose)
        return self._opened[spec]

    def _step_model(self, spec: str) -> Model:
        if spec not in self._metered:
            self._metered[spec] = Metered(self._open(spec), self._ledger, self._meter)
        return self._metered[spec]

    def _look_for_stop(self) -> None:
        if self._given.stop is not None and self._given.stop.is_set():
            raise _Stopping

    def _end(self, state: Outcome, message: str) -> None:
        self.stopped = _Stop(state, message)
        self._tell("stopped", f"stopped ({state}): {message}; the same command resumes")

    def _standing(self) -> Standing:
        best = incumbent(self._trials)
        if best is not None and (self._best is None or self._best[0] != best.id):
            assert best.validation is not None  # noqa: S101  that is what it is the best on
            self._best = (best.id, measured(best.validation, self._config.seed).interval)
        return Standing(
            rounds=self._config.rounds,
            best=None if self._best is None else self._best[0],
            interval=None if self._best is None else self._best[1],
            budget=self._config.budget,
            spend=total([self._meter.spend, *(report.spend for report in self._tested())]),
            seconds=self._meter.seconds,
            failed_calls=self._ledger.failed_calls(),
            invalid=sum(trial.proposal.workflow is None for trial in self._trials),
        )

    def _progress(self, progress: Progress) -> None:
        if self._given.on_event is not None and self._now is not None:
            trial, number, split = self._now
            if split == "validation":
                # A race scores it part by part; a person wants to know how far it is of all.
                progress = replace(progress, total=len(self._benchmark.validation) * self._config.epochs)
            message = f"{trial} {split}: {progress.done} of {progress.total}"
            self._given.on_event(ImproveEvent("progress", message, number, trial, split, progress, self._standing))

    def _tell(self, kind: EventKind, message: str, round_: int | None = None, trial: str | None = None) -> None:
        if self._given.on_event is not None:
            self._given.on_event(ImproveEvent(kind, message, round_, trial, standing=self._standing))
