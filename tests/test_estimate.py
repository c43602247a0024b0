"""What is told before a command starts is what it then takes, or is said not to be known."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import autoflow.bench as benches
from autoflow import baselines
from autoflow.bench import BenchConfig
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Feature, Reply, Request, Sampling, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.counting import NOTHING, Bounds, Load
from autoflow.estimate import Estimate, of_bench, of_improve, of_matrix
from autoflow.improve import Collaborators, ImproveConfig, improve
from autoflow.interpreter.settings import Settings
from autoflow.lineup import Entry, Lineup, line_up
from autoflow.matrix import MatrixConfig, matrix
from autoflow.scorers.llm_judge import LlmJudge

TASKS = tuple(Task(str(number), f"number {number}", reference={}) for number in range(8))
DRAFT = "autoflow: 1\nname: better\nsteps:\n  - {name: end, type: terminal, instruction: Look carefully.}\n"


class Model:
    """Answers at once; counts four characters to a token, as the estimate does."""

    features: frozenset[Feature] = frozenset()
    name = "test/model"

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        await asyncio.sleep(0)
        text = DRAFT if request.purpose == "draft" else "an answer"
        read = sum(len(message.text) for message in request.messages) // 4
        return Reply(text, self.name, Usage(read, 3, None, 1e-6 * read + 3e-6), 0.1, "stop")

    async def aclose(self) -> None:
        """Nothing is held."""


class Judge:
    label = "toy score"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(1.0)


def _price(model: str, read: int, written: int) -> float | None:
    return None if model == "test/unpriced" else 0.0 if model == "test/free" else 1e-6 * (read + written)


def _line(name: str, steps: int) -> Workflow:
    names = [*(f"s{number}" for number in range(1, steps)), "end"]
    made = [Step(each, "process", f"Do {each}.", next=names[index + 1]) for index, each in enumerate(names[:-1])]
    return Workflow(name, (*made, Step("end", "terminal", "Say it.")))


HAND = _line("hand", 2)
BENCHMARK = Benchmark("toys", "Toys.", TASKS[:3], TASKS[3:5], Judge(), baseline=HAND, fingerprint="f")
CONFIG = BenchConfig("toys", "test/model", settings=Settings(sampling=Sampling(max_tokens=50)), epochs=2)
ENTRY = Entry("hand", HAND)
SEARCH = ImproveConfig(
    "toys", "test/model", "test/model", strategy_options={"form": "yaml"}, rounds=2, settings=CONFIG.settings
)


@pytest.fixture(autouse=True)
def _split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benches.held_out, "load_split", lambda *_, **__: TASKS)


def _of(place: Path, *entries: Entry, price: Any = _price, **changed: Any) -> Estimate:
    return of_bench(replace(CONFIG, **changed), entries or (ENTRY,), BENCHMARK, TASKS, price, runs=place)


async def _run(place: Path, *entries: Entry, **changed: Any) -> Lineup:
    return await line_up(replace(CONFIG, **changed), entries or (ENTRY,), BENCHMARK, Model(), runs=place)


async def test_the_structure_bounds_what_the_run_then_takes(tmp_path: Path) -> None:
    told = _of(tmp_path)
    spend = (await _run(tmp_path)).rows[0].report.spend
    assert (told.runs, told.recorded, told.load.calls) == (16, 0, Bounds(32, 32))
    assert spend.calls == 32
    assert told.load.input_tokens.high is not None
    assert told.load.input_tokens.low * 0.9 <= spend.input_tokens <= told.load.input_tokens.high
    assert told.load.output_tokens == Bounds(32, 1600)
    assert told.usd is not None
    assert told.usd.high is not None
    assert told.usd.low * 0.9 <= spend.usd <= told.usd.high
    assert told.seconds is None
    assert "32 calls" in told.line()
    assert "time unknown" in told.line()


async def test_recorded_runs_tell_the_rest(tmp_path: Path) -> None:
    stopped = await _run(tmp_path, budget=Budget(calls=12), concurrency=1)
    assert stopped.state == "budget"
    told = _of(tmp_path)
    assert (told.runs, told.recorded, told.load.calls) == (10, 6, Bounds(20, 20))
    assert told.seconds is not None
    assert "told by 6 task runs on record" in told.line()
    whole = (await _run(tmp_path)).rows[0].report.spend
    assert told.load.output_tokens == Bounds(60, 60)
    average = (whole.input_tokens - told.load.input_tokens.low) / 6
    assert average == pytest.approx(whole.input_tokens / 16, rel=0.02)


async def test_a_finished_run_leaves_nothing_to_do(tmp_path: Path) -> None:
    await _run(tmp_path)
    told = _of(tmp_path)
    assert told == Estimate(recorded=16)
    assert told.line() == "estimate: nothing to do, 16 task runs on record"


def test_without_a_price_no_dollars_are_told(tmp_path: Path) -> None:
    told = _of(tmp_path, interpreter="test/unpriced")
    assert told.usd is None
    assert "price unknown" in told.line()
    assert told.to_json()["usd"] is None
    assert "$0," in _of(tmp_path, interpreter="test/free").line()


def test_without_a_longest_reply_only_the_least_is_told(tmp_path: Path) -> None:
    told = _of(tmp_path, settings=Settings())
    assert told.usd is not None
    assert told.usd.high is None
    assert "tokens, at least $0.0" in told.line()
    free = _of(tmp_path, settings=Settings(), interpreter="test/free")
    assert free.usd == NOTHING


def test_a_step_with_a_model_of_its_own_widens_the_price(tmp_path: Path) -> None:
    steps = (Step("s", "process", "Do.", next="end", model="test/free"), Step("end", "terminal", "Say it."))
    told = _of(tmp_path, Entry("two", Workflow("two", steps)))
    assert told.usd is not None
    assert told.usd.low == 0
    assert told.usd.high is not None
    assert told.usd.high > 0


def test_a_judge_that_is_a_model_is_counted(tmp_path: Path) -> None:
    judged = replace(BENCHMARK, scorer=LlmJudge("Good?", "test/unpriced"))
    told = of_bench(CONFIG, [ENTRY], judged, TASKS, _price, runs=tmp_path)
    assert told.load.calls == Bounds(48, 48)
    assert told.usd is None


async def test_equal_budget_is_told_as_the_first_until_that_is_on_record(tmp_path: Path) -> None:
    found = baselines.find("cot-sc:equal", BENCHMARK, 20)
    entries = (Entry("long", _line("long", 4)), Entry("cot-sc:equal", found.workflow, found))
    told = _of(tmp_path, *entries)
    assert told.load.calls == Bounds(128, 128)
    assert "cot-sc:equal is taken to take what long does" in told.line()
    await _run(tmp_path, entries[0])
    told = _of(tmp_path, *entries)
    assert (told.runs, told.recorded, told.load.calls) == (16, 16, Bounds(64, 64))
    await _run(tmp_path, *entries)
    assert _of(tmp_path, *entries) == Estimate(recorded=32)


async def test_a_search_is_told_by_its_drafts(tmp_path: Path) -> None:
    told = of_improve(SEARCH, BENCHMARK, 8, _price, runs=tmp_path)
    # The hand-written workflow and two drafts on five tasks; two of them, and three reference methods, on eight test
    # tasks; two drafts written.
    assert told.runs == 3 * 5 + 5 * 8
    assert told.load.calls == Bounds(2 * told.runs + 2, 2 * told.runs + 2 * 4)
    assert told.usd is not None
    assert (told.usd.low > 0, told.usd.high) == (True, None)
    assert "2 drafts at most, each taken to need what the hand-written workflow does" in told.line()
    assert "the generator's tokens are not known" in told.line()
    assert "io, cot, cot-sc:equal are each taken to need what the hand-written workflow does" in told.line()
    without = of_improve(replace(SEARCH, references=False), BENCHMARK, 8, _price, runs=tmp_path)
    assert without.runs == 3 * 5 + 2 * 8

    model = Model()
    given = Collaborators(benchmark=BENCHMARK, test=lambda: TASKS, open_model=lambda _: model)
    report = await improve(replace(SEARCH, budget=Budget(calls=12), refuse_small=False), given, runs=tmp_path)
    assert report.state == "budget"
    told = of_improve(SEARCH, BENCHMARK, 8, _price, runs=tmp_path)
    assert (told.runs, told.recorded) == (2 * 5 + 5 * 8, 5)
    assert told.load.calls.low == 2 * told.runs + 2
    await improve(SEARCH, given, runs=tmp_path)
    told = of_improve(SEARCH, BENCHMARK, 8, _price, runs=tmp_path)
    assert told.line() == "estimate: nothing to do, 10 task runs on record"


def test_a_search_without_a_hand_written_workflow_has_no_upper_bound(tmp_path: Path) -> None:
    told = of_improve(SEARCH, replace(BENCHMARK, baseline=None), 0, _price, runs=tmp_path)
    assert told.load.calls.high is None
    assert told.load.calls.low == 2 * 5 + 2


async def test_a_matrix_is_the_sum_of_its_cells(tmp_path: Path) -> None:
    config = MatrixConfig(CONFIG, ("test/model", "test/free"), (ENTRY,), (replace(SEARCH, epochs=2),))
    told = of_matrix(config, BENCHMARK, TASKS, _price, runs=tmp_path)
    # In each column: the hand-written workflow, then a search on five tasks and its best on eight, two epochs each.
    assert told.runs == 2 * 2 * (8 + 3 * 5 + 8)
    model = Model()
    report = await matrix(config, BENCHMARK, lambda _: model, tasks=TASKS, runs=tmp_path)
    assert report.state == "complete"
    told = of_matrix(config, BENCHMARK, TASKS, _price, runs=tmp_path)
    assert (told.runs, told.load) == (0, Load())


def test_it_is_one_line_and_a_document() -> None:
    told = Estimate(3, 2, Load(Bounds(3, 6), Bounds(1234, 56789), Bounds(3, 99)), Bounds(0.1, 2), 61.4, ("so",))
    assert told.line() == (
        "estimate: 3 task runs to do (2 more on record), 3 to 6 calls, 1,200 to 57,000 tokens, $0.1000 to $2.00,"
        " about 61 s; so"
    )
    assert json.loads(json.dumps(told.to_json())) == {
        "task_runs": 3,
        "recorded": 2,
        "calls": {"low": 3, "high": 6},
        "input_tokens": {"low": 1234, "high": 56789},
        "output_tokens": {"low": 3, "high": 99},
        "usd": {"low": 0.1, "high": 2},
        "seconds": 61.4,
        "assumed": ["so"],
    }
