"""An experiment: a table a seed, pooled, under one budget, beside published numbers."""

import json
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import autoflow.bench as benches
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import DataError, UsageError
from autoflow.experiment import Experiment, ExperimentReport, load, run
from autoflow.lineup import Entry


def _tasks(first: int, count: int) -> tuple[Task, ...]:
    return tuple(Task(str(number), f"number {number}", reference={}) for number in range(first, first + count))


TEST = _tasks(100, 6)


class Judge:
    label = "toy score"

    async def score(self, task: Task, trace: Trace) -> Score:
        """Half for "half", nothing for "wrong", none for "odd"."""
        return Score({"right": 1.0, "half": 0.5, "odd": None}.get(str(trace.answer), 0.0))


HAND = Workflow("hand", (Step("end", "terminal", "Look."),))
BENCHMARK = Benchmark("toys", "Toys.", _tasks(0, 2), _tasks(10, 3), Judge(), baseline=HAND, fingerprint="f")
BETTER = "autoflow: 1\nname: better\nsteps:\n  - {name: end, type: terminal, instruction: Look carefully.}\n"
FILE = """\
benchmark: toys
generators: [test/writer]
interpreters: [test/solver]
options: {form: yaml}
rounds: 1
candidates: 1
seeds: [3, 4]
published:
  source: A paper
  comparable: no, toys
  rows: [{interpreter: Abacus, row: by hand, score: 0.25}]
"""


class Fake:
    """Writes `BETTER`; solves by rote: half where it looks, right where it looks carefully and the seed is 4."""

    features: frozenset[Feature] = frozenset()

    def __init__(self, name: str, seed: int, log: list[tuple[str, int]]) -> None:
        self.name, self.seed, self.log = name, seed, log

    async def complete(self, request: Request) -> Reply:
        self.log.append((self.name, self.seed))
        return Reply(self.answer(request), self.name, Usage(10, 1, None, 0.01), 0.1, "stop")

    def answer(self, request: Request) -> str:
        if self.name == "test/writer":
            return BETTER
        text = " ".join(message.text for message in request.messages)
        if "number 105" in text and self.seed == 3:
            return "odd"
        return ("right" if self.seed == 4 else "half") if "carefully" in text else "wrong"

    async def aclose(self) -> None:
        """Nothing is held."""


@pytest.fixture(autouse=True)
def _split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches.held_out, "load_split", lambda *_, **__: TEST)


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "toys.yaml").write_text(FILE)
    return load(tmp_path / "toys.yaml", {})


async def _run(
    experiment: Experiment, place: Path, log: list[tuple[str, int]], budget: Budget | None = None
) -> ExperimentReport:
    @asynccontextmanager
    async def opened(seed: int) -> Any:
        yield lambda spec: Fake(spec, seed, log)

    return await run(experiment, [Entry("hand", HAND)], BENCHMARK, opened, folder=place, budget=budget)


async def test_seeds_are_pooled_task_by_task(experiment: Experiment, tmp_path: Path) -> None:
    log: list[tuple[str, int]] = []
    report = await _run(experiment, tmp_path / "run", log)
    assert (report.state, report.exit_code, report.seeds) == ("complete", 0, (3, 4))
    hand, written = report.cells
    assert (hand.row, hand.means, hand.unscored) == ("hand", (0.0, 0.0), 1)
    assert (written.row, written.means, written.unscored) == ("in-context by test/writer", (0.5, 1.0), 1)
    # Task 105 has one score alone; the others the mean of two.
    assert written.tasks == {**dict.fromkeys(("100", "101", "102", "103", "104"), 0.75), "105": 1.0}
    assert written.interval is not None
    assert written.interval.mean == pytest.approx((5 * 0.75 + 1.0) / 6)
    assert hand.against is None
    assert written.against is not None
    assert written.against.difference == pytest.approx(written.interval.mean)
    assert {seed for _, seed in log} == {3, 4}
    assert {"report.json", "report.md", "report.txt", "seed-3", "seed-4"} <= {
        path.name for path in (tmp_path / "run").iterdir()
    }
    shown = report.to_text()
    assert "Published: A paper" in shown
    assert "Comparable: no, toys" in shown
    assert "0.500, 1.000" in shown
    document = json.loads((tmp_path / "run" / "report.json").read_text())
    assert document["published"]["rows"] == [{"interpreter": "Abacus", "row": "by hand", "score": 0.25}]
    assert [cell["seed_means"] for cell in document["cells"]] == [[0.0, 0.0], [0.5, 1.0]]


async def test_same_call_resumes_without_a_call(experiment: Experiment, tmp_path: Path) -> None:
    log: list[tuple[str, int]] = []
    first = await _run(experiment, tmp_path / "run", log)
    before = len(log)
    again = await _run(experiment, tmp_path / "run", log)
    assert len(log) == before
    assert again.to_json() == first.to_json()


async def test_one_budget_holds_for_all_seeds(experiment: Experiment, tmp_path: Path) -> None:
    whole: list[tuple[str, int]] = []
    await _run(experiment, tmp_path / "whole", whole)
    first_seed = sum(seed == 3 for _, seed in whole)
    log: list[tuple[str, int]] = []
    report = await _run(experiment, tmp_path / "run", log, Budget(calls=first_seed + 1))
    assert (report.state, report.exit_code) == ("budget", 6)
    assert len(log) <= first_seed + 1
    assert "not complete (budget); the same command resumes" in report.to_text()
    done = await _run(experiment, tmp_path / "run", log)
    assert done.state == "complete"
    assert len(log) == len(whole)


def test_changes_go_over_the_file_and_faults_name_the_place(tmp_path: Path) -> None:
    file = tmp_path / "toys.yaml"
    file.write_text(FILE)
    assert load(file, {"seeds": 7, "generators": ["a/b", "c/d"], "rounds": 2}).model_dump() == {
        **load(file, {}).model_dump(), "seeds": (7,), "generators": ("a/b", "c/d"), "rounds": 2
    }  # fmt: skip
    for changes in ({"rounds": 0}, {"colour": "red"}, {"seeds": [1, 1]}):
        with pytest.raises(UsageError, match=next(iter(changes))[:4]):
            load(file, changes)
    file.write_text(FILE.replace("rounds: 1", "round: 1"))
    with pytest.raises(DataError, match=r"toys\.yaml:5:8: round: no such key; there are: benchmark, "):
        load(file, {})
