"""The ledger keeps what it was given, adds it up, and tells damage from data."""

import asyncio
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from autoflow.core.budget import Spend
from autoflow.core.model import Message, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.strategy import Proposal, Trial
from autoflow.core.trace import Call, StepRecord, Trace
from autoflow.errors import RunError
from autoflow.runs import ledger as ledgers
from autoflow.runs.ledger import Fault, Ledger, Place

REQUEST = Request((Message("user", "hi"),), purpose="step")
PLACE = Place("c", "test", "7", 0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _trace(*usages: Usage) -> Trace:
    calls = tuple(Call("k", "m/x", "step", usage, 0.5, cached=index > 0) for index, usage in enumerate(usages))
    return Trace("c", "7", (StepRecord("a", 1, "generate", "x", calls=calls),), answer="x", seconds=2.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "odd ?#%name" / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    path.parent.mkdir()
    return Ledger(path)


def test_reply_is_readable_by_others_as_soon_as_it_is_added(ledger: Ledger, path: Path) -> None:
    reply = Reply("hello", "m/x", Usage(2, 1, None, 0.25), 0.5, "stop")
    ledger.add_reply("k", REQUEST, reply, role="interpreter")
    with Ledger.reading(path) as other:
        assert other.reply("k") == reply
        assert other.request("k") == REQUEST
        assert other.reply("other") is None
        assert other.request("other") is None


def test_first_reply_of_a_key_stays(ledger: Ledger) -> None:
    ledger.add_reply("k", REQUEST, Reply("first", "m/x"), role="interpreter")
    ledger.add_reply("k", REQUEST, Reply("second", "m/x"), role="interpreter")
    found = ledger.reply("k")
    assert found is not None
    assert found.text == "first"
    assert ledger.spend().calls == 1


def test_spend_adds_up_by_role_and_knows_what_it_does_not_know(ledger: Ledger) -> None:
    for index, (usage, role) in enumerate(
        [(Usage(1, 2, None, 0.1), "generator"), (Usage(4, 8, None, 0.2), "interpreter"), (Usage(), "interpreter")]
    ):
        ledger.add_reply(str(index), REQUEST, Reply("x", f"m/{role}", usage), role=role)
    assert ledger.spend() == Spend(3, 5, 10, 0.1 + 0.2, unpriced=1, uncounted=1)
    assert ledger.spend("generator") == Spend(1, 1, 2, 0.1)
    assert ledger.models() == ["m/generator", "m/interpreter"]
    assert ledger.models("generator") == ["m/generator"]


def test_spend_does_not_depend_on_the_order_of_calls(tmp_path: Path) -> None:
    prices = [0.1, 0.2, 0.3, 1e-9, 7.7, 1e6]
    sums = set()
    for number, order in enumerate((prices, prices[::-1], sorted(prices, key=str))):
        with Ledger(tmp_path / f"{number}.sqlite") as ledger:
            for price in order:
                ledger.add_reply(str(price), REQUEST, Reply("x", "m", Usage(1, 1, None, price)), role="interpreter")
            sums.add(ledger.spend().usd)
    assert len(sums) == 1


def test_replies_are_found_however_many_there_are(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_FEW", 2)
    path.parent.mkdir()
    for sitting in range(3):
        with Ledger(path) as ledger:
            for number in range(2 * sitting):
                assert ledger.reply(str(number)) == Reply(f"say {number}", "m/x")
            for number in range(2 * sitting, 2 * sitting + 2):
                assert ledger.reply(str(number)) is None
                ledger.add_reply(str(number), REQUEST, Reply(f"say {number}", "m/x"), role="interpreter")
                assert ledger.reply(str(number)) is not None


def test_failed_calls_are_counted(ledger: Ledger) -> None:
    ledger.add_failed_call("k", "m/x", "down \ud800", role="interpreter")
    assert ledger.failed_calls() == 1
    assert ledger.spend().calls == 0


def test_result_and_trace_come_back(ledger: Ledger) -> None:
    trace = _trace(Usage(1, 2, None, 0.5), Usage(None, 1, None, None))
    added = ledger.add_result(PLACE, Score(0.5, "type_mismatch", {"plan": ["a"]}), trace)
    found = ledger.result(PLACE)
    assert found == added
    assert found is not None
    assert found.score == Score(0.5, "type_mismatch", {"plan": ["a"]})
    assert found.spend == Spend(2, 1, 3, 0.5, unpriced=1, uncounted=1, cached_calls=1)
    assert ledger.trace(PLACE) == trace
    assert ledger.trace(Place("c", "test", "7", 1)) is None
    assert list(ledger.results("c", "test")) == [added]
    assert list(ledger.results("c", "train")) == []


def test_a_result_is_given_back_as_it_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "correct horse")
    trace = replace(_trace(), answer={"say": ("correct horse", 1)}, seconds=2)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        added = ledger.add_result(PLACE, Score(1, "wrong: correct horse", {"parts": (1, None)}), trace)
        assert repr(added) == repr(ledger.result(PLACE))
        assert added.answer == {"say": ["***", 1]}


def test_a_place_keeps_its_first_result(ledger: Ledger) -> None:
    first = ledger.add_result(PLACE, Score(0.5), _trace())
    assert ledger.add_result(PLACE, Score(1.0), _trace()) == first
    assert ledger.result(PLACE) == first


def test_unscored_result_is_none_and_not_zero(ledger: Ledger) -> None:
    ledger.add_result(PLACE, Score(None, "not_covered"), _trace())
    found = ledger.result(PLACE)
    assert found is not None
    assert found.score.value is None


def test_equal_ids_in_different_splits_are_different_tasks(ledger: Ledger) -> None:
    ledger.add_result(PLACE, Score(1.0), _trace())
    assert ledger.result(Place("c", "train", "7", 0)) is None


def test_answer_that_cannot_be_stored_leaves_nothing_half_done(ledger: Ledger) -> None:
    trace = Trace("c", "7", (), answer={1, 2})  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ledger.add_result(PLACE, Score(1.0), trace)
    assert ledger.result(PLACE) is None
    ledger.add_result(PLACE, Score(1.0), _trace())


def test_fault_is_no_result(ledger: Ledger) -> None:
    ledger.add_fault(Fault(PLACE, "provider", "down \ud800"), _trace())
    assert ledger.result(PLACE) is None
    assert ledger.faults("c", "test") == [Fault(PLACE, "provider", "down \ud800")]


def test_trials_come_back_in_order(ledger: Ledger) -> None:
    trials = [Trial("b", 0, Proposal(None, "x", "y")), Trial("a", 1, Proposal(None, "x", "y"))]
    for trial in trials:
        ledger.add_trial(trial)
    assert ledger.trials() == trials
    with pytest.raises(RunError, match="'a' is recorded already"):
        ledger.add_trial(trials[1])


def test_seconds_add_up_over_sittings(path: Path) -> None:
    path.parent.mkdir()
    clock = Clock()
    for lasted in (5.0, 7.0):
        with Ledger(path, clock=clock) as ledger:
            clock.now += lasted
    clock.now += 1000
    with Ledger(path, clock=clock) as ledger:
        assert ledger.earlier_seconds == 12.0


def test_killed_sitting_is_counted_up_to_its_last_write(path: Path) -> None:
    path.parent.mkdir()
    clock = Clock()
    killed = Ledger(path, clock=clock)
    clock.now += 30
    killed.add_event("something")
    clock.now += 500
    assert Ledger(path, clock=clock).earlier_seconds == 30.0
    assert Ledger.reading(path).earlier_seconds == 30.0


def test_closing_twice_is_safe(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()


def test_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("not a database " * 100)
    with pytest.raises(RunError, match="cannot be read as a ledger"):
        Ledger(file)
    with pytest.raises(RunError, match="no ledger"):
        Ledger.reading(tmp_path / "absent")


def test_ledger_of_another_version_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(RunError, match="version 99"):
        Ledger(file)


def test_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    with pytest.raises(RunError, match="version 0"):
        Ledger(file)
    with pytest.raises(RunError, match="cannot be opened"):
        Ledger(tmp_path)


def test_full_disk_is_named_and_leaves_the_record_sound(ledger: Ledger, path: Path) -> None:
    pages = ledger._one("PRAGMA page_count")
    ledger._db.execute(f"PRAGMA max_page_count = {pages + 2}")
    big = Trace("c", "7", (), answer="x" * 100_000)
    with pytest.raises(RunError, match=r"cannot be written: database or disk is full"):
        ledger.add_result(PLACE, Score(1.0), big)
    assert ledger.result(PLACE) is None
    with pytest.raises(RunError, match="cannot be written"):
        ledger.add_reply("k", REQUEST, Reply("x" * 100_000, "m"), role="interpreter")
    with Ledger.reading(path) as other:
        assert other.spend().calls == 0


async def test_what_is_added_in_one_turn_is_committed_together(ledger: Ledger, path: Path) -> None:
    async def add(number: int) -> int:
        ledger.add_reply(str(number), REQUEST, Reply("x", "m"), role="interpreter")
        ledger.add_result(Place("c", "test", str(number), 0), Score(1.0), _trace())
        await ledger.committed()
        with Ledger.reading(path) as other:
            return other.spend().calls + len(list(other.results("c", "test")))

    ledger.add_reply("first", REQUEST, Reply("x", "m"), role="interpreter")
    with Ledger.reading(path) as other:
        assert other.reply("first") is None
    assert await asyncio.gather(*(add(number) for number in range(5))) == [11] * 5
    # With nothing open there is nothing to wait for.
    await ledger.committed()


async def test_one_that_waits_for_the_commit_can_be_cancelled_alone(ledger: Ledger) -> None:
    async def add() -> None:
        ledger.add_event("x")
        await ledger.committed()

    async def cancel() -> None:
        first.cancel()
        await ledger.committed()

    first, second = asyncio.create_task(add()), asyncio.create_task(cancel())
    await asyncio.gather(first, second, return_exceptions=True)
    assert (first.cancelled(), second.cancelled()) == (True, False)
    assert len(ledger.events()) == 1


async def test_closing_commits_what_the_turn_has_added(ledger: Ledger, path: Path) -> None:
    ledger.add_event("x")
    ledger.close()
    with Ledger.reading(path) as other:
        assert [event.kind for event in other.events()] == ["x"]


async def test_commit_that_fails_is_told_to_all_who_wait_and_to_the_next_who_writes(ledger: Ledger) -> None:
    async def add() -> None:
        ledger.add_event("x")
        await ledger.committed()

    async def end_it() -> None:
        ledger._db.execute("ROLLBACK")  # what a full disk does by itself
        await ledger.committed()

    outcomes = await asyncio.gather(add(), end_it(), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [RunError, RunError]
    with pytest.raises(RunError, match="cannot be written"):
        ledger.add_event("y")
    with pytest.raises(RunError, match="cannot be written"):
        await ledger.committed()


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.sqlite").close()
    with Ledger.reading(tmp_path / "ledger.sqlite") as ledger, pytest.raises(RunError, match="cannot be written"):
        ledger.add_event("x")
