"""Improving with a race on validation: who is spared what, what the report says of it, and that it resumes."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, Model, level, text_of, writer

from autoflow.core.budget import Budget
from autoflow.core.strategy import Dropped
from autoflow.improve import HAND_WRITTEN, ImproveReport
from autoflow.language.dump import dump
from autoflow.objective.racing import looks
from autoflow.runs.ledger import Ledger

TASKS = 24
TWO_ROUNDS = replace(CONFIG, shortlist=0)
ONE_ROUND = replace(CONFIG, rounds=1, candidates=3, shortlist=0)


def drafting(*levels: int) -> Model:
    """Writes these in one round, in this order."""
    return Model("test/writer", lambda request: dump(level(levels[(request.sample // 100) % 1000])))


def on_validation(run: Bench, number: int) -> int:
    texts = [text_of(request) for request in run.interpreter.asked]
    return sum("of validation?" in text and f"level {number}." in text for text in texts)


async def test_a_beaten_candidate_is_spared_the_rest_of_validation(tmp_path: Path) -> None:
    run = Bench(writer(level(22), level(1)), count=TASKS)
    report = await run.improve(tmp_path, TWO_ROUNDS)
    good, bad = report.rows[1], report.rows[2]
    assert good.dropped is None
    assert bad.dropped is not None
    assert (bad.dropped.after, bad.dropped.by) == (16, "r1c1")
    assert bad.validation is not None
    assert bad.validation.interval is not None
    assert bad.validation.interval.n == 16
    assert (on_validation(run, 22), on_validation(run, 1)) == (TASKS, 16)
    # On train, where the generator learns from it, every task counts.
    assert bad.train is not None
    assert bad.train.interval is not None
    assert bad.train.interval.n == TASKS
    assert report.best == "r1c1"
    assert report.dropped == 1


async def test_progress_is_told_of_all_of_validation(tmp_path: Path) -> None:
    run = Bench(writer(level(22), level(1)), count=TASKS)
    await run.improve(tmp_path, TWO_ROUNDS)
    told = [event.progress for event in run.events if event.progress is not None and event.trial == "r2c1"]
    assert {progress.total for progress in told} == {TASKS}
    assert told[-1].done == 16


async def test_no_race_runs_every_task_and_chooses_the_same(tmp_path: Path) -> None:
    run = Bench(writer(level(22), level(1)), count=TASKS)
    report = await run.improve(tmp_path, replace(TWO_ROUNDS, race=False))
    assert on_validation(run, 1) == TASKS
    assert (report.best, report.dropped, report.rows[2].dropped) == ("r1c1", 0, None)
    assert "dropped" not in report.to_text()


async def test_candidates_of_a_round_race_each_other(tmp_path: Path) -> None:
    run = Bench(drafting(5, 23, 1), count=TASKS)
    report = await run.improve(tmp_path, ONE_ROUND)
    assert [row.dropped and row.dropped.by for row in report.rows] == [None, "r1c2", None, "r1c2"]
    assert (on_validation(run, 5), on_validation(run, 23), on_validation(run, 1)) == (16, TASKS, 16)
    assert [row.id for row in report.rows] == [HAND_WRITTEN, "r1c1", "r1c2", "r1c3"]
    assert report.best == "r1c2"


async def test_sixteen_validation_tasks_or_fewer_are_no_race(tmp_path: Path) -> None:
    report = await Bench(drafting(1, 16, 2), count=16).improve(tmp_path, ONE_ROUND)
    assert report.dropped == 0
    assert looks(16) == ()


async def test_the_report_says_who_was_dropped_when_and_why(tmp_path: Path) -> None:
    report = await Bench(writer(level(22), level(1)), count=TASKS).improve(tmp_path, TWO_ROUNDS)
    stored = json.loads((tmp_path / "report.json").read_text())
    row = stored["rows"][2]
    assert row["dropped"] == {"after": 16, "by": "r1c1", "p_value": report.rows[2].dropped.p_value}  # type: ignore[union-attr]
    assert row["dropped"]["p_value"] < 0.05 / len(looks(TASKS))
    assert (row["validation"]["n"], row["against_hand_written"]) == (16, None)
    assert stored["rows"][1]["dropped"] is None
    assert (stored["dropped"], stored["config"]["race"]) == (1, True)
    text = report.to_text()
    assert "dropped after n = 16, p < 0.001 against r1c1" in text
    assert "racing dropped 1 candidate as beaten" in text


async def test_a_candidate_that_cannot_catch_up_is_told_from_one_that_is_tested(tmp_path: Path) -> None:
    # Of 18 tasks, level 14 fails the last four: too few flips for a test, too many to make good on two unseen tasks.
    run = Bench(drafting(14, 18), baseline=None, count=18)
    report = await run.improve(tmp_path, replace(ONE_ROUND, candidates=2))
    assert report.rows[0].dropped == Dropped(16, "r1c2", None)
    assert "dropped after n = 16: could not catch up with r1c2" in report.to_text()


async def test_the_dropped_count_when_the_survivors_are_adjusted(tmp_path: Path) -> None:
    report = await Bench(drafting(5, 23, 1), count=TASKS).improve(tmp_path, ONE_ROUND)
    row = report.rows[2]
    assert row.against is not None
    assert row.p_holm == pytest.approx(3 * row.against.p_value)
    assert all(row.against is None for row in report.rows if row.dropped is not None)


async def test_a_dropped_candidate_is_never_chosen(tmp_path: Path) -> None:
    report = await Bench(drafting(5, 23, 1), count=TASKS).improve(tmp_path, replace(ONE_ROUND, shortlist=3))
    assert [row.id for row in report.test] == [HAND_WRITTEN, "r1c2"]


async def test_when_all_are_dropped_the_hand_written_workflow_is_kept(tmp_path: Path) -> None:
    report = await Bench(drafting(1, 2, 3), baseline=level(22), count=TASKS).improve(tmp_path, ONE_ROUND)
    assert report.best == HAND_WRITTEN
    assert report.verdict.endswith("3 of 3 candidates were dropped as beaten. The hand-written workflow is kept.")


async def test_a_second_draft_of_a_dropped_workflow_has_its_scores(tmp_path: Path) -> None:
    run = Bench(drafting(1, 23, 1), count=TASKS)
    report = await run.improve(tmp_path, ONE_ROUND)
    assert report.rows[3].duplicate_of == "r1c1"
    assert report.rows[3].validation == report.rows[1].validation
    assert report.dropped == 1
    with Ledger.reading(tmp_path / "ledger.sqlite") as ledger:
        assert [trial.validation.dropped is None for trial in ledger.trials() if trial.validation] == [
            True,
            False,
            True,
            False,
        ]


def racing() -> Bench:
    return Bench(drafting(5, 39, 1, 30), count=40)


RACE = replace(CONFIG, rounds=2, candidates=4, shortlist=1, concurrency=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ImproveReport:
    """The report of the uninterrupted run."""
    return asyncio.run(racing().improve(tmp_path_factory.mktemp("whole"), RACE))


def test_the_race_that_is_interrupted_below_drops_some(whole: ImproveReport) -> None:
    assert [row.dropped and row.dropped.after for row in whole.rows[1:5]] == [16, None, 16, 32]
    assert whole.best == "r1c2"


# The hand-written workflow takes 80 calls, four drafts and their train tasks 164, then comes the race.
@pytest.mark.parametrize("cut", [250, 320, 360])
async def test_a_killed_race_resumes_to_the_report_of_an_uninterrupted_one(
    tmp_path: Path, whole: ImproveReport, cut: int
) -> None:
    killed = racing()
    running = asyncio.ensure_future(killed.improve(tmp_path, RACE))

    def kill() -> None:
        if len(killed.asked) == cut:
            running.cancel()

    killed.generator.after = killed.interpreter.after = kill
    with pytest.raises(asyncio.CancelledError):
        await running
    resumed = racing()
    report = await resumed.improve(tmp_path, RACE)
    assert report.to_json() == whole.to_json()
    assert len(killed.asked) + len(resumed.asked) <= len({r.key("") for r in killed.asked + resumed.asked}) + 4


@pytest.mark.parametrize("cut", [100, 262, 340])
async def test_a_race_out_of_budget_reports_how_far_it_got_and_resumes(
    tmp_path: Path, whole: ImproveReport, cut: int
) -> None:
    poor = racing()
    report = await poor.improve(tmp_path, replace(RACE, budget=Budget(calls=cut), refuse_small=False))
    assert (report.state, report.exit_code, len(poor.asked)) == ("budget", 6, cut)
    assert report.to_text()
    rich = racing()
    assert (await rich.improve(tmp_path, replace(RACE, budget=Budget(calls=5000)))).to_json() == whole.to_json()


async def test_a_race_that_is_stopped_ends_what_is_in_flight_and_resumes(tmp_path: Path, whole: ImproveReport) -> None:
    stopped = racing()
    stopped.interpreter.after = lambda: stopped.stop.set() if len(stopped.asked) == 270 else None
    report = await stopped.improve(tmp_path, RACE)
    assert (report.state, report.exit_code) == ("interrupted", 130)
    resumed = racing()
    assert (await resumed.improve(tmp_path, RACE)).to_json() == whole.to_json()
    assert len(stopped.asked) + len(resumed.asked) == len({r.key("") for r in stopped.asked + resumed.asked})


async def test_the_race_is_part_of_the_configuration(tmp_path: Path) -> None:
    from autoflow.errors import RunError

    await Bench(writer(level(3))).improve(tmp_path)
    with pytest.raises(RunError, match="race: true in the folder, false now"):
        await Bench(writer(level(3))).improve(tmp_path, replace(CONFIG, race=False))
