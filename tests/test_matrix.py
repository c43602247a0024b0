"""The generator x interpreter table: every cell an ordinary run, one budget, resumed without a call."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import autoflow.bench as benches
from autoflow import baselines
from autoflow.bench import BenchConfig
from autoflow.compare import compare
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Feature, Model, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import MissingDependencyError, ProviderError, RunError, UsageError
from autoflow.improve import ImproveConfig
from autoflow.lineup import Entry
from autoflow.matrix import MatrixConfig, MatrixReport, matrix
from autoflow.runs.folder import list_runs


def _tasks(first: int, count: int) -> tuple[Task, ...]:
    return tuple(Task(str(number), f"number {number}", reference={}) for number in range(first, first + count))


TEST = _tasks(100, 8)


class Judge:
    label = "toy score"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(float(trace.answer == "right"))


def _flow(name: str, instruction: str) -> Workflow:
    return Workflow(name, (Step("end", "terminal", instruction),))


HAND = _flow("hand", "Look.")
BENCHMARK = Benchmark("toys", "Toys.", _tasks(0, 3), _tasks(10, 8), Judge(), baseline=HAND, fingerprint="f")
BETTER = "autoflow: 1\nname: better\nsteps:\n  - {name: end, type: terminal, instruction: Look carefully.}\n"


class Clever:
    """Answers right where it is told to look carefully; a cent a call."""

    features: frozenset[Feature] = frozenset()

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log
        self.down = False
        self.before: Callable[[], None] = lambda: None

    async def complete(self, request: Request) -> Reply:
        self.before()
        await asyncio.sleep(0)
        if self.down:
            raise ProviderError("gone", transient=True)
        self.log.append(self.name)
        return Reply(self.answer(request), self.name, Usage(10, 1, None, 0.01), 0.1, "stop")

    def answer(self, request: Request) -> str:
        return "right" if any("carefully" in message.text for message in request.messages) else "wrong"

    async def aclose(self) -> None:
        """Nothing is held."""


class Dull(Clever):
    def answer(self, request: Request) -> str:
        return "wrong"


class Writer(Clever):
    def answer(self, request: Request) -> str:
        return BETTER


class World:
    """The models, and what they were asked."""

    def __init__(self) -> None:
        self.log: list[str] = []
        kinds = {"test/clever": Clever, "test/dull": Dull, "test/writer": Writer}
        self.models = {name: kind(name, self.log) for name, kind in kinds.items()}

    def open(self, spec: str) -> Model:
        if spec not in self.models:
            raise MissingDependencyError(f"{spec} needs a key")
        return self.models[spec]


CAREFUL = Entry("careful", _flow("careful", "Look carefully."))
BENCH = BenchConfig("toys", "-", command="autoflow matrix toys", concurrency=2)
CONFIG = MatrixConfig(BENCH, ("test/clever", "test/dull"), (Entry("hand", HAND), CAREFUL))
SEARCH = ImproveConfig("toys", "test/writer", "-", strategy_options={"form": "yaml"}, rounds=1, shortlist=0)


@pytest.fixture(autouse=True)
def _split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches.held_out, "load_split", lambda *_, **__: TEST)


async def _fill(place: Path, world: World, config: MatrixConfig = CONFIG, **more: Any) -> MatrixReport:
    return await matrix(config, BENCHMARK, world.open, runs=place, **more)


def _means(report: MatrixReport) -> dict[tuple[str, str], float | None]:
    document = report.to_json()
    return {(cell["row"], cell["interpreter"]): cell["mean"] for cell in document["cells"]}


def _budget(config: MatrixConfig, budget: Budget) -> MatrixConfig:
    return replace(config, bench=replace(config.bench, budget=budget))


async def test_every_workflow_is_measured_under_every_interpreter(tmp_path: Path) -> None:
    report = await _fill(tmp_path, World())
    assert (report.state, report.exit_code) == ("complete", 0)
    assert _means(report) == {
        ("hand", "test/clever"): 0.0,
        ("careful", "test/clever"): 1.0,
        ("hand", "test/dull"): 0.0,
        ("careful", "test/dull"): 0.0,
    }
    careful = report.cells[1]
    assert careful.against is not None
    assert (careful.against.difference, careful.against.n) == (1.0, 8)
    assert report.spend.calls == 32
    assert report.spend.usd == pytest.approx(0.32)


async def test_the_report_is_written_three_ways(tmp_path: Path) -> None:
    report = await _fill(tmp_path, World())
    written = json.loads((report.folder / "report.json").read_text())
    assert (written["kind"], written["schema"], written["command"]) == ("matrix", 1, "autoflow matrix toys")
    assert written == json.loads(json.dumps(report.to_json()))
    text = (report.folder / "report.txt").read_text()
    assert "toy score on toys, split test" in text
    assert "careful  1.000 [0.676, 1.000] n 8  0.000 [0.000, 0.324] n 8" in text
    assert "better by 1.00" in text
    markdown = (report.folder / "report.md").read_text()
    assert "|  | test/clever | test/dull |\n|---|---|---|\n| hand | 0.000 [0.000, 0.324] n 8 |" in markdown


async def test_a_cell_is_an_ordinary_run(tmp_path: Path) -> None:
    report = await _fill(tmp_path, World())
    cells = [report.folder / cell["folder"] for cell in report.to_json()["cells"]]
    assert {run.path for run in list_runs(report.folder)} == set(cells)
    assert compare(cells[0], cells[1]).comparison.difference == 1.0
    (whole,) = list_runs(tmp_path)
    assert whole.state == "complete"
    assert whole.spend is not None
    assert whole.spend.calls == 32


async def test_the_best_of_what_a_generator_writes_is_measured_like_any_row(tmp_path: Path) -> None:
    world = World()
    report = await _fill(tmp_path, world, replace(CONFIG, improve=(SEARCH,)))
    row = "in-context by test/writer"
    means = _means(report)
    assert (means[row, "test/clever"], means[row, "test/dull"]) == (1.0, 0.0)
    cell = report.cells[2]
    assert cell.search is not None
    assert cell.search.test == ()
    assert cell.report is not None
    assert cell.report.folder == cell.search.folder / "measured"
    assert "r1c1 was chosen" in cell.note
    assert cell.spend.calls == 1 + 11 * 2 + 8
    assert world.log.count("test/writer") == 2
    assert cell.against is not None
    assert cell.against.difference == 1.0


async def test_a_finished_matrix_is_read_without_a_call(tmp_path: Path) -> None:
    config = replace(CONFIG, improve=(SEARCH,))
    before = await _fill(tmp_path, World(), config)
    written = (before.folder / "report.json").read_bytes()
    world = World()
    after = await _fill(tmp_path, world, config)
    assert world.log == []
    assert (after.folder, (after.folder / "report.json").read_bytes()) == (before.folder, written)


@pytest.mark.parametrize("calls", [5, 8, 20, 39, 60, 70])
async def test_the_budget_is_for_the_whole_table_and_a_larger_one_resumes(tmp_path: Path, calls: int) -> None:
    config = replace(CONFIG, improve=(SEARCH,))
    whole = World()
    expected = (await _fill(tmp_path / "whole", whole, config)).to_json()
    world = World()
    stopped = await _fill(tmp_path / "parts", world, _budget(config, Budget(calls=calls)))
    assert (stopped.state, stopped.exit_code) == ("budget", 6)
    assert len(world.log) == calls
    assert len(stopped.cells) == 6
    assert "not complete (budget)" in stopped.to_text()
    resumed = await _fill(tmp_path / "parts", world, config)
    assert resumed.state == "complete"
    assert sorted(world.log) == sorted(whole.log)
    assert resumed.to_json() == expected


async def test_a_provider_that_is_gone_ends_its_column_alone(tmp_path: Path) -> None:
    world = World()
    world.models["test/clever"].down = True
    report = await _fill(tmp_path, world)
    assert (report.state, report.exit_code) == ("provider", 5)
    assert [cell.state for cell in report.cells] == ["provider", None, "complete", "complete"]
    assert "not begun" in report.to_text()
    world.models["test/clever"].down = False
    assert (await _fill(tmp_path, world)).state == "complete"


async def test_an_interrupt_ends_the_matrix_and_resumes(tmp_path: Path) -> None:
    world, stop = World(), asyncio.Event()
    world.models["test/clever"].before = lambda: stop.set() if len(world.log) == 10 else None
    report = await _fill(tmp_path, world, stop=stop)
    assert (report.state, report.exit_code) == ("interrupted", 130)
    assert [cell.state for cell in report.cells] == ["complete", "interrupted", None, None]
    assert (await _fill(tmp_path, world)).state == "complete"
    assert len(world.log) == 32


async def test_a_missing_key_is_told_before_anything_is_paid(tmp_path: Path) -> None:
    world = World()
    with pytest.raises(MissingDependencyError):
        await _fill(tmp_path, world, replace(CONFIG, interpreters=("test/clever", "test/absent")))
    assert world.log == []


async def test_a_reference_method_has_its_number_of_samples_in_each_column(tmp_path: Path) -> None:
    found = baselines.find("cot-sc:equal", BENCHMARK, 20)
    report = await _fill(
        tmp_path, World(), replace(CONFIG, entries=(CAREFUL, Entry("cot-sc:equal", found.workflow, found)))
    )
    assert [cell.note for cell in report.cells] == [
        "",
        "cot-sc:equal is N = 1: careful took 1.00 calls a task",
    ] * 2
    assert report.rows == ("careful", "cot-sc:equal")


async def test_another_configuration_is_another_matrix(tmp_path: Path) -> None:
    first = await _fill(tmp_path, World())
    with pytest.raises(RunError, match="interpreters"):
        await _fill(tmp_path, World(), replace(CONFIG, interpreters=("test/clever",)), folder=first.folder)


def test_a_matrix_needs_rows_and_columns_each_once() -> None:
    with pytest.raises(UsageError, match="at least one interpreter"):
        MatrixConfig(BENCH, ())
    with pytest.raises(UsageError, match="interpreter a/b is named twice"):
        MatrixConfig(BENCH, ("a/b", "a/b"), (CAREFUL,))
    with pytest.raises(UsageError, match="row careful is named twice"):
        MatrixConfig(BENCH, ("a/b",), (CAREFUL, CAREFUL))
