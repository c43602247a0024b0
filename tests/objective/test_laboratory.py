"""The laboratory: what a strategy tries is paid once, recorded, judged by the rules, and never a test task."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.operator import Card, Invocation
from autoflow.core.score import Score
from autoflow.core.strategy import Change, Cost
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import BudgetExhaustedError, ProviderError, UnknownNameError, UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings
from autoflow.objective.laboratory import Bench, Stoppable, Stopped
from autoflow.objective.meter import Meter
from autoflow.objective.metered import Metered
from autoflow.objective.objective import Objective
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger

FLOW = Workflow(
    "sum",
    (
        Step("look up", "process", "Look up the price.", operator="price list", next="is it dear"),
        Step("is it dear", "decision", "Is it dear?", branches={"yes": "haggle", "no": "done"}),
        Step("haggle", "process", "Haggle.", next="done"),
        Step("done", "terminal", "Say the price.", output={"type": "string", "maxLength": 40}),
    ),
)


class Model:
    name = "test/model"
    features: frozenset[Feature] = frozenset()

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self.answer = answer
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        await asyncio.sleep(0)
        return Reply(self.answer(request), self.name, Usage(10, 5, cost_usd=0.001), seconds=0.25, finish="stop")

    async def aclose(self) -> None:
        pass


class PriceList:
    card = Card("price list", "Knows prices.", ("any",), "text", kind="tool")

    def __init__(self) -> None:
        self.runs = 0

    async def run(self, call: Invocation) -> str:
        self.runs += 1
        return "12 euro"


class Right:
    label = "right"

    async def score(self, task: Task, trace: Trace) -> Score:
        return Score(float("3 euro" in str(trace.answer)), "" if "3 euro" in str(trace.answer) else "wrong")


def answer(request: Request) -> str:
    said = [message.text for message in request.messages]
    if "Is it dear?" in said[-1]:
        return '{"reason": "so it seems", "label": "no"}'
    if "Haggle." in said[-1]:
        return "now 3 euro"
    return '"3 euro"' if any("3 euro" in text for text in said) else '"12 euro"'


def tasks(split: str) -> tuple[Task, ...]:
    return tuple(Task(f"{split}-{number}", f"What is item {number} of {split}?") for number in range(3))


class Room:
    """A laboratory on a ledger, and what was asked in it."""

    def __init__(self, folder: Path, answer: Callable[[Request], str] = answer, calls: int | None = None) -> None:
        self.model = Model(answer)
        self.prices = PriceList()
        self.ledger = Ledger(folder / "ledger.sqlite")
        meter = Meter(Budget(calls=calls), lambda: 0.0)
        self.stop = asyncio.Event()
        self.interpreter = Interpreter(
            Metered(self.model, self.ledger, meter), {**library(), "price list": self.prices}, Settings()
        )
        benchmark = Benchmark("prices", "Say prices.", tasks("train"), tasks("validation"), Right())
        self.bench = Bench(benchmark, Right(), self.interpreter, self.ledger, stop=self.stop)


async def test_an_attempt_is_recorded_and_a_later_scoring_finds_it(tmp_path: Path) -> None:
    room = Room(tmp_path)
    tried = await room.bench.attempt(FLOW, "train-0")
    assert (tried.result.value, tried.result.reason) == (0.0, "wrong")
    assert tried.result.cost == Cost(2.0, 30.0, 0.002, 0.5)
    assert tried.trace is not None
    assert [record.step for record in tried.trace.steps] == ["look up", "is it dear", "done"]
    asked = len(room.model.asked)
    assert await room.bench.attempt(FLOW, "train-0") == tried
    assert len(room.model.asked) == asked
    await Objective("prices", Right(), room.interpreter, room.ledger).score_all(FLOW, tasks("train"), "train")
    assert len(room.model.asked) == asked + 2 * 2


async def test_a_re_run_goes_on_from_the_changed_step_and_shows_what_it_changes(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.bench.attempt(FLOW, "train-1")
    before, runs = len(room.model.asked), room.prices.runs
    tried = await room.bench.rerun(FLOW, "train", "train-1", [Change(0, "3 euro")])
    assert tried.result.value == 1.0
    assert room.prices.runs == runs
    assert len(room.model.asked) == before + 2
    assert tried.trace is not None
    # The tool counts as run: only its result is another.
    assert tried.trace.tools == ("price list",)
    assert tried.trace.steps[0].result == "3 euro"


async def test_a_decision_is_changed_by_its_label(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.bench.attempt(FLOW, "train-1")
    tried = await room.bench.rerun(FLOW, "train", "train-1", [Change(1, "yes")])
    assert tried.trace is not None
    assert [record.step for record in tried.trace.steps] == ["look up", "is it dear", "haggle", "done"]
    assert tried.result.value == 1.0
    with pytest.raises(UnknownNameError, match="unknown label 'perhaps'; there are: yes, no"):
        await room.bench.rerun(FLOW, "train", "train-1", [Change(1, "perhaps")])


async def test_a_changed_terminal_is_judged_without_a_call(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.bench.attempt(FLOW, "train-1")
    asked = len(room.model.asked)
    assert (await room.bench.rerun(FLOW, "train", "train-1", [Change(2, "3 euro")])).result.value == 1.0
    assert len(room.model.asked) == asked
    with pytest.raises(UsageError, match="cannot be the result of step 'done'"):
        await room.bench.rerun(FLOW, "train", "train-1", [Change(2, ["3 euro"])])


async def test_the_same_re_run_after_a_kill_costs_nothing(tmp_path: Path) -> None:
    first = Room(tmp_path)
    await first.bench.attempt(FLOW, "train-1")
    tried = await first.bench.rerun(FLOW, "train", "train-1", [Change(0, "3 euro")])
    first.ledger.close()
    second = Room(tmp_path)
    assert await second.bench.rerun(FLOW, "train", "train-1", [Change(0, "3 euro")]) == tried
    assert second.model.asked == []
    # A re-run is no score of the workflow.
    assert [result.place.task for result in second.ledger.results(FLOW.fingerprint(), "train")] == ["train-1"]


async def test_changes_follow_one_another(tmp_path: Path) -> None:
    room = Room(tmp_path)
    await room.bench.attempt(FLOW, "train-1")
    changes = [Change(1, "yes"), Change(2, "now 30 euro")]
    tried = await room.bench.rerun(FLOW, "train", "train-1", changes)
    assert tried.trace is not None
    assert [record.result for record in tried.trace.steps][1:] == ["yes", "now 30 euro", "12 euro"]
    assert tried.result.value == 0.0
    asked = len(room.model.asked)
    assert (await room.bench.rerun(FLOW, "train", "train-1", changes[:1])).result.value == 1.0
    assert len(room.model.asked) == asked
    with pytest.raises(UsageError, match="needs a change"):
        await room.bench.rerun(FLOW, "train", "train-1", [])


async def test_what_was_not_run_has_no_trace_and_cannot_be_re_run(tmp_path: Path) -> None:
    room = Room(tmp_path)
    assert room.bench.trace(FLOW, "train", "train-2") is None
    with pytest.raises(UsageError, match="was not run on train task 'train-2'"):
        await room.bench.rerun(FLOW, "train", "train-2", [Change(0, "3 euro")])
    await room.bench.attempt(FLOW, "train-2")
    with pytest.raises(UsageError, match="there is none with the index 9"):
        await room.bench.rerun(FLOW, "train", "train-2", [Change(9, "3 euro")])
    with pytest.raises(UsageError, match="needs a result"):
        await room.bench.rerun(FLOW, "train", "train-2", [Change(0, None)])


@pytest.mark.parametrize("split", ["test", "train/rerun 0 x"])
async def test_no_other_split_than_train_and_validation_exists(tmp_path: Path, split: str) -> None:
    room = Room(tmp_path)
    with pytest.raises(UnknownNameError, match="there are: train, validation"):
        room.bench.trace(FLOW, split, "train-0")
    with pytest.raises(UnknownNameError, match="unknown train task 'validation-0'"):
        await room.bench.attempt(FLOW, "validation-0")


async def test_a_fault_is_no_score_and_is_tried_again(tmp_path: Path) -> None:
    def gone(request: Request) -> str:
        raise ProviderError("no route", transient=True)

    room = Room(tmp_path, gone)
    tried = await room.bench.attempt(FLOW, "train-0")
    assert (tried.result.value, tried.result.reason, tried.result.cost, tried.trace) == (None, "provider", None, None)
    room.model.answer = answer
    assert (await room.bench.attempt(FLOW, "train-0")).result.value == 0.0


async def test_the_budget_and_the_wish_to_stop_hold_here_too(tmp_path: Path) -> None:
    room = Room(tmp_path, calls=3)
    await room.bench.attempt(FLOW, "train-0")
    with pytest.raises(BudgetExhaustedError):
        await room.bench.attempt(FLOW, "train-1")
    assert len(room.model.asked) == 3
    room.stop.set()
    with pytest.raises(Stopped):
        await room.bench.attempt(FLOW, "train-2")
    with pytest.raises(Stopped):
        await Stoppable(room.model, room.stop).complete(Request(()))
    assert len(room.model.asked) == 3
