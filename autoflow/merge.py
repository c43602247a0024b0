"""Makes one run of the shards of a run (`autoflow bench --shard i/n`), as if one machine had measured all its tasks.

The record of every shard goes into one ledger, and `autoflow.bench` reports on that. No model is asked.
"""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autoflow.bench import BenchConfig, BenchReport, bench, resolved, settings_of, tasks_of
from autoflow.benchmarks import held_out, loader
from autoflow.benchmarks.folder import recorded
from autoflow.core.json import Json
from autoflow.core.model import Feature, Reply, Request
from autoflow.core.task import Task
from autoflow.core.workflow import Workflow
from autoflow.errors import DataError, RunError, UsageError
from autoflow.language import document
from autoflow.runs.folder import RunFolder, differences, identity, info
from autoflow.runs.ledger import Ledger
from autoflow.shard import Shard
from autoflow.summary import count
from autoflow.zero_shot import PLACEHOLDER, Writing

_OF_A_SITTING = (
    "config.yaml",
    "ledger.sqlite",
    "checkpoints.sqlite",
    "report.json",
    "report.txt",
    "timing.json",
    "log",
    "lock",
)
"""What a run folder has of its own; all else in it belongs to tasks, and goes into the merged folder."""


@dataclass(frozen=True, slots=True)
class MergeConfig:
    """Which runs are merged, and with which benchmark."""

    runs: tuple[Path, ...]
    """The folders of all shards, in any order."""

    folder: Path
    """Of the merged run; must not exist."""

    benchmark: str | None = None
    """Name or path; `None`: the name in the runs' configuration."""

    scorer: str | None = None
    """As `--scorer` of the runs."""

    data: str | None = None
    """Where the data lie here; `None`: as in the runs."""

    command: str = ""


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of it."""

    report: BenchReport
    paid_again: int
    """Calls that more than one shard made: the same request, of different tasks. The report counts each once."""


def merge(config: MergeConfig, *, clock: Callable[[], float] = time.time) -> Merged:
    """Write the run that the shards make up, with its report, into a folder of its own; the shards stay as they are.

    Raises:
        RunError: If a shard is missing, there twice, not complete or measured otherwise than the first; if the folder
            exists.
        DataError: If the benchmark is not that of the runs.
        UsageError, UnknownNameError: For arguments that do not fit.
    """
    shards = _shards(config.runs)
    stored: Any = shards[0].config
    measured = _measured(stored, config)
    benchmark = loader.load(measured.benchmark, scorer=config.scorer, options=measured.options)
    if benchmark.fingerprint != stored["data"]:
        raise DataError(
            f"the data, code or scorer of benchmark {measured.benchmark!r} are not those of {shards[0].path}",
            hint="give --benchmark, --scorer and --data as the runs had them",
        )
    workflow = PLACEHOLDER if measured.writing is not None else _workflow(shards[0].path, stored["workflow"])
    tasks = held_out.load_split(measured.benchmark, measured.split, options=measured.options)
    for shard in shards:
        _whole(shard, workflow, tasks_of(replace(measured, shard=str(shard.shard)), tasks), measured.epochs)
    if config.folder.exists():
        raise RunError(f"{config.folder} exists", hint="give another folder: a merged run is made in one go")
    # A merge that is killed leaves no half a run: the folder gets its name when all is in it.
    half = config.folder.with_name(f".{config.folder.name}.new")
    shutil.rmtree(half, ignore_errors=True)
    try:
        paid_again = _gather(shards, RunFolder.open(half, resolved(measured, workflow, benchmark), clock=clock))
        nobody = _Nobody(measured.interpreter)
        again = bench(measured, workflow, benchmark, nobody, tasks=tasks, folder=half, open_model=_Nobody, clock=clock)
        report = asyncio.run(again)
        half.rename(config.folder)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise
    return Merged(replace(report, folder=config.folder), paid_again)


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard's run."""

    path: Path
    shard: Shard
    config: Mapping[str, Json]


def _shards(runs: Sequence[Path]) -> list[_Part]:
    """The parts in their order, each there once and measured alike."""
    if len({path.resolve() for path in runs}) < len(runs):
        raise UsageError("a run is named twice")
    parts = [_part(path) for path in runs]
    first = parts[0]
    for part in parts[1:]:
        found = differences(_common(first.config), _common(part.config))
        if part.shard.of != first.shard.of:
            raise RunError(f"{first.path} is shard {first.shard} and {part.path} shard {part.shard}: of different runs")
        if found:
            raise RunError(
                f"{first.path} and {part.path} are not parts of one run; they differ in:\n  "
                + "\n  ".join(f"{item.key}: {item.stored!r} and {item.asked!r}" for item in found)
            )
    by_number: dict[int, _Part] = {}
    for part in parts:
        other = by_number.setdefault(part.shard.number, part)
        if other is not part:
            raise RunError(f"{other.path} and {part.path} overlap: both are shard {part.shard}")
    missing = [f"{number}/{first.shard.of}" for number in range(1, first.shard.of + 1) if number not in by_number]
    if missing:
        raise RunError(f"shards are missing: {', '.join(missing)}", hint="a merged run needs every shard")
    return [by_number[number] for number in sorted(by_number)]


def _part(path: Path) -> _Part:
    found = info(path)
    config = found.config or {}
    written = config.get("shard")
    if config.get("kind") != "bench" or not isinstance(written, str):
        raise RunError(f"{path} is no shard", hint="shards are made by: autoflow bench ... --shard i/n")
    if found.state != "complete":
        raise RunError(
            f"{path}, shard {written}, is not complete: {found.state}", hint=f"resume it first: {config.get('command')}"
        )
    return _Part(path, Shard.parse(written), config)


def _common(config: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in identity(config).items() if key != "shard"}


def _measured(stored: Any, config: MergeConfig) -> BenchConfig:
    writing = stored.get("writing")
    return BenchConfig(
        benchmark=config.benchmark or recorded(stored["benchmark"], str(stored["command"])),
        interpreter=stored["interpreter"],
        split=stored["split"],
        tasks=stored["tasks"],
        sample_ids=tuple(stored.get("sample_ids", ())),
        limit=stored["limit"],
        epochs=stored["epochs"],
        seed=stored["seed"],
        settings=settings_of(stored["settings"]),
        scorer=config.scorer,
        options={**stored["options"], **({} if config.data is None else {"data": config.data})},
        base_url=stored["base_url"],
        # What a shard left unscored stays so.
        retry_errors=False,
        concurrency=stored["concurrency"],
        command=config.command,
        writing=None if writing is None else Writing(**writing),
    )


def _workflow(run: Path, recorded: Any) -> Workflow:
    workflow = document.load(run / "workflows" / f"{recorded['fingerprint'][:12]}.yaml").workflow
    if workflow.fingerprint() != recorded["fingerprint"]:
        raise RunError(f"{run}: its workflow is not the one that was run")
    return workflow


def _whole(part: _Part, workflow: Workflow, tasks: Sequence[Task], epochs: int) -> None:
    """Makes sure that the part holds every judgement of its tasks, and none of another's."""
    candidate, split = workflow.fingerprint(), str(part.config["split"])
    with Ledger.reading(part.path / "ledger.sqlite") as ledger:
        held = ledger.attempted(candidate, split)
    wanted = {(task.id, epoch) for task in tasks for epoch in range(epochs)}
    if held != wanted:
        strange, lacking = sorted(held - wanted), sorted(wanted - held)
        raise RunError(
            f"{part.path} is not shard {part.shard} of these tasks: it lacks {count(len(lacking), 'judgement')}"
            f" and has {len(strange)} of other tasks"
            + "".join(f"; for example task {task}, epoch {epoch}" for task, epoch in (lacking or strange)[:1])
        )


def _gather(parts: Sequence[_Part], run: RunFolder) -> int:
    """Put all records into a new run folder. Returns how many calls were paid for more than once."""
    paid_again = 0
    with run:
        for part in parts:
            with Ledger.reading(part.path / "ledger.sqlite") as ledger:
                both = run.ledger.absorb(ledger)
            paid_again += both
            run.event("absorbed", {"run": part.path.name, "shard": str(part.shard), "calls_paid_again": both})
            for item in part.path.iterdir():
                if item.is_dir():
                    shutil.copytree(item, run.path / item.name, dirs_exist_ok=True)
                elif not item.name.startswith(_OF_A_SITTING):
                    shutil.copy2(item, run.path / item.name)
    return paid_again


class _Nobody:
    """In the place of a model that must not be asked."""

    features: frozenset[Feature] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name

    async def complete(self, request: Request) -> Reply:
        raise RunError(f"merging asks no model, and something asked {self.name} for a {request.purpose or 'reply'}")

    async def aclose(self) -> None:
        """Nothing is held."""
