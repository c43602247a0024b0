"""What every strategy owes without a line of its own: resume, budget stop, Ctrl-C, ledger, no sight of test tasks."""

import asyncio
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import world
from author import Author

from autoflow import plugins
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Message, Reply, Request
from autoflow.core.task import Task
from autoflow.generator.draft import Draft
from autoflow.improve import Collaborators, ImproveConfig, ImproveReport, improve
from autoflow.models.scripted import Rule, Scripted
from autoflow.runs.ledger import Ledger
from autoflow.training import trajectories

WEIGHTS: Mapping[str, Json] = {"rounds": 2, "candidates": 4, "rank": 4, "max_tokens": 3, "learning_rate": 3e-2}
OPTIONS: Mapping[str, Mapping[str, Json]] = {
    "in-context": {"rounds": 2},
    "w4s": {"rounds": 3, "candidates": 2},
    "aflow": {"rounds": 3, "start": "hand-written"},
    "adas": {"rounds": 2},
    "evolve": {"rounds": 2, "candidates": 2, "probes": 2, "look": 4, "chain": 2},
    "reinforce": WEIGHTS,
    "grpo": WEIGHTS,
}
"""Every strategy, with options that keep it short."""

TRAINED = ("reinforce", "grpo")
"""These update a generator's weights: theirs is a model of a few thousand, whose three letters stand for a workflow."""

NAMES: list[Any] = [
    name
    if name not in TRAINED
    else pytest.param(
        name,
        marks=[
            pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="needs the extra `train`"),
            pytest.mark.xdist_group("training"),
            *(pytest.mark.filterwarnings(f"ignore::{kind}Warning") for kind in ("Future", "Deprecation", "User")),
        ],
    )
    for name in sorted(OPTIONS)
]


def test_no_strategy_is_left_out() -> None:
    assert sorted(plugins.names("strategies")) == sorted(OPTIONS)


class Counted:
    """A model that keeps what was carried out, and lets one look in."""

    def __init__(self, inner: Any, room: "Room") -> None:
        self.inner = inner
        self.name = inner.name
        self.features = inner.features
        self.room = room
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        self.room.order.append(request)
        self.room.told()
        await asyncio.sleep(0)
        reply: Reply = await self.inner.complete(request)
        return reply

    async def aclose(self) -> None:
        pass


class Room:
    """One sitting on the synthetic benchmark."""

    def __init__(self, *, generator: Any = None) -> None:
        """With the author as generator, where there is no other."""
        self.author = Counted(generator or Author(3, invalid=0.2), self)
        self.clerk = Counted(world.Clerk(3), self)
        self.order: list[Request] = []
        self.trained_on: list[tuple[Message, ...]] = []
        self.stop = asyncio.Event()
        self.at: int | None = None
        self.then: Any = None

    @property
    def asked(self) -> list[Request]:
        return self.author.asked + self.clerk.asked

    def carried_out(self) -> "Counter[str]":
        """How often each request was carried out: search and test keep records of their own, so some are twice."""
        return Counter(request.key(model.name) for model in (self.author, self.clerk) for request in model.asked)

    def told(self) -> None:
        if self.at is not None and len(self.asked) == self.at:
            self.then()

    async def improve(self, name: str, folder: Path, **changed: Any) -> ImproveReport:
        made = world.benchmark(3, train=4, validation=5, noise=0.1)
        hidden = [replace(task, reference={**task.reference, "canary": "CANARY"}) for task in made.train]
        given = Collaborators(
            benchmark=replace(made, train=tuple(hidden)),
            test=held_out,
            generator=self.author,
            interpreter=self.clerk,
            stop=self.stop,
        )
        options = changed.pop("strategy_options", OPTIONS[name])
        config = ImproveConfig(
            "orders",
            "synthetic/author",
            "synthetic/clerk",
            strategy=name,
            strategy_options=options,
            seed=3,
            references=False,
        )
        return await improve(replace(config, **changed), given, folder=folder)


def held_out() -> list[Task]:
    return [
        replace(task, text=f"{task.text} TEST-CANARY", reference={**task.reference, "canary": "CANARY"})
        for task in world.orders("test", 3, 3)
    ]


MakeRoom = Callable[[str], Room]


@pytest.fixture(scope="module")
def make_room(tmp_path_factory: pytest.TempPathFactory) -> MakeRoom:
    """A room for a strategy, with a generator that it can use."""
    made: list[Path] = []

    def room(name: str) -> Room:
        if name not in TRAINED:
            return Room()
        if not made:
            sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
            from training_helpers import make_model

            made.append(make_model(tmp_path_factory.mktemp("tiny"), spread=0.3))
        return Room(generator=Scripted([Rule(("never asked",))], name=f"transformers/{made[0]}"))

    return room


@pytest.fixture(autouse=True)
def prompts(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[tuple[Message, ...]]:
    """What weights are updated on; and letters are read as a workflow, for half of those that are drawn."""
    name = getattr(request.node, "callspec", None) and request.node.callspec.params.get("name")
    shown: list[tuple[Message, ...]] = []
    if name not in TRAINED or "only_invalid" in request.node.name:
        return shown
    from autoflow.training import judge, paused

    inner, begin = judge.read, paused.PausedTrainer.__init__

    async def read(sampled: Any, assignment: Any) -> Draft:
        if sampled.text[:1] not in set("abcd"):
            return await inner(sampled, assignment)
        need = world.NEEDS["abcd".index(sampled.text[0])]
        first, *rest = world.HAND_WRITTEN.steps
        told = replace(first, instruction=f"{first.instruction} {need.rule} {sampled.text}")
        return Draft(replace(world.HAND_WRITTEN, steps=(told, *rest)), sampled.text)

    def begun(self: Any, config: Any, assignment: Any, *others: Any) -> None:
        shown.append(assignment.messages)
        begin(self, config, assignment, *others)

    monkeypatch.setattr(judge, "read", read)
    monkeypatch.setattr(paused.PausedTrainer, "__init__", begun)
    return shown


WHOLE: dict[str, tuple[ImproveReport, Room, Path]] = {}


@pytest.fixture
def whole(
    name: str,
    make_room: MakeRoom,
    prompts: list[tuple[Message, ...]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[ImproveReport, Room, Path]:
    """The uninterrupted run of the strategy."""
    if name not in WHOLE:
        room, folder = make_room(name), tmp_path_factory.mktemp(name)
        room.trained_on = prompts
        WHOLE[name] = (asyncio.run(room.improve(name, folder)), room, folder)
    return WHOLE[name]


Whole = tuple[ImproveReport, Room, Path]


@pytest.mark.parametrize("name", NAMES)
async def test_a_run_is_recorded_and_a_finished_one_asks_nothing_again(
    name: str, whole: Whole, make_room: MakeRoom, tmp_path: Path
) -> None:
    report, room, folder = whole
    assert report.state == "complete"
    assert report.drafts > 0
    with Ledger.reading(folder / "ledger.sqlite") as ledger:
        assert [trial.id for trial in ledger.trials()] == [row.id for row in report.rows]
        assert ledger.spend("generator").calls == len({request.key("") for request in room.author.asked})
    again = make_room(name)
    assert (await again.improve(name, folder)).to_json() == report.to_json()
    assert again.asked == []
    # Equal seeds, equal run.
    twin = make_room(name)
    assert (await twin.improve(name, tmp_path)).to_json() == report.to_json()


@pytest.mark.parametrize("share", [0.35, 0.8])
@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_run_resumes_to_the_report_of_an_uninterrupted_one(
    name: str, share: float, whole: Whole, make_room: MakeRoom, tmp_path: Path
) -> None:
    report, room, _ = whole
    killed = make_room(name)
    running = asyncio.ensure_future(killed.improve(name, tmp_path))
    killed.at, killed.then = int(share * len(room.asked)), running.cancel
    with pytest.raises(asyncio.CancelledError):
        await running
    with Ledger.reading(tmp_path / "ledger.sqlite") as ledger:
        recorded = [key for key in killed.carried_out() if ledger.reply(key) is not None]
    assert recorded
    resumed = make_room(name)
    assert (await resumed.improve(name, tmp_path)).to_json() == report.to_json()
    once, again, asked = room.carried_out(), resumed.carried_out(), killed.carried_out()
    assert not [key for key in recorded if asked[key] + again[key] > once[key]]


@pytest.mark.parametrize("share", [0.2, 0.6])
@pytest.mark.parametrize("name", NAMES)
async def test_ctrl_c_ends_what_is_in_flight_and_the_run_resumes(
    name: str, share: float, whole: Whole, make_room: MakeRoom, tmp_path: Path
) -> None:
    report, room, _ = whole
    stopped = make_room(name)
    stopped.at, stopped.then = int(share * len(room.asked)), stopped.stop.set
    cut = await stopped.improve(name, tmp_path)
    assert (cut.state, cut.exit_code) == ("interrupted", 130)
    assert len(stopped.asked) <= stopped.at + 24
    resumed = make_room(name)
    assert (await resumed.improve(name, tmp_path)).to_json() == report.to_json()
    assert len(stopped.asked) + len(resumed.asked) == len(room.asked)


@pytest.mark.parametrize("name", NAMES)
async def test_a_budget_is_never_passed_and_more_of_it_resumes(
    name: str, whole: Whole, make_room: MakeRoom, tmp_path: Path
) -> None:
    report, room, _ = whole
    calls = int(0.7 * len(room.asked))
    poor = make_room(name)
    cut = await poor.improve(name, tmp_path, budget=Budget(calls=calls))
    assert (cut.state, cut.exit_code, len(poor.asked)) == ("budget", 6, calls)
    rich = make_room(name)
    assert (await rich.improve(name, tmp_path, budget=Budget(calls=9_999))).to_json() == report.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_no_test_task_no_score_of_it_and_no_gold_reaches_the_generator(name: str, whole: Whole) -> None:
    report, room, _ = whole
    assert report.test
    shows = [any("TEST-CANARY" in turn.text for turn in request.messages) for request in room.order]
    assert any(shows)
    # A test score cannot have been told before there was one: whoever writes or learns is done by then.
    first = shows.index(True)
    assert all(request in room.clerk.asked for request in room.order[first:])
    shown = [request.messages for request in room.author.asked] or room.trained_on
    assert shown
    golds = [str(int(task.reference["answer"])) for task in (*held_out(), *_learning())]  # type: ignore[call-overload]
    # A right answer may be shown, as the workflow's own; a gold that no workflow found may not.
    found = {word for run in room.clerk.asked for word in _said(run, room)}
    for turns in shown:
        text = "\n".join(turn.text for turn in turns)
        assert "CANARY" not in text
        assert not [gold for gold in golds if gold in text and gold not in found]


def _learning() -> tuple[Task, ...]:
    made = world.benchmark(3, train=4, validation=5, noise=0.1)
    return (*made.train, *made.validation)


def _said(request: Request, room: Room) -> list[str]:
    key = request.key(room.clerk.name)
    if key not in _SAID:
        _SAID[key] = asyncio.run(world.Clerk(3).complete(request)).text.replace(".", " ").split()
    return _SAID[key]


_SAID: dict[str, list[str]] = {}


class Garbage:
    """A generator that writes nothing that can be used."""

    name = "test/garbage"
    features: frozenset[Any] = frozenset()

    async def complete(self, request: Request) -> Reply:
        return Reply("I would rather write a poem.", self.name, finish="stop")


@pytest.mark.parametrize("name", NAMES)
async def test_a_round_of_only_invalid_drafts_costs_no_task_and_is_reported(
    name: str, make_room: MakeRoom, tmp_path: Path
) -> None:
    options = dict(OPTIONS[name])
    if name == "evolve":
        # Its edits without a model are drafts that are valid.
        options["mutate"] = False
    room = make_room(name) if name in TRAINED else Room(generator=Garbage())
    report = await room.improve(name, tmp_path, strategy_options=options, shortlist=0)
    invalid = [row for row in report.rows if not row.valid]
    assert invalid
    assert all(row.errors for row in invalid)
    assert report.invalid == len(invalid)
    assert "invalid" in report.to_text()
    with Ledger.reading(tmp_path / "ledger.sqlite") as ledger:
        ran = {row[0] for row in ledger._db.execute("SELECT DISTINCT candidate FROM results")}
    # Nothing but what was there before the drafts was run: the hand-written workflow, and the seeds of adas.
    assert ran == {row.fingerprint for row in report.rows if row.valid}
    assert len(ran) == (8 if name == "adas" else 1)


@pytest.mark.parametrize("name", ["w4s"])
def test_a_run_of_w4s_holds_the_rows_that_rlao_learns_from(whole: Whole) -> None:
    report, room, folder = whole
    rows = trajectories.of_run(folder)
    drafts = {request.messages for request in room.author.asked}
    assert [row.trial for row in rows] == [row.id for row in report.rows if row.round and row.validation is not None]
    assert all(row.prefix in drafts for row in rows)
    assert all("autoflow: 1" in row.action for row in rows)
    assert {row.reward for row in rows} <= {0.0, 0.5, 1.0}
