"""Improving: what is paid, recorded, chosen, and said of it."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from improve_helpers import CONFIG, Bench, Model, benchmark, level, solve, text_of, writer

from autoflow import improve as module
from autoflow.core.budget import Budget
from autoflow.core.model import Request
from autoflow.core.strategy import Proposal, Situation
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError, RunError, UnknownNameError, UsageError
from autoflow.improve import HAND_WRITTEN, ImproveReport, improve, run_path
from autoflow.language.document import parse
from autoflow.language.dump import dump
from autoflow.runs.ledger import Ledger


async def test_a_better_workflow_is_chosen_on_validation_and_run_on_test_once(tmp_path: Path) -> None:
    run = Bench(writer(level(1), level(12)), count=12)
    report = await run.improve(tmp_path / "run")
    assert report.state == "complete"
    assert [row.id for row in report.rows] == [HAND_WRITTEN, "r1c1", "r2c1"]
    means = [(row.train.interval.mean, row.validation.interval.mean) for row in report.rows]  # type: ignore[union-attr]
    assert means == [(2 / 12, 2 / 12), (1 / 12, 1 / 12), (1.0, 1.0)]
    assert report.best == "r2c1"
    assert [row.id for row in report.test] == [HAND_WRITTEN, "r2c1"]
    assert run.test_reads == 1
    assert report.supported
    assert report.verdict.startswith("r2c1, best of 2 candidates on validation, beat the hand-written workflow on test")
    assert "p = 0.002" in report.verdict
    assert parse((tmp_path / "run" / "best.yaml").read_text()).workflow == level(12)
    tested = [text_of(request) for request in run.interpreter.asked if "of test?" in text_of(request)]
    assert len(tested) == 24
    assert not any("level 1." in text for text in tested)


async def test_when_nothing_wins_the_report_says_so_and_keeps_the_hand_written_workflow(tmp_path: Path) -> None:
    run = Bench(writer(level(1)))
    report = await run.improve(tmp_path)
    assert not report.supported
    assert report.best == HAND_WRITTEN
    assert report.verdict.startswith(
        "Nothing beat the hand-written workflow by a margin that the sample supports: of 1 candidate, r1c1 comes"
        " nearest on validation (no difference that 5 tasks can show: -0.20"
    )
    assert report.verdict.endswith("The hand-written workflow is kept.")
    assert [row.id for row in report.test] == [HAND_WRITTEN]
    assert parse((tmp_path / "best.yaml").read_text()).workflow.steps == level(2).steps


async def test_a_gain_that_five_tasks_cannot_support_is_chosen_but_not_claimed(tmp_path: Path) -> None:
    report = await Bench(writer(level(3))).improve(tmp_path)
    assert report.best == "r1c1"
    assert not report.supported
    assert report.verdict.startswith(
        "Nothing beat the hand-written workflow by a margin that the sample supports: r1c1, best of 1 candidate on"
        " validation, shows on test no difference that 5 tasks can show: +0.20"
    )


async def test_a_loss_on_test_does_not_change_the_choice(tmp_path: Path) -> None:
    run = Bench(writer(level(12)), count=12)
    run.interpreter.answer = lambda request: (
        "lost" if "of test?" in text_of(request) and "level 12" in text_of(request) else solve(request)
    )
    report = await run.improve(tmp_path)
    assert report.best == "r1c1"
    assert not report.supported
    assert report.verdict.startswith("Nothing beat the hand-written workflow")


async def test_without_a_shortlist_no_test_task_is_read_and_validation_decides_with_holm(tmp_path: Path) -> None:
    run = Bench(writer(level(12), level(11)), count=12)
    report = await run.improve(tmp_path, replace(CONFIG, shortlist=0))
    assert (run.test_reads, report.test) == (0, ())
    assert report.supported
    assert "beat the hand-written workflow on validation" in report.verdict
    row = report.rows[1]
    assert row.against is not None
    assert row.p_holm == pytest.approx(2 * row.against.p_value)


async def test_a_margin_that_does_not_survive_holm_is_not_claimed(tmp_path: Path) -> None:
    # Six flips of seven tasks: p = 0.031 alone, 0.094 for the best of three.
    flows = (level(6, "Say"), level(6, "Tell"), level(6, "Give"))
    run = Bench(writer(*flows), baseline=level(0), count=7)
    report = await run.improve(tmp_path, replace(CONFIG, rounds=3, shortlist=0))
    assert report.best == "r1c1"
    assert not report.supported
    assert "p = 0.094 when adjusted for the number compared" in report.verdict


async def test_a_tie_goes_to_the_cheaper(tmp_path: Path) -> None:
    long = Workflow("long", (Step("think", "process", "Think at level 3.", next="answer"), *level(3).steps))
    assert (await Bench(writer(long, level(3))).improve(tmp_path / "a")).best == "r2c1"
    # As good as the hand-written one and no cheaper: nothing is gained.
    assert (await Bench(writer(level(2, "Say"))).improve(tmp_path / "b")).best == HAND_WRITTEN
    # As good and cheaper.
    dear = replace(long, steps=(replace(long.steps[0], instruction="Think at level 3."), *level(3).steps))
    assert (await Bench(writer(level(3)), baseline=dear).improve(tmp_path / "c")).best == "r1c1"


async def test_the_generator_sees_train_scores_and_failures_but_no_gold_and_no_other_split(tmp_path: Path) -> None:
    run = Bench(writer(level(1), level(3)))
    await run.improve(tmp_path)
    second = text_of(run.generator.asked[1])
    assert "The hand-written workflow scored 0.400 on 5 tasks" in second
    assert "Workflow r1c1 scored 0.200 on 5 tasks" in second
    assert "task: Number 1 of train?" in second
    assert "answer: lost on 1" in second
    assert "(wrong_answer)" in second
    for request in run.generator.asked:
        assert "validation" not in text_of(request)
        assert "of test?" not in text_of(request)
    for request in run.asked:
        assert "CANARY" not in text_of(request)


async def test_an_invalid_draft_is_an_event_costs_no_task_and_is_told_to_the_generator(tmp_path: Path) -> None:
    run = Bench(writer("steps: none", level(3)))
    report = await run.improve(tmp_path)
    row = report.rows[1]
    assert (row.id, row.valid, row.repairs, row.train) == ("r1c1", False, 3, None)
    assert row.errors
    assert run.kinds().count("invalid") == 1
    assert (report.drafts, report.invalid) == (2, 1)
    assert len(run.generator.asked) == 5
    assert len(run.interpreter.asked) == 5 * 2 * 2 + 5 * 2
    assert "Workflow r1c1 could not be used" in text_of(run.generator.asked[4])


async def test_if_every_draft_is_invalid_the_hand_written_workflow_is_kept(tmp_path: Path) -> None:
    report = await Bench(writer("no")).improve(tmp_path)
    assert report.best == HAND_WRITTEN
    assert "no draft was a new, valid workflow" in report.verdict


async def test_a_duplicate_is_reported_and_never_paid_for(tmp_path: Path) -> None:
    run = Bench(writer(replace(level(2), name="other"), level(3), level(3)))
    report = await run.improve(tmp_path, replace(CONFIG, rounds=3))
    assert [row.duplicate_of for row in report.rows] == [None, HAND_WRITTEN, None, "r2c1"]
    assert run.kinds().count("duplicate") == 2
    assert len(run.interpreter.asked) == 2 * 2 * 5 + 2 * 5
    assert report.rows[3].train == report.rows[2].train
    assert (report.rows[3].spend.calls, report.rows[3].against) == (0, None)
    assert report.best == "r2c1"


async def test_spending_of_generator_and_interpreter_is_told_apart(tmp_path: Path) -> None:
    run = Bench(writer(level(3)))
    report = await run.improve(tmp_path)
    assert report.generator.calls == len(run.generator.asked) == 2
    assert report.interpreter.calls == len(run.interpreter.asked) == 4 * 5 + 2 * 5
    assert report.generator.usd == pytest.approx(0.002)
    assert report.answered == ("test/solver", "test/writer")
    assert [row.spend.calls for row in report.rows] == [10, 10, 0]


async def test_the_report_holds_all_that_a_reader_needs(tmp_path: Path) -> None:
    report = await Bench(writer("no", level(3))).improve(tmp_path)
    stored = json.loads((tmp_path / "report.json").read_text())
    assert stored == json.loads(json.dumps(report.to_json()))
    assert (stored["schema"], stored["kind"], stored["score"]) == (1, "improve", "exact match")
    assert stored["config"]["seed"] == 0
    assert stored["config"]["generator"] == "test/writer"
    assert "budget" not in stored["config"]
    assert stored["rows"][2]["validation"]["n"] == 5
    assert stored["rows"][2]["against_hand_written"]["p_holm"] is not None
    assert "level 3" in stored["workflow"]
    text = (tmp_path / "report.txt").read_text()
    assert text == report.to_text()
    for part in (
        "r2c1 *",
        "invalid after 3 repairs",
        "test split, read once",
        "generator spent 5 calls",
        "command: autoflow improve numbers",
        "note: Made for the tests.",
        "unscored",
        "seed 0",
    ):
        assert part in text
    assert json.loads((tmp_path / "timing.json").read_text())["rows"].keys() == {HAND_WRITTEN, "r2c1"}
    assert report.exit_code == 0


async def test_the_same_command_on_a_finished_run_asks_nothing_and_says_the_same(tmp_path: Path) -> None:
    first = await Bench(writer(level(3), "no")).improve(tmp_path)
    again = Bench(writer(level(3), "no"))
    second = await again.improve(tmp_path)
    assert second.to_json() == first.to_json()
    assert again.asked == []
    assert "resumed" in again.kinds()
    assert second.rows == first.rows


def resumable() -> Bench:
    return Bench(writer("steps: none", level(3), level(4)))


RESUMABLE = replace(CONFIG, rounds=3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> ImproveReport:
    """The report of the uninterrupted run."""
    return asyncio.run(resumable().improve(tmp_path_factory.mktemp("whole"), RESUMABLE))


@pytest.mark.parametrize("cut", [1, 3, 8, 12, 17, 25, 33, 39])
async def test_a_killed_run_resumes_to_the_report_of_an_uninterrupted_one(
    tmp_path: Path, whole: ImproveReport, cut: int
) -> None:
    config = RESUMABLE
    killed = resumable()
    running = asyncio.ensure_future(killed.improve(tmp_path / "cut", config))

    def kill() -> None:
        if len(killed.asked) == cut:
            running.cancel()

    killed.generator.after = killed.interpreter.after = kill
    with pytest.raises(asyncio.CancelledError):
        await running
    resumed = resumable()
    report = await resumed.improve(tmp_path / "cut", config)
    assert report.to_json() == whole.to_json()
    assert report.rows == whole.rows
    # Only what was in flight is asked again.
    assert len(killed.asked) + len(resumed.asked) <= len({r.key("") for r in killed.asked + resumed.asked}) + 2
    with Ledger.reading(tmp_path / "cut" / "ledger.sqlite") as ledger:
        assert [trial.id for trial in ledger.trials()] == [HAND_WRITTEN, "r1c1", "r2c1", "r3c1"]


@pytest.mark.parametrize("cut", [1, 11, 16, 22, 38])
async def test_a_stopped_run_ends_what_is_in_flight_and_resumes(tmp_path: Path, whole: ImproveReport, cut: int) -> None:
    config = RESUMABLE
    stopped = resumable()
    stopped.generator.after = stopped.interpreter.after = lambda: (
        stopped.stop.set() if len(stopped.asked) == cut else None
    )
    report = await stopped.improve(tmp_path / "cut", config)
    assert (report.state, report.exit_code, report.supported) == ("interrupted", 130, False)
    assert "not complete (interrupted)" in report.to_text()
    resumed = resumable()
    assert (await resumed.improve(tmp_path / "cut", config)).to_json() == whole.to_json()
    assert len(stopped.asked) + len(resumed.asked) == len({r.key("") for r in stopped.asked + resumed.asked})


@pytest.mark.parametrize("calls", [2, 11, 13, 25, 36, 45])
async def test_a_budget_ends_the_run_before_it_is_passed_and_more_resumes_it(
    tmp_path: Path, whole: ImproveReport, calls: int
) -> None:
    config = RESUMABLE
    poor = resumable()
    report = await poor.improve(tmp_path / "cut", replace(config, budget=Budget(calls=calls), refuse_small=False))
    assert (report.state, report.exit_code) == ("budget", 6)
    assert len(poor.asked) == calls
    assert report.verdict.startswith("The run is not complete (budget)")
    rich = resumable()
    assert (
        await rich.improve(tmp_path / "cut", replace(config, budget=Budget(calls=500)))
    ).to_json() == whole.to_json()


async def test_the_choice_stands_once_the_test_split_was_read(tmp_path: Path) -> None:
    run = Bench(writer(level(3)))
    run.interpreter.after = lambda: (
        run.stop.set() if any("of test?" in text_of(r) for r in run.interpreter.asked) else None
    )
    first = await run.improve(tmp_path)
    assert (first.state, first.best) == ("interrupted", "r1c1")
    run.stop.clear()
    run.interpreter.after = lambda: None
    assert (await run.improve(tmp_path)).best == "r1c1"
    with Ledger.reading(tmp_path / "ledger.sqlite") as ledger:
        assert [event.data for event in ledger.events() if event.kind == "chosen"] == [{"chosen": ["r1c1"]}]


class Counting:
    """The levels in turn; remembers the rounds in which it was asked."""

    name = "counting"
    splits = ("train", "validation")

    def __init__(self) -> None:
        self.rounds: list[int] = []

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        self.rounds.append(situation.round)
        flow = level(len(situation.trials) + 2)
        return [Proposal(flow, dump(flow), "the next level")] if situation.round < 3 else []


async def test_a_round_on_record_is_not_proposed_again(tmp_path: Path) -> None:
    run = Bench(writer())
    run.interpreter.after = lambda: run.stop.set() if len(run.interpreter.asked) == 13 else None
    first, second = Counting(), Counting()
    stopped = await improve(CONFIG, replace(run.collaborators(), strategy=first), folder=tmp_path)
    assert (stopped.state, first.rounds) == ("interrupted", [1])
    run.stop.clear()
    report = await improve(CONFIG, replace(run.collaborators(), strategy=second), folder=tmp_path)
    assert second.rounds == [2, 3]
    assert [row.fingerprint for row in report.rows] == [level(number).fingerprint() for number in (2, 3, 4)]


async def test_another_configuration_is_refused_by_key(tmp_path: Path) -> None:
    await Bench(writer(level(3))).improve(tmp_path)
    with pytest.raises(RunError, match="seed: 0 in the folder, 1 now"):
        await Bench(writer(level(3))).improve(tmp_path, replace(CONFIG, seed=1))


async def test_a_provider_that_is_gone_leaves_a_resumable_run(tmp_path: Path) -> None:
    def gone(request: Request) -> str:
        raise ProviderError("no route", transient=True)

    run = Bench(Model("test/writer", gone))
    report = await run.improve(tmp_path)
    assert (report.state, report.exit_code, report.stopped) == ("provider", 5, "no route")
    run.generator = writer(level(3))
    assert (await run.improve(tmp_path)).best == "r1c1"


async def test_a_generator_that_cannot_be_asked_at_all_is_an_error(tmp_path: Path) -> None:
    def refuse(request: Request) -> str:
        raise ProviderError("no key", transient=False)

    with pytest.raises(ProviderError, match="no key"):
        await Bench(Model("test/writer", refuse)).improve(tmp_path)


async def test_an_interpreter_that_is_gone_stops_the_run(tmp_path: Path) -> None:
    def gone(request: Request) -> str:
        raise ProviderError("no route", transient=True)

    run = Bench(writer(level(3)), count=20)
    run.interpreter.answer = gone
    report = await run.improve(tmp_path)
    assert (report.state, report.rows[0].train.interval) == ("provider", None)  # type: ignore[union-attr]
    assert "-" in report.table()[1]


async def test_unscored_tasks_are_counted_and_tried_again_on_resume(tmp_path: Path) -> None:
    def flaky(request: Request) -> str:
        if "Number 0 of validation" in text_of(request) and "level 3" in text_of(request):
            raise ProviderError("no route", transient=True)
        return solve(request)

    run = Bench(writer(level(3)))
    run.interpreter.answer = flaky
    report = await run.improve(tmp_path, replace(CONFIG, shortlist=0))
    assert report.rows[1].validation is not None
    assert report.rows[1].validation.unscored == 1
    run.interpreter.answer = solve
    again = await run.improve(tmp_path, replace(CONFIG, shortlist=0))
    assert again.rows[1].validation.unscored == 0  # type: ignore[union-attr]


async def test_a_gate_saves_the_validation_of_candidates_below_their_parent(tmp_path: Path) -> None:
    run = Bench(writer(level(1), level(3)))
    report = await run.improve(tmp_path, replace(CONFIG, gate="parent"))
    assert report.rows[1].validation is None
    assert report.rows[2].validation is not None
    assert report.best == "r2c1"
    assert "not run on validation" in report.to_text()


async def test_without_a_hand_written_workflow_the_best_is_told_without_a_claim(tmp_path: Path) -> None:
    report = await Bench(writer(level(3), level(4)), baseline=None).improve(tmp_path / "a")
    assert (report.best, report.supported) == ("r2c1", False)
    assert "no hand-written workflow to compare it with" in report.verdict
    assert [row.against for row in report.test] == [None]
    none = await Bench(writer("no"), baseline=None).improve(tmp_path / "b")
    assert (none.best, none.workflow, none.test) == (None, None, ())
    assert not (tmp_path / "b" / "best.yaml").exists()


async def test_limits_take_the_first_tasks_of_each_split(tmp_path: Path) -> None:
    run = Bench(writer(level(3)))
    report = await run.improve(tmp_path, replace(CONFIG, train_limit=2, validation_limit=3, test_limit=4, rounds=1))
    assert (report.rows[1].train.interval.n, report.rows[1].validation.interval.n) == (2, 3)  # type: ignore[union-attr]
    assert report.test[0].measured.interval.n == 4  # type: ignore[union-attr]


async def test_several_drafts_a_round_are_numbered_and_shortlisted(tmp_path: Path) -> None:
    drafts = {1: level(3), 2: level(4), 3: level(5)}
    generator = Model("test/writer", lambda request: dump(drafts[(request.sample // 100) % 1000 + 1]))
    report = await Bench(generator).improve(tmp_path, replace(CONFIG, rounds=1, candidates=3, shortlist=2))
    assert [row.id for row in report.rows] == [HAND_WRITTEN, "r1c1", "r1c2", "r1c3"]
    assert [row.id for row in report.test] == [HAND_WRITTEN, "r1c3", "r1c2"]


class Fixed:
    """A strategy that proposes the same workflow once."""

    name = "fixed"
    splits = ("train", "validation")

    async def propose(self, situation: Situation) -> Sequence[Proposal]:
        assert isinstance(situation.rng, random.Random)
        flow = replace(level(5), steps=(replace(level(5).steps[0], model="test/other"),))
        return [Proposal(flow, dump(flow), "as given")] if situation.round == 1 else []


async def test_models_that_the_run_opens_are_metered_and_closed(tmp_path: Path) -> None:
    opened: dict[str, Model] = {}

    def open_model(spec: str) -> Model:
        assert spec not in opened
        opened[spec] = Model(spec, solve)
        return opened[spec]

    run = Bench(writer())
    given = replace(
        run.collaborators(), generator=None, interpreter=None, open_model=open_model, strategy=Fixed(), on_event=None
    )
    report = await improve(CONFIG, given, folder=tmp_path)
    assert report.best == "r1c1"
    assert set(opened) == {"test/writer", "test/solver", "test/other"}
    assert all(model.closed >= 1 for model in opened.values())
    assert report.answered == ("test/other", "test/solver")
    assert report.interpreter.calls == sum(len(model.asked) for model in opened.values())


async def test_one_spec_for_both_is_opened_once(tmp_path: Path) -> None:
    opened: list[str] = []

    def open_model(spec: str) -> Model:
        opened.append(spec)
        return Model(spec, solve)

    run = Bench(writer())
    given = replace(run.collaborators(), generator=None, interpreter=None, open_model=open_model, strategy=Fixed())
    await improve(replace(CONFIG, generator="test/solver"), given, folder=tmp_path)
    assert opened == ["test/solver", "test/other"]


def test_the_run_folder_is_named_by_the_configuration() -> None:
    here = Path("runs")
    name = run_path(CONFIG, benchmark(), here)
    assert name == run_path(replace(CONFIG, budget=Budget(calls=3), concurrency=9), benchmark(), here)
    assert name != run_path(replace(CONFIG, seed=3), benchmark(), here)
    assert name.name.startswith("improve-numbers-")


def test_unknown_strategies_and_options_list_what_exists() -> None:
    with pytest.raises(UnknownNameError, match="in-context"):
        module.make_strategy(replace(CONFIG, strategy="magic"))
    with pytest.raises(UsageError, match="no option 'speed'; there are: rounds, candidates"):
        module.make_strategy(replace(CONFIG, strategy_options={"speed": 3}))


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"shortlist": -1}, {"rounds": 0}, {"train_limit": 0}, {"gate": "best"}]
)
def test_configurations_that_cannot_be_run_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        replace(CONFIG, **wrong)  # type: ignore[arg-type]


async def test_a_benchmark_without_validation_tasks_is_refused(tmp_path: Path) -> None:
    run = Bench(writer(level(3)))
    run.benchmark = replace(run.benchmark, validation=())
    with pytest.raises(UsageError, match="needs train and validation tasks"):
        await run.improve(tmp_path)
