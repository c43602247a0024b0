"""Drives a strategy: records its proposals, pays for their scores, chooses on validation, then passes once over test.

Everything that a resumed run needs is in the run folder's ledger: a round that was proposed is not proposed again, a
task that was scored is not run again, and a choice that was made before the test split was read stands.
"""

import asyncio
import inspect
import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from autoflow import __version__, plugins
from autoflow.bench import BenchConfig, BenchReport, Outcome, bench
from autoflow.benchmarks import loader
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget, Spend
from autoflow.core.json import Json
from autoflow.core.model import Model
from autoflow.core.operator import Operator
from autoflow.core.strategy import Evaluation, Proposal, Situation, Strategy, Trial
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError, UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.language.dump import dump
from autoflow.models.factory import open_model as factory
from autoflow.objective.judging import ready
from autoflow.objective.meter import Meter, Price
from autoflow.objective.metered import Metered
from autoflow.objective.objective import BudgetReachedError, Interrupted, Objective, Progress, ProviderGoneError
from autoflow.operators.library import library
from autoflow.runs import serial
from autoflow.runs.folder import FREE_KEYS, RunFolder, default_name
from autoflow.runs.ledger import Ledger, Result
from autoflow.statistics import CONFIDENCE, Comparison, Interval, holm, mean_interval, paired, verdict

SCHEMA = 1
"""Version of `report.json`."""

HAND_WRITTEN = "hand-written"
"""Id of the trial that holds the benchmark's own workflow."""

Gate = Literal["all", "parent"]
"""Which candidates are scored on validation: all, or those whose train mean is at least their parent's."""

EventKind = Literal[
    "resumed", "round", "draft", "invalid", "duplicate", "progress", "scored", "chosen", "test", "stopped"
]


@dataclass(frozen=True, slots=True)
class ImproveConfig:
    """What is improved, by what, judged how. Budget, concurrency and command may change between sittings."""

    benchmark: str
    """Name, or path of a benchmark folder."""

    generator: str
    """`provider/model` that writes workflows."""

    interpreter: str
    """`provider/model` that runs them."""

    strategy: str = "in-context"
    strategy_options: Mapping[str, Json] = field(default_factory=dict)
    rounds: int | None = None
    """The strategy's option of that name; `None`: its default. `candidates` likewise."""

    candidates: int | None = None
    """Drafts a round."""

    epochs: int = 1
    """Times each task is run and averaged."""

    seed: int = 0
    settings: Settings = field(default_factory=Settings)
    """Of the interpreter; its seed is this one's."""

    scorer: str | None = None
    """`None`: the benchmark's own."""

    options: Mapping[str, Json] = field(default_factory=dict)
    """Of the benchmark."""

    train_limit: int | None = None
    """The first so many tasks of the split; `None`: all."""

    validation_limit: int | None = None
    test_limit: int | None = None
    gate: Gate = "all"
    shortlist: int = 1
    """How many candidates, besides the hand-written workflow, are run on test; 0 reads no test task."""

    base_url: str | None = None
    budget: Budget = field(default_factory=Budget)
    concurrency: int = 8
    command: str = ""
    """The command line, for the report."""

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("shortlist", 0), ("concurrency", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name} must be at least {least}, not {getattr(self, name)}")
        for name in ("rounds", "candidates", "train_limit", "validation_limit", "test_limit"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}")
        if self.gate not in ("all", "parent"):
            raise UsageError(f"gate is all or parent, not {self.gate!r}")


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


@dataclass(frozen=True, slots=True)
class Measured:
    """A workflow's scores on one split."""

    interval: Interval | None
    """`None` where no task is scored."""

    unscored: int


@dataclass(frozen=True, slots=True)
class Row:
    """One workflow, or one draft that was none, in the report."""

    id: str
    round: int
    valid: bool
    reason: str
    """Why it was proposed."""

    parent: str | None
    fingerprint: str | None
    duplicate_of: str | None
    """The earlier trial with the same workflow, whose scores these are."""

    errors: tuple[str, ...]
    repairs: int
    train: Measured | None
    validation: Measured | None
    against: Comparison | None
    """On validation, with the hand-written workflow."""

    p_holm: float | None
    """The comparison's p-value, adjusted for the number of candidates."""

    spend: Spend
    """Of running it on train and validation, whether asked or read from the record."""


@dataclass(frozen=True, slots=True)
class TestRow:
    """One workflow of the frozen shortlist on the test split."""

    __test__ = False

    id: str
    measured: Measured
    against: Comparison | None
    """With the hand-written workflow; `None` for itself, and where there is none."""

    p_holm: float | None
    spend: Spend


@dataclass(frozen=True, slots=True)
class Timing:
    """What no two executions share."""

    seconds: float
    """Of all sittings."""

    cached_calls: int
    """In this sitting: answers taken from the record."""

    failed_calls: int
    """In all sittings: calls that brought no reply."""

    rows: Mapping[str, float]
    """Seconds of each workflow's traces on train and validation, as first recorded."""


@dataclass(frozen=True, slots=True)
class ImproveReport:
    """What came of a run."""

    folder: Path
    state: Outcome
    stopped: str
    """Why the run stopped before its end; empty where it is complete."""

    config: Mapping[str, Json]
    command: str
    notes: tuple[str, ...]
    label: str
    """What the number is called: the scorer's label."""

    rows: tuple[Row, ...]
    """The hand-written workflow first, then the drafts in order."""

    best: str | None
    """Id of the workflow in `best.yaml`; `None` while none is chosen."""

    workflow: Workflow | None
    test: tuple[TestRow, ...]
    """The frozen shortlist; empty where the test split was not read."""

    supported: bool
    """Whether a candidate beat the hand-written workflow by a margin that the sample supports."""

    verdict: str
    """That in a sentence or two."""

    generator: Spend
    """What was paid for its calls: each recorded call once, other sittings' included."""

    interpreter: Spend
    answered: tuple[str, ...]
    """The models that answered."""

    timing: Timing

    @property
    def drafts(self) -> int:
        """Drafts proposed."""
        return sum(row.round > 0 for row in self.rows)

    @property
    def invalid(self) -> int:
        """Drafts that could not be used, also after their repairs."""
        return sum(not row.valid for row in self.rows)

    @property
    def exit_code(self) -> int:
        """0 complete, 5 the provider was gone, 6 budget reached, 130 interrupted; all but 0 resume."""
        return {"complete": 0, "budget": 6, "interrupted": 130, "provider": 5}[self.state]

    def to_json(self) -> dict[str, Any]:
        """The content of `report.json`: equal for equal work, however often it was interrupted."""
        return {
            "schema": SCHEMA,
            "kind": "improve",
            "autoflow": __version__,
            "state": self.state,
            "stopped": self.stopped,
            "command": self.command,
            "config": dict(self.config),
            "notes": list(self.notes),
            "score": self.label,
            "verdict": self.verdict,
            "supported": self.supported,
            "best": self.best,
            "workflow": None if self.workflow is None else dump(self.workflow),
            "drafts": self.drafts,
            "invalid_drafts": self.invalid,
            "rows": [_row_json(row) for row in self.rows],
            "test": [
                {
                    "id": row.id,
                    **_measured_json(row.measured),
                    "against_hand_written": _comparison_json(row.against, row.p_holm),
                    **_spend_json(row.spend),
                }
                for row in self.test
            ],
            "spend": {"generator": _spend_json(self.generator), "interpreter": _spend_json(self.interpreter)},
            "answered": list(self.answered),
        }

    def table(self) -> list[list[str]]:
        """The rows as text, the heading first; `*` marks the best."""
        heading = ["workflow", "train", "validation", "n", "unscored", "calls", "tokens", "task seconds", "note"]
        return [heading, *(self._cells(row) for row in self.rows)]

    def _cells(self, row: Row) -> list[str]:
        validation = row.validation
        seconds = self.timing.rows.get(row.id)
        return [
            f"{row.id}{' *' if row.id == self.best else ''}",
            _mean_cell(row.train),
            _interval_cell(validation),
            "-" if validation is None or validation.interval is None else str(validation.interval.n),
            "-" if row.train is None else str(row.train.unscored + (validation.unscored if validation else 0)),
            str(row.spend.calls) if row.valid else "-",
            str(row.spend.tokens) if row.valid else "-",
            "-" if seconds is None else f"{seconds:.1f}",
            _note(row),
        ]

    def to_text(self) -> str:
        """The content of `report.txt`."""
        config = self.config
        lines = [
            f"{self.label} on {config['benchmark']}, strategy {config['strategy']}, seed {config['seed']}, "
            f"epochs {config['epochs']}",
            f"generator {config['generator']}, interpreter {config['interpreter']}",
            "",
            *_aligned(self.table()),
            "",
        ]
        if self.state != "complete":
            lines += [f"not complete ({self.state}): {self.stopped}; the same command resumes", ""]
        if self.test:
            lines.append("test split, read once for the frozen shortlist:")
            for row in self.test:
                against = "" if row.against is None else f"; against {HAND_WRITTEN}: {verdict(row.against)}"
                unscored = f", unscored {row.measured.unscored}" if row.measured.unscored else ""
                lines.append(f"  {row.id}: {_said(row.measured)}{unscored}{against}")
            lines.append("")
        lines.append(self.verdict)
        if self.best is not None:
            lines.append(f"best workflow: {self.best}, in {self.folder / 'best.yaml'}")
        lines += [
            f"drafts: {self.drafts}, of which invalid {self.invalid}",
            f"generator spent {_spend_text(self.generator)}",
            f"interpreter spent {_spend_text(self.interpreter)}",
            f"{self.timing.seconds:.0f} s in all",
        ]
        if self.command:
            lines.append(f"command: {self.command}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join(lines) + "\n"


def resolved(config: ImproveConfig, benchmark: Benchmark) -> dict[str, Json]:
    """The configuration as the run folder keeps it; it names the folder and decides whether a run is resumed."""
    return {
        "kind": "improve",
        "command": config.command,
        "benchmark": benchmark.name,
        "data": benchmark.fingerprint,
        "options": dict(config.options),
        "scorer": benchmark.scorer.label,
        "baseline": None if benchmark.baseline is None else benchmark.baseline.fingerprint(),
        "strategy": config.strategy,
        "strategy_options": _options(config),
        "generator": config.generator,
        "interpreter": config.interpreter,
        "base_url": config.base_url,
        "settings": json.loads(json.dumps(asdict(replace(config.settings, seed=config.seed)))),
        "epochs": config.epochs,
        "seed": config.seed,
        "train_limit": config.train_limit,
        "validation_limit": config.validation_limit,
        "test_limit": config.test_limit,
        "gate": config.gate,
        "shortlist": config.shortlist,
        "concurrency": config.concurrency,
        "budget": asdict(config.budget),
    }


def run_path(config: ImproveConfig, benchmark: Benchmark, runs: Path) -> Path:
    """The folder below `runs` that this command makes, or finds again."""
    return runs / default_name("improve", benchmark.name, resolved(config, benchmark))


def make_strategy(config: ImproveConfig) -> Strategy:
    """The strategy with its options.

    Raises:
        UnknownNameError: For an unknown strategy.
        UsageError: For an option that it does not have, listing those it has.
    """
    plugin = plugins.load("strategies", config.strategy)
    known = list(inspect.signature(plugin).parameters)
    options = _options(config)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"strategy {config.strategy} has no option {unknown[0]!r}; there are: {', '.join(known)}")
    made: Strategy = plugin(**options)
    return made


def _options(config: ImproveConfig) -> dict[str, Json]:
    options = dict(config.strategy_options)
    for name, value in (("rounds", config.rounds), ("candidates", config.candidates)):
        if value is not None:
            options[name] = value
    return options


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
        self._interpreter = collaborators.interpreter or self._open(config.interpreter)
        same = config.generator == config.interpreter and collaborators.generator is None
        generator = collaborators.generator or (self._interpreter if same else self._open(config.generator))
        # Made before anything is paid: a dollar budget that cannot be kept is refused at once.
        self._generator = Metered(generator, self._ledger, self._meter, role="generator")
        self._metered: dict[str, Metered] = {}
        self._now: tuple[str, int, str] | None = None
        self._objective = Objective(
            benchmark.name,
            ready(benchmark.scorer, self._step_model),
            Interpreter(
                Metered(self._interpreter, self._ledger, self._meter),
                self._operators,
                replace(config.settings, seed=config.seed),
                open_model=self._step_model,
            ),
            self._ledger,
            epochs=config.epochs,
            concurrency=config.concurrency,
            seed=config.seed,
            on_progress=self._progress,
            stop=collaborators.stop,
        )
        self._trials: list[Trial] = []
        self._tests: list[tuple[str, BenchReport]] = []
        self.stopped: _Stop | None = None

    # The search

    async def search(self) -> None:
        """Score the hand-written workflow, then rounds until the strategy proposes nothing."""
        try:
            if self._run.resumed:
                self._tell("resumed", f"resuming {self._run.path}")
            baseline = self._benchmark.baseline
            if baseline is not None:
                proposal = Proposal(baseline, dump(baseline), "the benchmark's own workflow")
                await self._score(HAND_WRITTEN, 0, proposal)
            proposed = self._proposed()
            number = 1
            while await self._round(number, proposed.get(number)):
                number += 1
        except BudgetExhaustedError as error:
            self._end("budget", error.message)
        except (Interrupted, _Stopping):
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
        for index, proposal in enumerate(recorded, 1):
            await self._score(f"r{number}c{index}", number, proposal)
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
            cards=tuple(operator.card for operator in self._operators.values()),
            trials=tuple(self._trials),
            generator=self._generator,
            rng=self._given.rng(f"{self._config.seed}/round {number}"),
            round=number,
        )

    async def _score(self, trial_id: str, number: int, proposal: Proposal) -> None:
        workflow = proposal.workflow
        if workflow is None:
            first = proposal.errors[0] if proposal.errors else "no workflow"
            self._tell("invalid", f"{trial_id}: invalid after {proposal.repairs} repairs: {first}", number, trial_id)
            self._keep(Trial(trial_id, number, proposal))
            return
        same = _same(self._trials, workflow)
        if same is not None:
            self._tell("duplicate", f"{trial_id}: the same workflow as {same.id}", number, trial_id)
            self._keep(Trial(trial_id, number, proposal, same.train, same.validation))
            return
        if number:
            self._tell("draft", f"{trial_id}: {len(workflow.steps)} steps, {proposal.reason}", number, trial_id)
        trial = Trial(trial_id, number, proposal)
        try:
            train = await self._on(trial_id, number, workflow, self._benchmark.train, "train")
            trial = replace(trial, train=train)
            if self._config.gate == "all" or self._reaches_parent(trial):
                validation = await self._on(trial_id, number, workflow, self._benchmark.validation, "validation")
                trial = replace(trial, validation=validation)
        except (BudgetReachedError, Interrupted, ProviderGoneError) as error:
            # Shown in this sitting's report as far as it got, and left open in the ledger.
            split = error.evaluation.split
            self._trials.append(
                replace(trial, train=error.evaluation)
                if split == "train"
                else replace(trial, validation=error.evaluation)
            )
            raise
        self._keep(trial)
        said = f"{trial_id}: train {_said(self._measured(train))}"
        if trial.validation is not None:
            said += f"; validation {_said(self._measured(trial.validation))}"
        self._tell("scored", said, number, trial_id)

    async def _on(
        self, trial_id: str, number: int, workflow: Workflow, tasks: Sequence[Task], split: str
    ) -> Evaluation:
        self._look_for_stop()
        self._now = (trial_id, number, split)
        return await self._objective.score_all(workflow, tasks, split)

    def _reaches_parent(self, trial: Trial) -> bool:
        parent = next((item for item in self._trials if item.id == trial.proposal.parent), None)
        mine = trial.train.mean if trial.train is not None else None
        if parent is None or parent.train is None or parent.train.mean is None:
            return True
        return mine is not None and mine >= parent.train.mean

    def _keep(self, trial: Trial) -> None:
        self._trials.append(trial)
        if trial.id not in {recorded.id for recorded in self._ledger.trials()}:
            self._ledger.add_trial(trial)
        if trial.proposal.workflow is not None:
            self._run.save_workflow(trial.id, trial.proposal.workflow)

    # The choice and the test split

    def chosen(self) -> list[str]:
        """Ids of the candidates that are better on validation than the hand-written workflow, the best first.

        Ranked by the mean difference over tasks scored for both; a tie goes to the cheaper. A candidate with unscored
        tasks never outranks one without.
        """
        baseline = self._hand_written()
        ranked = []
        for order, trial in enumerate(_distinct(self._trials)):
            if trial is baseline or trial.validation is None or trial.validation.mean is None:
                continue
            cost = self._cost(trial)
            if baseline is None or baseline.validation is None or baseline.validation.mean is None:
                gain, dearer = trial.validation.mean, False
            else:
                comparison = _compared(trial.validation, baseline.validation, self._config.seed)
                gain = 0.0 if comparison is None else round(comparison.difference, 9)
                dearer = cost >= self._cost(baseline)
                if gain < 0 or (gain == 0 and dearer):
                    continue
            ranked.append(((trial.validation.unscored > 0, -gain, cost, order), trial.id))
        return [trial_id for _, trial_id in sorted(ranked)]

    def _cost(self, trial: Trial) -> tuple[float, int, int]:
        """Dollars where there are any, else tokens, else calls, of the validation runs."""
        spend = _total([result.spend for result in self._results(trial, "validation")])
        return (spend.usd, spend.tokens, spend.calls)

    async def test(self) -> None:
        """Freeze the shortlist, then run it on the test split."""
        candidates = self._frozen()
        if candidates is None:
            candidates = self.chosen()
            # Recorded before the first test task is read: nothing that test says can change it.
            self._ledger.add_event("chosen", {"chosen": candidates})
        self._tell("chosen", f"chosen on validation: {candidates[0] if candidates else self._fallback()}")
        if not self._config.shortlist:
            return
        names = [trial.id for trial in self._trials if trial.round == 0] + candidates[: self._config.shortlist]
        tasks = self._given.test() if self._given.test is not None else None
        for name in names:
            await self._test_one(name, tasks)
            if self.stopped is not None:
                return

    async def _test_one(self, name: str, tasks: Sequence[Task] | None) -> None:
        config = self._config
        left = self._left()
        if left is None:
            self._end("budget", "the budget is used up")
            return
        self._tell("test", f"test split: {name}", trial=name)
        self._now = (name, 0, "test")
        workflow = next(trial for trial in self._trials if trial.id == name).proposal.workflow
        assert workflow is not None  # noqa: S101  only valid trials are chosen
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
            folder=self._run.path / "test" / name,
            open_model=self._open,
            price=self._given.price,
            clock=self._given.clock,
            on_progress=self._progress,
            stop=self._given.stop,
        )
        self._tests.append((name, report))
        if report.state != "complete":
            self._end(report.state, f"while {name} was run on the test split")

    def _left(self) -> Budget | None:
        """The budget of the next test run; `None` where nothing is left."""
        budget = self._config.budget
        spent = _total([self._meter.spend, *(report.spend for _, report in self._tests)])
        left = {
            "usd": None if budget.usd is None else budget.usd - spent.usd,
            "tokens": None if budget.tokens is None else budget.tokens - spent.tokens,
            "calls": None if budget.calls is None else budget.calls - spent.calls,
            "seconds": None if budget.seconds is None else budget.seconds - self._meter.seconds,
        }
        if any(value is not None and value <= 0 for value in left.values()):
            return None
        return Budget(**left)  # type: ignore[arg-type]

    # The report

    def report(self, settled: Mapping[str, Json]) -> ImproveReport:
        """What this sitting knows."""
        rows, seconds = self._rows()
        tests = self._test_rows()
        complete = self.stopped is None
        frozen = self._frozen()
        best = None if frozen is None else next(iter(frozen), self._fallback())
        trial = next((item for item in self._trials if item.id == best), None)
        supported, said = self._verdict(rows, tests, best)
        spend = [report.spend for _, report in self._tests]
        return ImproveReport(
            folder=self._run.path,
            state="complete" if self.stopped is None else self.stopped.state,
            stopped="" if self.stopped is None else self.stopped.message,
            config={key: value for key, value in settled.items() if key not in FREE_KEYS},
            command=self._config.command,
            notes=self._benchmark.notes,
            label=self._benchmark.scorer.label,
            rows=rows,
            best=best,
            workflow=None if trial is None else trial.proposal.workflow,
            test=tests,
            supported=supported and complete,
            verdict=said,
            generator=self._ledger.spend("generator"),
            interpreter=_total([self._ledger.spend("interpreter"), *spend]),
            answered=tuple(
                sorted({*self._ledger.models(), *(name for _, bench in self._tests for name in bench.answered)})
            ),
            timing=Timing(
                seconds=self._meter.seconds,
                cached_calls=self._meter.spend.cached_calls,
                failed_calls=self._ledger.failed_calls() + sum(bench.timing.failed_calls for _, bench in self._tests),
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

    def _rows(self) -> tuple[tuple[Row, ...], dict[str, float]]:
        baseline = self._hand_written()
        distinct = {trial.id for trial in _distinct(self._trials)}
        against: dict[str, Comparison] = {}
        for trial in self._trials:
            if trial.id in distinct and trial is not baseline and trial.validation and baseline and baseline.validation:
                comparison = _compared(trial.validation, baseline.validation, self._config.seed)
                if comparison is not None:
                    against[trial.id] = comparison
        adjusted = dict(zip(against, holm([item.p_value for item in against.values()]), strict=True))
        rows = []
        seconds = {}
        for number, trial in enumerate(self._trials):
            workflow = trial.proposal.workflow
            same = None if workflow is None else _same(self._trials[:number], workflow)
            results: list[Result] = []
            if workflow is not None and same is None:
                results = self._results(trial, "train") + self._results(trial, "validation")
                seconds[trial.id] = math.fsum(result.seconds for result in results)
            rows.append(
                Row(
                    id=trial.id,
                    round=trial.round,
                    valid=workflow is not None,
                    reason=trial.proposal.reason,
                    parent=trial.proposal.parent,
                    fingerprint=None if workflow is None else workflow.fingerprint(),
                    duplicate_of=None if same is None else same.id,
                    errors=trial.proposal.errors,
                    repairs=trial.proposal.repairs,
                    train=None if trial.train is None else self._measured(trial.train),
                    validation=None if trial.validation is None else self._measured(trial.validation),
                    against=against.get(trial.id),
                    p_holm=adjusted.get(trial.id),
                    spend=_total([result.spend for result in results]),
                )
            )
        return tuple(rows), seconds

    def _test_rows(self) -> tuple[TestRow, ...]:
        by_name = {name: {row.id: row.score for row in report.rows} for name, report in self._tests}
        baseline = by_name.get(HAND_WRITTEN)
        against: dict[str, Comparison] = {}
        for name, scores in by_name.items():
            if baseline is not None and name != HAND_WRITTEN:
                comparison = _paired(list(scores.values()), [baseline[task] for task in scores], self._config.seed)
                if comparison is not None:
                    against[name] = comparison
        adjusted = dict(zip(against, holm([item.p_value for item in against.values()]), strict=True))
        return tuple(
            TestRow(
                name,
                Measured(report.interval, report.unscored),
                against.get(name),
                adjusted.get(name),
                _total([row.spend for row in report.rows]),
            )
            for name, report in self._tests
        )

    def _verdict(self, rows: Sequence[Row], tests: Sequence[TestRow], best: str | None) -> tuple[bool, str]:
        if self.stopped is not None:
            return (
                False,
                f"The run is not complete ({self.stopped.state}), so nothing can be said of its workflows yet.",
            )
        if self._hand_written() is None:
            if best is None:
                return False, "No draft could be scored, and there is no hand-written workflow."
            return False, f"{best} is the best on validation; there is no hand-written workflow to compare it with."
        candidates = [row for row in rows if row.round > 0 and row.valid and row.duplicate_of is None]
        nothing = "Nothing beat the hand-written workflow by a margin that the sample supports"
        if not candidates:
            return False, f"{nothing}: no draft was a new, valid workflow. The hand-written workflow is kept."
        if best == HAND_WRITTEN:
            compared = [row for row in candidates if row.against is not None]
            if not compared:
                return False, f"{nothing}: no candidate could be compared. The hand-written workflow is kept."
            top = max(compared, key=lambda row: row.against.difference if row.against is not None else 0.0)
            return False, (
                f"{nothing}: of {_count(len(candidates), 'candidate')}, {top.id} comes nearest on validation "
                f"({verdict(top.against)}). The hand-written workflow is kept."  # type: ignore[arg-type]
            )
        return _verdict_on_best(
            nothing,
            best or "",
            len(candidates),
            next((row for row in rows if row.id == best), None),
            next((row for row in tests if row.id == best), None),
        )

    # Small things

    def _frozen(self) -> list[str] | None:
        """The choice that is on record: candidates, the best first."""
        for event in self._ledger.events():
            if event.kind == "chosen":
                data: Any = event.data
                return list(data["chosen"])
        return None

    def _hand_written(self) -> Trial | None:
        return next((trial for trial in self._trials if trial.round == 0), None)

    def _fallback(self) -> str | None:
        return None if self._hand_written() is None else HAND_WRITTEN

    def _results(self, trial: Trial, split: str) -> list[Result]:
        workflow = trial.proposal.workflow
        return [] if workflow is None else list(self._ledger.results(workflow.fingerprint(), split))

    def _measured(self, evaluation: Evaluation) -> Measured:
        values = evaluation.values
        interval = mean_interval(values, seed=self._config.seed) if values else None
        return Measured(interval, evaluation.unscored)

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

    def _progress(self, progress: Progress) -> None:
        if self._given.on_event is not None and self._now is not None:
            trial, number, split = self._now
            message = f"{trial} {split}: {progress.done} of {progress.total}"
            self._given.on_event(ImproveEvent("progress", message, number, trial, split, progress))

    def _tell(self, kind: EventKind, message: str, round_: int | None = None, trial: str | None = None) -> None:
        if self._given.on_event is not None:
            self._given.on_event(ImproveEvent(kind, message, round_, trial))


def _verdict_on_best(
    nothing: str, best: str, candidates: int, row: Row | None, test: TestRow | None
) -> tuple[bool, str]:
    """What may be claimed of the candidate that validation chose: by test where it was read, else by validation."""
    if test is not None:
        where, comparison, p_value = "on test", test.against, test.p_holm
    else:
        where, comparison = "on validation", None if row is None else row.against
        p_value = None if row is None else row.p_holm
    among = f", best of {_count(candidates, 'candidate')} on validation,"
    if comparison is None or p_value is None:
        return False, f"{nothing}: {best}{among} could not be compared with it {where}."
    said = verdict(comparison)
    if comparison.difference > 0 and p_value < 1 - CONFIDENCE:
        return True, f"{best}{among} beat the hand-written workflow {where}: {said}."
    if comparison.difference > 0 and comparison.significant:
        said = f"{said}, but p = {p_value:.3f} when adjusted for the number compared"
    return False, f"{nothing}: {best}{among} shows {where} {said}."


def _same(trials: Sequence[Trial], workflow: Workflow) -> Trial | None:
    """The first trial with this workflow."""
    fingerprint = workflow.fingerprint()
    return next(
        (item for item in trials if item.proposal.workflow and item.proposal.workflow.fingerprint() == fingerprint),
        None,
    )


def _distinct(trials: Sequence[Trial]) -> list[Trial]:
    """The first trial of each workflow, in order."""
    first: dict[str, Trial] = {}
    for trial in trials:
        if trial.proposal.workflow is not None:
            first.setdefault(trial.proposal.workflow.fingerprint(), trial)
    return list(first.values())


def _compared(a: Evaluation, b: Evaluation, seed: int) -> Comparison | None:
    return _paired([result.value for result in a.results], [result.value for result in b.results], seed)


def _paired(a: Sequence[float | None], b: Sequence[float | None], seed: int) -> Comparison | None:
    both = any(x is not None and y is not None for x, y in zip(a, b, strict=True))
    return paired(a, b, seed=seed) if both else None


def _total(spends: Sequence[Spend]) -> Spend:
    total = sum(spends, Spend())
    # Which of equal calls was read from the record is a matter of timing, and so is the order of a plain sum.
    return replace(total, usd=math.fsum(spend.usd for spend in spends), cached_calls=0)


def _row_json(row: Row) -> dict[str, Any]:
    return {
        "id": row.id,
        "round": row.round,
        "valid": row.valid,
        "reason": row.reason,
        "parent": row.parent,
        "fingerprint": row.fingerprint,
        "duplicate_of": row.duplicate_of,
        "errors": list(row.errors),
        "repairs": row.repairs,
        "train": None if row.train is None else _measured_json(row.train),
        "validation": None if row.validation is None else _measured_json(row.validation),
        "against_hand_written": _comparison_json(row.against, row.p_holm),
        **_spend_json(row.spend),
    }


def _measured_json(measured: Measured) -> dict[str, Json]:
    interval = measured.interval
    if interval is None:
        return {"mean": None, "low": None, "high": None, "n": 0, "interval": None, "unscored": measured.unscored}
    return {
        "mean": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "n": interval.n,
        "interval": f"95 % {interval.method}",
        "unscored": measured.unscored,
    }


def _comparison_json(comparison: Comparison | None, p_holm: float | None) -> dict[str, Json] | None:
    return None if comparison is None else {**asdict(comparison), "p_holm": p_holm}


def _spend_json(spend: Spend) -> dict[str, Json]:
    return {
        "calls": spend.calls,
        "input_tokens": spend.input_tokens,
        "output_tokens": spend.output_tokens,
        "usd": spend.usd,
        "unpriced": spend.unpriced,
        "uncounted": spend.uncounted,
    }


def _spend_text(spend: Spend) -> str:
    unpriced = f" and {_count(spend.unpriced, 'call')} without a price" if spend.unpriced else ""
    return (
        f"{_count(spend.calls, 'call')}, {spend.input_tokens} tokens in, {spend.output_tokens} out, "
        f"${spend.usd:.4f}{unpriced}"
    )


def _said(measured: Measured) -> str:
    if measured.interval is None:
        return "no task scored"
    return f"{_interval_cell(measured)}, n = {measured.interval.n}"


def _mean_cell(measured: Measured | None) -> str:
    return "-" if measured is None or measured.interval is None else f"{measured.interval.mean:.3f}"


def _interval_cell(measured: Measured | None) -> str:
    if measured is None or measured.interval is None:
        return "-"
    interval = measured.interval
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _note(row: Row) -> str:
    if not row.valid:
        first = row.errors[0] if row.errors else "no workflow"
        return f"invalid after {_count(row.repairs, 'repair')}: {first if len(first) <= 60 else first[:57] + '...'}"
    if row.duplicate_of is not None:
        return f"the same as {row.duplicate_of}"
    if row.validation is None:
        return "not run on validation"
    return "" if row.against is None else f"{row.against.difference:+.3f}, p = {row.p_holm:.3f} (Holm)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
