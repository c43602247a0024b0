"""The synthetic benchmark: its optimum is one, its noise is as stated, and its generator knows nothing but the text."""

from dataclasses import replace
from pathlib import Path

import compare
import plot
import pytest
import world
from arena import Contender, Outcome, Point, best, reached
from author import NOWHERE, Author
from campaign import campaign, grouped, keep, kept
from strategy_helpers import evaluation, trial

from autoflow.core.budget import Budget
from autoflow.core.model import Message, Request, Sampling
from autoflow.core.strategy import Dropped
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError
from autoflow.interpreter.run import Interpreter
from autoflow.language.dump import dump
from autoflow.language.lint import lint
from autoflow.operators.library import library


async def test_the_planted_optimum_solves_every_order_and_the_hand_written_one_few() -> None:
    cards = {name: operator.card for name, operator in library().items()}
    assert lint(world.optimum(), cards) == []
    assert await world.true_score(world.optimum(), draws=4) == pytest.approx(1.0)
    assert await world.true_score(world.HAND_WRITTEN, draws=4) < 0.3


@pytest.mark.parametrize("need", world.NEEDS, ids=lambda need: need.name)
async def test_each_rule_deals_with_its_peculiarity_at_its_place_alone(need: world.Need) -> None:
    task = world.order(5, [need], "train")
    runner = Interpreter(world.Clerk(), library())

    async def solved(workflow: Workflow) -> bool:
        trace = await runner.run(workflow, task)
        return (await world.Till(0, 0).score(task, trace)).value == 1

    def told(role: str) -> Workflow:
        steps = [
            replace(step, instruction=f"{step.instruction} {need.rule}" if step.name == role else step.instruction)
            for step in world.HAND_WRITTEN.steps
        ]
        return replace(world.HAND_WRITTEN, steps=tuple(steps))

    assert not await solved(world.HAND_WRITTEN)
    for role in ("read", "work", "answer"):
        assert await solved(told(role)) == (role == need.role)
    report = await runner.run(world.HAND_WRITTEN, task)
    assert any(need.undone in str(step.result) for step in report.steps)


async def test_smudges_take_a_check_before_the_work_and_long_orders_a_vote() -> None:
    runner = Interpreter(world.Clerk(), library())
    smudged = world.order(7, [world.SMUDGED], "train")
    check = Step("check", "process", "Check the lines and clear up smudges.", next="work")
    read, work, answer = world.HAND_WRITTEN.steps
    early = Workflow("early", (replace(read, next="check"), check, work, answer))
    late = Workflow("late", (read, replace(work, next="check"), replace(check, next="answer"), answer))
    scores = [(await world.Till(0, 0).score(smudged, await runner.run(flow, smudged))).value for flow in (early, late)]
    assert scores == [1, 0]
    voted = Workflow("voted", (read, replace(work, operator="ensemble", parameters={"samples": 15}), answer))
    right = {"voted": 0.0, "orders": 0.0}
    for number in range(30):
        task = world.order(number, [world.LONG], "train")
        for flow in (voted, world.HAND_WRITTEN):
            right[flow.name] += (await world.Till(0, 0).score(task, await runner.run(flow, task))).value or 0
    assert right["voted"] == 30
    assert 8 <= right["orders"] <= 24


async def test_noise_and_faults_have_their_rate_and_stay_the_same() -> None:
    till = world.Till(0.05, 1)
    tasks = world.orders("train", 600, 1)
    right = [
        (await till.score(task, Trace("w", task.id, (), answer=f"{task.reference['answer']:.0f}"))).value
        for task in tasks
    ]
    assert 0.02 < right.count(0.0) / 600 < 0.08
    clerk = world.Clerk(1, faults=0.05)
    failed = 0
    for task in tasks:
        request = Request((Message("system", "s"), Message("user", f"{task.text}\n\nRead the order.")))
        try:
            assert await clerk.complete(request) == await clerk.complete(request)
        except ProviderError:
            failed += 1
    assert 0.02 < failed / 600 < 0.08


def asked(text: str, sample: int = 0) -> Request:
    return Request((Message("system", "s"), Message("user", text)), Sampling(seed=1), sample=sample)


def prompt(wish: str = "Write a workflow that scores higher.") -> str:
    flow = dump(world.HAND_WRITTEN)
    task = world.order(1, [world.NEEDS[0]], "train").text
    return f"This workflow scored 0.1 on 9 tasks:\n{flow}\n- task: {task}\n  answer: 7\n  score: 0.00\n\n{wish}"


async def test_a_fifth_of_the_drafts_cannot_be_used_and_repairs_do_not_help() -> None:
    author = Author(2, invalid=0.2)
    drafts = [(await author.complete(asked(prompt(), number))).text for number in range(300)]
    broken = [text for text in drafts if NOWHERE in text]
    assert 0.14 < len(broken) / 300 < 0.26
    again = Request(
        (Message("user", "?"), Message("assistant", broken[0]), Message("user", "This workflow cannot be used:"))
    )
    assert (await author.complete(again)).text == broken[0]


async def test_the_generator_takes_up_what_the_prompt_shows_and_depends_on_nothing_else() -> None:
    author, twin = Author(2), Author(2)
    drafts = [(await author.complete(asked(prompt(), number))).text for number in range(100)]
    assert drafts == [(await twin.complete(asked(prompt(), number))).text for number in range(100)]
    dozens = sum(world.NEEDS[0].rule in text or "dozens" in text for text in drafts)
    dollars = sum(world.NEEDS[2].rule in text or "dollars" in text for text in drafts)
    assert dozens > 50
    assert dollars == 0
    one = [(await author.complete(asked(prompt("Make exactly one modification."), n))).text for n in range(50)]
    changed = [sum(line not in dump(world.HAND_WRITTEN) for line in text.splitlines()[1:-1]) for text in one]
    assert max(changed) <= 6


def outcome(*points: tuple[int, float]) -> Outcome:
    return Outcome("x", 0, "complete", tuple(Point(n, true, true) for n, true in points), 9, 99, 0.1, 2.0, 3, 1)


def test_reaching_is_the_first_time_and_what_never_reaches_counts_as_the_bound() -> None:
    quick, never = outcome((10, 0.5), (20, 0.96), (30, 0.9)), outcome((10, 0.2), (400, 0.9))
    assert (reached(quick, 0.95), reached(never, 0.95)) == (20, None)
    assert compare.needed([quick, never], 300) == [20, 300]
    text = compare.reach_text({"evolve": [quick, quick], "aflow": [never, never]}, 300)
    assert "| aflow | 2 | 0 | 300 or more | 300 |" in text
    assert "evolve / aflow: 0.07 [0.07, 0.07], n = 2 seeds" in text


def test_the_best_is_that_on_validation_and_no_loser_of_a_race() -> None:
    trials = [trial("a", 1, world.HAND_WRITTEN, 0.5), trial("b", 2, world.optimum(), 0.5)]
    lost = replace(trials[1], id="c", validation=replace(evaluation("validation", 1.0), dropped=Dropped(1, "a", 0.01)))
    assert best([*trials, lost]) is trials[0]
    assert best([lost]) is None


def test_tables_and_drawings_hold_every_contender(tmp_path: Path) -> None:
    found = {"evolve": [outcome((10, 0.5), (20, 0.96))], "aflow <b>": [outcome((10, 0.2))]}
    text, bars = compare.table_text(found, "true score", optimum=1.0), compare.test_bars(found)
    compare.written(tmp_path, "table", text, course=compare.course(found), bars=bars)
    table = (tmp_path / "table.md").read_text()
    assert "| evolve | 1 | 0.960 | 0.960 | 0.040 | 20 | 9 | 99 | 0.100 | 2 | 3.0 | 1.0 |" in table
    drawing = (tmp_path / "table-course.svg").read_text()
    assert "aflow &lt;b&gt;" in drawing
    assert drawing.count("<path") >= 3
    assert (tmp_path / "table-bars.svg").read_text() == compare.test_bars(found)
    assert "<rect" in plot.bars("t", "y", {"a": (0.5, 0.4, 0.6)})
    # Of one seed the interval is over tasks, where it is known.
    known = replace(found["evolve"][0], test_interval=(0.8, 1.0))
    assert "| 0.960 [0.800, 1.000] |" in compare.table_text({"evolve": [known]}, "test")


def test_what_was_found_is_kept_and_only_under_its_own_settings(tmp_path: Path) -> None:
    file, asked = tmp_path / "found.json", {"most": 300}
    known = [replace(outcome((10, 0.5), (20, 0.96)), label="evolve", test_interval=(0.8, 1.0)), outcome((10, 0.2))]
    assert kept(file, asked) == []
    keep(file, asked, known)
    assert kept(file, asked) == known
    with pytest.raises(SystemExit, match="name another --out"):
        kept(file, {"most": 400})
    contenders = [Contender("evolve", "evolve"), Contender("x", "aflow"), Contender("none", "w4s")]
    assert grouped(known[::-1], contenders) == {"evolve": known[:1], "x": known[1:]}
    # Nothing is left to search, so nothing is.
    assert campaign(_never, contenders[:2], 1, jobs=1, file=file, settings=asked) == grouped(known, contenders)


def _never(contender: Contender, seed: int) -> Outcome:
    raise AssertionError(f"{contender.label} was searched with seed {seed}")


@pytest.mark.slow
def test_evolve_takes_at_most_half_of_the_task_runs_that_aflow_takes(tmp_path: Path) -> None:
    counts: dict[str, list[int]] = {}
    for contender in compare.REACHING[:2]:
        outcomes = [
            compare.one(contender, seed, budget=Budget(), runs=tmp_path, most=1500, until=0.95) for seed in range(3)
        ]
        counts[contender.label] = compare.needed(outcomes, 1500)
    assert sum(counts["evolve"]) <= sum(counts["aflow"]) / 2
