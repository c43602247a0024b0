"""Several workflows side by side: one budget, each compared with the first, resumed without a call."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import autoflow.bench as benches
from autoflow import baselines
from autoflow.bench import BenchConfig
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError
from autoflow.lineup import Entry, Lineup, line_up

TASKS = tuple(Task(str(number), f"number {number}", reference={"n": number}) for number in range(12))


class Model:
    """Answers "right" to a careful question, "wrong" to any other; a dollar cent a call."""

    name = "test/model"
    features: frozenset[Feature] = frozenset()

    def __init__(self) -> None:
        self.asked = 0
        self.down = False

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise ProviderError("gone", transient=True)
        right = any("carefully" in message.text for message in request.messages)
        return Reply("right" if right else "wrong", self.name, Usage(10, 1, None, 0.01), 0.1, "stop")

    async def aclose(self) -> None:
        """Nothing is held."""


class Judge:
    label = "toy score"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(float(trace.answer == "right"))


def _flow(name: str, instruction: str, steps: int = 1) -> Workflow:
    names = [*(f"s{number}" for number in range(1, steps)), "end"]
    made = [Step(each, "process", instruction, next=following) for each, following in pairwise(names)]
    return Workflow(name, (*made, Step("end", "terminal", instruction)))


BENCHMARK = Benchmark("toys", "Toys.", (), (), Judge(), fingerprint="f", notes=("A toy.",))
CAREFUL = Entry("careful", _flow("careful", "Look carefully.", 3))
HASTY = Entry("hasty", _flow("hasty", "Look."))
CONFIG = BenchConfig("toys", "test/model", command="autoflow bench toys")


def _baseline(asked: str) -> Entry:
    found = baselines.find(asked, BENCHMARK, 20)
    return Entry(asked, found.workflow, found)


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches.held_out, "load_split", lambda *_, **__: TASKS)


async def _line_up(place: Path, *entries: Entry, model: Model | None = None, **changed: Any) -> Lineup:
    return await line_up(replace(CONFIG, **changed), entries, BENCHMARK, model or Model(), runs=place)


async def test_each_is_compared_with_the_first_task_by_task(tmp_path: Path) -> None:
    found = await _line_up(tmp_path, CAREFUL, HASTY, _baseline("io"))
    assert (found.state, found.exit_code, found.missing) == ("complete", 0, ())
    assert [row.label for row in found.rows] == ["careful", "hasty", "io"]
    assert found.rows[0].against is None
    hasty = found.rows[1]
    assert hasty.against is not None
    assert (hasty.against.difference, hasty.against.n, hasty.against.test) == (-1.0, 12, "mcnemar")
    assert hasty.p_holm == pytest.approx(2 * hasty.against.p_value)
    document = found.to_json()
    assert [report["mean"] for report in document["reports"]] == [1.0, 0.0, 0.0]
    assert document["rows"][1]["against_first"]["verdict"].startswith("worse by 1.00")
    assert (document["rows"][1]["baseline"], document["rows"][2]["baseline"]) == (False, True)
    text = found.to_text()
    assert "careful   1.000  0.758 to 1.000  12  0         36     396     0.3600  " in text
    assert "  io: worse by 1.00" in text
    assert "adjusted for 2 comparisons" in text
    assert "note: A toy." in text


async def test_one_alone_is_reported_in_full(tmp_path: Path) -> None:
    found = await _line_up(tmp_path, CAREFUL)
    assert found.to_text() == found.rows[0].report.to_text()


async def test_the_budget_holds_for_all_of_them_together_and_resumes(tmp_path: Path) -> None:
    model = Model()
    found = await _line_up(tmp_path, CAREFUL, HASTY, _baseline("io"), model=model, budget=Budget(calls=40))
    assert model.asked == 40
    assert (found.state, found.exit_code) == ("budget", 6)
    assert ([row.label for row in found.rows], found.missing) == (["careful", "hasty"], ("io",))
    assert "hasty (budget)" in found.to_text()
    assert "not begun: io" in found.to_text()
    found = await _line_up(tmp_path, CAREFUL, HASTY, _baseline("io"), model=model, budget=Budget(calls=60))
    assert (found.state, model.asked) == ("complete", 60)


async def test_a_budget_that_ends_with_a_run_leaves_the_next_unbegun(tmp_path: Path) -> None:
    found = await _line_up(tmp_path, CAREFUL, HASTY, budget=Budget(calls=36))
    assert [row.report.state for row in found.rows] == ["complete"]
    assert (found.state, found.exit_code, found.missing) == ("budget", 6, ("hasty",))
    assert not found.to_text().startswith("toy score on toys, split test: 1.000")


async def test_equal_budget_counts_the_calls_of_the_first(tmp_path: Path) -> None:
    found = await _line_up(tmp_path, CAREFUL, _baseline("cot-sc:equal"))
    row = found.rows[1]
    assert row.label == "cot-sc:2"
    assert row.note == "cot-sc:equal is N = 2: careful took 3.00 calls a task"
    assert row.report.spend.calls == found.rows[0].report.spend.calls == 36
    assert row.note in found.to_text()
    assert found.to_json()["rows"][1]["note"] == row.note
    found = await _line_up(tmp_path, HASTY, _baseline("cot-sc:equal"))
    assert found.rows[1].label == "cot-sc:1"


async def test_equal_budget_counts_one_epoch_once(tmp_path: Path) -> None:
    found = await _line_up(tmp_path, CAREFUL, _baseline("cot-sc:equal"), epochs=3)
    assert found.rows[1].label == "cot-sc:2"


async def test_a_finished_lineup_is_read_without_a_call(tmp_path: Path) -> None:
    entries = (CAREFUL, _baseline("cot-sc:equal"), _baseline("cot-sc:3"))
    before = await _line_up(tmp_path, *entries)
    model = Model()
    after = await _line_up(tmp_path, *entries, model=model)
    assert model.asked == 0
    assert after.to_json() == before.to_json()


async def test_a_provider_that_is_gone_ends_the_lineup(tmp_path: Path) -> None:
    model = Model()
    model.down = True
    found = await _line_up(tmp_path, CAREFUL, HASTY, model=model, concurrency=2)
    assert (found.state, found.exit_code, found.missing) == ("provider", 5, ("hasty",))
