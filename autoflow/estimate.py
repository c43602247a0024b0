"""What a command will take from here on, told before it starts: model calls, tokens, US dollars, seconds.

What is on record is not counted. Where tasks are on record, the rest is taken to cost what they did on average; where
none is, the workflow's structure and the price table say the least and the most. What is not known is said to be so.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from autoflow.bench import BenchConfig, run_path
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Spend
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.counting import CHARACTERS_A_TOKEN, NOTHING, UNLOADED, Bounds, Load, load_of
from autoflow.improve import REFERENCES, ImproveConfig, make_strategy
from autoflow.improve import run_path as search_path
from autoflow.interpreter.settings import Settings
from autoflow.language import document
from autoflow.lineup import Entry, equal_to
from autoflow.matrix import MEASURED, MatrixConfig
from autoflow.matrix import run_path as matrix_path
from autoflow.objective.meter import Price
from autoflow.operators.library import library
from autoflow.runs.folder import kind_of
from autoflow.runs.ledger import Ledger, Result
from autoflow.scorers.llm_judge import NeedsModel
from autoflow.zero_shot import PLACEHOLDER

LEDGER = "ledger.sqlite"

_SAMPLE = 1_000
# So many tasks tell how long they are: there may be a hundred thousand, on disk.

_JUDGE_CHARS = 2_000
_JUDGE_TOKENS = 300
# What a judge reads besides task and answer, and writes, at most.


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to do. Sums of estimates are estimates."""

    runs: int = 0
    """Runs of a workflow on a task, each epoch counted."""

    recorded: int = 0
    """Besides them: such runs that are on record."""

    load: Load = UNLOADED
    """Calls and tokens of all of them, a judge's and a generator's included."""

    usd: Bounds | None = NOTHING
    """`None`: a price is not known."""

    seconds: float | None = 0.0
    """`None`: nothing is on record to tell it by."""

    assumed: tuple[str, ...] = ()
    """What it rests on, besides the record."""

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(
            self.runs + other.runs,
            self.recorded + other.recorded,
            self.load + other.load,
            None if self.usd is None or other.usd is None else self.usd + other.usd,
            None if self.seconds is None or other.seconds is None else self.seconds + other.seconds,
            tuple(dict.fromkeys((*self.assumed, *other.assumed))),
        )

    def line(self) -> str:
        """One line for the person at the terminal."""
        if not self.runs and not self.load.calls.low:
            return f"estimate: nothing to do, {_runs(self.recorded)} on record"
        recorded = f" ({self.recorded:,} more on record)" if self.recorded else ""
        tokens = self.load.input_tokens + self.load.output_tokens
        usd = "price unknown" if self.usd is None else _span(self.usd, _dollars)
        seconds = "time unknown" if self.seconds is None else f"about {_rounded(self.seconds)} s"
        said = [
            f"{_runs(self.runs)} to do{recorded}",
            f"{_span(self.load.calls, _whole)} call{'' if self.load.calls == Bounds(1, 1) else 's'}",
            f"{_span(tokens, _rounded)} tokens",
            usd,
            seconds,
        ]
        return "estimate: " + "; ".join([", ".join(said), *self.assumed])

    def to_json(self) -> dict[str, Any]:
        """All of it; `null` is what is not known."""
        load = self.load
        return {
            "task_runs": self.runs,
            "recorded": self.recorded,
            "calls": _bounds(load.calls),
            "input_tokens": _bounds(load.input_tokens),
            "output_tokens": _bounds(load.output_tokens),
            "usd": None if self.usd is None else _bounds(self.usd),
            "seconds": self.seconds,
            "assumed": list(self.assumed),
        }


def of_bench(
    config: BenchConfig,
    entries: Sequence[Entry],
    benchmark: Benchmark,
    tasks: Sequence[Task],
    price: Price,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
) -> Estimate:
    """Of measuring the entries one after the other; `folder` is the run's where there is one entry."""
    found = Estimate()
    for entry in entries:
        workflow: Workflow | None = entry.workflow
        if entry.writing is not None:
            found += _of_drafts(
                replace(config, writing=entry.writing), benchmark, tasks, price, runs=runs, folder=folder
            )
            continue
        if entry.baseline is not None and entry.baseline.equal:
            workflow = _equal(entry, entries[0], config, benchmark, tasks, runs=runs)
        if workflow is None:
            # How many samples it draws, the first will tell; that many make the same number of calls.
            told = _Known(config.interpreter, config.settings, benchmark, price)
            same = f"{entry.label} is taken to take what {entries[0].label} does"
            estimate = told.runs(entries[0].workflow, tasks, len(tasks) * config.epochs, _Record())
            found += replace(estimate, assumed=(same,))
        else:
            path = folder if folder is not None else run_path(config, workflow, benchmark, runs)
            found += _of_one(config, workflow, benchmark, tasks, price=price, path=path)
    return found


def of_improve(
    config: ImproveConfig,
    benchmark: Benchmark,
    test_tasks: int,
    price: Price,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
) -> Estimate:
    """Of a search. Drafts are taken to need what the hand-written workflow does, since nobody has read them yet.

    Args:
        test_tasks: How many test tasks the shortlist and the reference methods are run on at the end.
    """
    strategy = make_strategy(config)
    rounds = getattr(strategy, "rounds", None)
    drafts = rounds * getattr(strategy, "candidates", 1) if isinstance(rounds, int) else 0
    splits = {
        "train": benchmark.train[: config.train_limit],
        "validation": benchmark.validation[: config.validation_limit],
    }
    tasks = [task for name in getattr(strategy, "splits", tuple(splits)) for task in splits.get(name, ())]
    path = folder if folder is not None else search_path(config, benchmark, runs)
    searched = _search_record(path, tuple(splits))
    recorded = searched.runs
    if searched.complete:
        return Estimate(recorded=recorded.count)
    hand = benchmark.baseline is not None
    left = 0 if searched.chosen else max(0, drafts - searched.drafts)
    candidates = left + (hand and not searched.hand_written)
    finalists = hand + min(config.shortlist, drafts or config.shortlist) + len(REFERENCES) * config.references
    tested = finalists * test_tasks if config.shortlist else 0
    # The description as written and in other words, a draft and a validation each; the other words take a call, too.
    wordings = config.paraphrases + 1 if config.paraphrases and not searched.chosen else 0
    told = _Known(config.interpreter, config.settings, benchmark, price)
    count = (candidates * len(tasks) + wordings * len(splits["validation"]) + tested) * config.epochs
    estimate = replace(told.runs(benchmark.baseline, tasks, count, recorded), recorded=recorded.count)
    if tested and config.references:
        methods = f"{', '.join(REFERENCES)} are each taken to need what the hand-written workflow does"
        estimate = replace(estimate, assumed=(*estimate.assumed, methods))
    if not isinstance(rounds, int):
        assumed = f"how many workflows {config.strategy} writes is not known, and none is counted"
        return replace(estimate, usd=None, seconds=None, assumed=(*estimate.assumed, assumed))
    return estimate + _written(
        left + max(0, 2 * wordings - 1), getattr(strategy, "repairs", None), config.generator, price
    )


def of_matrix(
    config: MatrixConfig,
    benchmark: Benchmark,
    tasks: Sequence[Task],
    price: Price,
    *,
    runs: Path = Path("runs"),
    folder: Path | None = None,
) -> Estimate:
    """Of every cell. What a generator will have written is taken to need what the hand-written workflow does."""
    path = folder if folder is not None else matrix_path(config, benchmark, runs)
    found = Estimate()
    for interpreter in config.interpreters:
        cell = replace(config.bench, interpreter=interpreter)
        found += of_bench(cell, config.entries, benchmark, tasks, price, runs=path)
        for search in config.improve:
            asked = replace(search, interpreter=interpreter, shortlist=0)
            place = search_path(asked, benchmark, path)
            found += of_improve(asked, benchmark, 0, price, folder=place)
            best = place / "best.yaml"
            workflow = document.load(best).workflow if best.is_file() else benchmark.baseline
            found += _of_one(cell, workflow, benchmark, tasks, price=price, path=place / MEASURED)
    return found


def _of_drafts(
    config: BenchConfig,
    benchmark: Benchmark,
    tasks: Sequence[Task],
    price: Price,
    *,
    runs: Path,
    folder: Path | None,
) -> Estimate:
    """Of a workflow written for each task: the drafts, and running what nobody has read yet."""
    assert config.writing is not None  # noqa: S101  asked of no other
    path = folder if folder is not None else run_path(config, PLACEHOLDER, benchmark, runs)
    recorded = _bench_record(path, PLACEHOLDER, config)
    known = recorded.count + recorded.left_alone
    left = len(tasks) * config.epochs - known
    told = _Known(config.interpreter, config.settings, benchmark, price)
    estimate = replace(told.runs(benchmark.baseline, tasks, left, recorded), recorded=known)
    return estimate + _written(left, config.writing.repairs, config.writing.generator, price)


def _written(drafts: int, repairs: object, generator: str, price: Price) -> Estimate:
    """A generator's calls: one a draft, and one a repair."""
    if not drafts:
        return Estimate()
    calls = Bounds(drafts, drafts * (1 + repairs) if isinstance(repairs, int) else None)
    one = price(generator, 1, 1)
    usd = None if one is None else Bounds(0, None if one else 0)
    plural = "" if drafts == 1 else "s"
    assumed = (
        f"{drafts:,} draft{plural} at most, each taken to need what the hand-written workflow does",
        "the generator's tokens are not known",
    )
    return Estimate(load=Load(calls, Bounds(0, None), Bounds(0, None)), usd=usd, assumed=assumed)


# One workflow


@dataclass(frozen=True, slots=True)
class _Record:
    """What is on record of a run, in sums."""

    count: int = 0
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0
    seconds: float = 0.0
    """Wall-clock time of all sittings."""

    left_alone: int = 0
    """Besides: runs lost to a fault, and not to be tried again."""

    @classmethod
    def of(cls, results: Iterable[Result], seconds: float) -> "_Record":
        # Summed as they are read: there may be very many.
        count, spend = 0, Spend()
        for result in results:
            count, spend = count + 1, spend + result.spend
        usd = None if spend.unpriced else spend.usd
        return cls(count, spend.calls, spend.input_tokens, spend.output_tokens, usd, seconds)


@dataclass(frozen=True, slots=True)
class _Searched:
    """How far a search came."""

    runs: _Record = _Record()
    """Of its finished trials."""

    drafts: int = 0
    hand_written: bool = False
    chosen: bool = False
    """Whether the search is over, and only the test split is left."""

    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Known:
    """What tells the cost of a run: models, settings, prices."""

    interpreter: str
    settings: Settings
    benchmark: Benchmark
    price: Price

    def runs(self, workflow: Workflow | None, tasks: Sequence[Task], count: int, recorded: _Record) -> Estimate:
        """Of so many runs on tasks like these."""
        if not count:
            return Estimate()
        read = [len(task.text) for task in islice(tasks, _SAMPLE)]
        characters = sum(read) / len(read) if read else 0.0
        if recorded.count:
            done = recorded.count
            load = Load(
                *(
                    Bounds(total / done, total / done)
                    for total in (recorded.calls, recorded.input_tokens, recorded.output_tokens)
                )
            )
            usd = None if recorded.usd is None else Bounds(recorded.usd / done, recorded.usd / done)
            one = Estimate(1, 0, load, usd, recorded.seconds / done)
            assumed: tuple[str, ...] = (f"told by {done:,} task runs on record",)
        else:
            load = self._load(workflow, characters)
            models = {self.interpreter, *(step.model for step in (workflow.steps if workflow else ()) if step.model)}
            one = Estimate(1, 0, load, self._usd(models, load), None)
            assumed = ("told by the workflow's structure",)
        one += self._judged(characters)
        usd = None if one.usd is None else one.usd.times(count)
        seconds = None if one.seconds is None else one.seconds * count
        load = Load(*(each.times(count) for each in (one.load.calls, one.load.input_tokens, one.load.output_tokens)))
        return Estimate(count, 0, load, usd, seconds, assumed)

    def _load(self, workflow: Workflow | None, characters: float) -> Load:
        if workflow is None:
            return Load(Bounds(1, None), Bounds(0, None), Bounds(1, None))
        operators: Mapping[str, Operator] = {**library(), **self.benchmark.operators}
        return load_of(workflow, operators, self.settings, task_chars=characters)

    def _judged(self, characters: float) -> Estimate:
        """The scorer's own calls for one run."""
        scorer = self.benchmark.scorer
        if not isinstance(scorer, NeedsModel):
            return Estimate()
        answer = self.settings.sampling.max_tokens
        read = characters / CHARACTERS_A_TOKEN
        most = None if answer is None else read + _JUDGE_CHARS / CHARACTERS_A_TOKEN + answer
        load = Load(Bounds(1, 1), Bounds(read, most), Bounds(1, _JUDGE_TOKENS))
        return Estimate(load=load, usd=self._usd({scorer.model}, load))

    def _usd(self, models: Iterable[str], load: Load) -> Bounds | None:
        """Which call goes to which model is not known: the cheapest and the dearest bound it."""
        calls, read, written = load.calls, load.input_tokens, load.output_tokens
        low, high = [], []
        for model in models:
            if self.price(model, 1, 1) is None:
                return None
            low.append(self._price(model, calls.low, read.low, written.low))
            if calls.high is None or read.high is None or written.high is None:
                high.append(0.0 if self.price(model, 1, 1) == 0 else None)
            else:
                high.append(self._price(model, calls.high, read.high, written.high))
        known = [usd for usd in high if usd is not None]
        return Bounds(min(low), max(known) if len(known) == len(high) else None)

    def _price(self, model: str, calls: float, read: float, written: float) -> float:
        """Of calls of average size: a price may depend on the size of a call."""
        if not calls:
            return 0.0
        return (self.price(model, math.ceil(read / calls), math.ceil(written / calls)) or 0.0) * calls


def _equal(
    entry: Entry, first: Entry, config: BenchConfig, benchmark: Benchmark, tasks: Sequence[Task], *, runs: Path
) -> Workflow | None:
    """The entry with its number of samples, where the first is all on record."""
    path = run_path(config, first.workflow, benchmark, runs)
    recorded = _bench_record(path, first.workflow, config)
    if not recorded.count or recorded.count < len(tasks) * config.epochs:
        return None
    return equal_to(entry.workflow, recorded.calls / recorded.count, benchmark, config.settings)[1]


def _of_one(
    config: BenchConfig,
    workflow: Workflow | None,
    benchmark: Benchmark,
    tasks: Sequence[Task],
    *,
    price: Price,
    path: Path,
) -> Estimate:
    recorded = _Record() if workflow is None else _bench_record(path, workflow, config)
    told = _Known(config.interpreter, config.settings, benchmark, price)
    known = recorded.count + recorded.left_alone
    return replace(told.runs(workflow, tasks, max(0, len(tasks) * config.epochs - known), recorded), recorded=known)


def _holds(path: Path, command: str) -> bool:
    """Whether a run of that command is on record there; one of another is refused when the work begins."""
    return (path / LEDGER).is_file() and kind_of(path) == command


def _bench_record(path: Path, workflow: Workflow, config: BenchConfig) -> _Record:
    if not _holds(path, "bench"):
        return _Record()
    with Ledger.reading(path / LEDGER) as ledger:
        # A run folder holds the tasks of its configuration and no others.
        candidate = workflow.fingerprint()
        recorded = _Record.of(ledger.results(candidate, config.split), ledger.earlier_seconds)
        lost = set() if config.retry_errors else {fault.place for fault in ledger.faults(candidate, config.split)}
        return replace(recorded, left_alone=sum(ledger.result(place) is None for place in lost))


def _search_record(path: Path, splits: Sequence[str]) -> _Searched:
    if not _holds(path, "improve"):
        return _Searched()
    with Ledger.reading(path / LEDGER) as ledger:
        trials = ledger.trials()
        events = [event.kind for event in ledger.events()]
        candidates = {item.proposal.workflow.fingerprint() for item in trials if item.proposal.workflow is not None}
        results = (
            result
            for candidate in sorted(candidates)
            for split in splits
            for result in ledger.results(candidate, split)
        )
        return _Searched(
            runs=_Record.of(results, ledger.earlier_seconds),
            drafts=sum(item.round > 0 for item in trials),
            hand_written=any(item.round == 0 for item in trials),
            chosen="chosen" in events,
            complete=events[-1:] == ["complete"],
        )


# Words


def _runs(count: int) -> str:
    return f"{count:,} task run{'' if count == 1 else 's'}"


def _bounds(bounds: Bounds) -> dict[str, float | None]:
    return {"low": bounds.low, "high": bounds.high}


def _span(bounds: Bounds, said: Any) -> str:
    if bounds.high is None:
        return f"at least {said(bounds.low)}"
    low, high = said(bounds.low), said(bounds.high)
    return low if low == high else f"{low} to {high}"


def _whole(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"about {number:,.0f}"


def _rounded(number: float) -> str:
    """To two digits: an estimate knows no more."""
    if number < 1:
        return "1" if number else "0"
    return f"{round(number, 1 - math.floor(math.log10(number))):,.0f}"


def _dollars(usd: float) -> str:
    return "$0" if not usd else f"${usd:.4f}" if usd < 1 else f"${usd:,.2f}"
