"""Evolve: blame that is proven, patches at the place of the fault, screening on train, merges, and a weak generator."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from strategy_helpers import Writer, benchmark, chain, evaluation, situation, tasks, trial

from autoflow import plugins
from autoflow.core.budget import Budget
from autoflow.core.model import Request
from autoflow.core.score import Score
from autoflow.core.strategy import Cost, Proposal, Situation, Trial, Tried
from autoflow.core.task import Task
from autoflow.core.trace import Failure, StepRecord, Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.interpreter.run import Interpreter
from autoflow.objective.laboratory import Bench
from autoflow.objective.meter import Meter
from autoflow.objective.metered import Metered
from autoflow.operators.library import library
from autoflow.runs.ledger import Ledger
from autoflow.strategies.archive import ancestor, archive, failed_edits, incumbent, population, shares, wins
from autoflow.strategies.blame import Judge, findings, inspected
from autoflow.strategies.drafting import SMALL
from autoflow.strategies.evolve import Evolve
from autoflow.strategies.examine import Case, Examined, Examiner
from autoflow.strategies.patching import ROUTES

GOLDEN = Path(__file__).parent / "golden"

BASE = chain("Name the animal.", "Say its colour.")
"""Riddles about colours: a workflow must be told to look twice (step s1) and to be polite (the answer)."""


class Colours:
    """Right where the answer is; an odd riddle needs a second look, every third one politeness as well."""

    label = "colours"

    async def score(self, task: Task, trace: Trace) -> Score:
        right = "wrong" not in str(trace.answer)
        return Score(float(right), "" if right else "wrong_colour")


def carry_out(request: Request) -> str:
    """Step s1 looks, once or twice; the answer is polite or not."""
    turns = [turn.text for turn in request.messages if turn.role != "system"]
    number = int(turns[0].split("Riddle ")[1].split()[0])
    asked = turns[-1].splitlines()[-1]
    if len(turns) == 1:
        careful = "twice" in asked or "step by step" in asked
        return "looked twice" if number % 2 == 0 or careful else "looked once"
    seen = turns[1] == "looked twice"
    polite = number % 3 != 0 or "please" in asked
    return f"{'' if seen else 'wrong animal, '}{'' if polite else 'wrong manners, '}black"


class World:
    """A laboratory on a ledger, with the interpreter above."""

    def __init__(self, folder: Path) -> None:
        self.clerk = Writer(carry_out)
        self.ledger = Ledger(folder / "ledger.sqlite")
        meter = Meter(Budget(), lambda: 0.0)
        self.benchmark = replace(benchmark(BASE), train=tasks("train", 12), scorer=Colours())
        interpreter = Interpreter(Metered(self.clerk, self.ledger, meter), library())
        self.room = Bench(self.benchmark, Colours(), interpreter, self.ledger)

    def situation(self, generator: Writer, trials: tuple[Trial, ...], round_: int = 1, seed: str = "s") -> Situation:
        made = situation(generator, trials, round_, seed=seed, room=self.room, baseline=BASE)
        return replace(made, benchmark=self.benchmark)

    def evaluations(self) -> Mapping[str, int]:
        rows = self.ledger._db.execute("SELECT split, COUNT(*) FROM results GROUP BY split")
        return dict(rows)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


HAND = trial("hand-written", 0, BASE, 0.3)


def blame(step: str, better: str, fault: str = "instruction", why: str = "It looked once.") -> str:
    return json.dumps({"why": why, "step": step, "fault": fault, "result": better})


def edits(*made: Mapping[str, object], why: str = "Look twice.") -> str:
    return json.dumps({"why": why, "edits": list(made)})


LOOK = {"op": "replace_instruction", "step": "s1", "instruction": "Name the animal, look twice."}
POLITE = {"op": "replace_instruction", "step": "answer", "instruction": "Say its colour, please."}


def author(request: Request) -> str:
    """A generator that knows: it reads the faults off the runs it is shown."""
    text = request.messages[-1].text
    if "What the steps did" in text:
        if "result: looked once" in text:
            return blame("1. s1", "looked twice")
        return blame("2. answer", "black", why="It is rude.")
    made = [edit for edit, sign in ((LOOK, "looked once"), (POLITE, "wrong manners")) if sign in text]
    return edits(*made) if made else edits(LOOK)


def purposes(writer: Writer) -> list[str]:
    return [request.purpose for request in writer.requests]


# -- blame


def judge(model: Writer) -> Judge:
    return Judge(model, "Answer riddles.", 500, 200, 100, 300)


async def test_the_step_at_fault_is_proven_by_a_run_with_its_result_replaced(world: World) -> None:
    failed = await world.room.attempt(BASE, "train-1")
    model = Writer(author)
    (finding,) = await findings(judge(model), world.room, BASE, world.benchmark.train[1], failed, depth=3)
    assert (finding.step, finding.fault, finding.result, finding.better) == (
        "s1",
        "instruction",
        "looked once",
        "looked twice",
    )
    assert finding.confirmed is True
    assert model.last == (GOLDEN / "evolve-blame.txt").read_text(encoding="utf-8").strip()


async def test_a_second_fault_is_found_in_the_run_with_the_first_mended(world: World) -> None:
    failed = await world.room.attempt(BASE, "train-3")
    model = Writer(author)
    found = await findings(judge(model), world.room, BASE, world.benchmark.train[3], failed, depth=3)
    assert [(item.step, item.confirmed) for item in found] == [("s1", True), ("answer", True)]
    assert len(model.requests) == 2
    # The mended step is not among those to be blamed again.
    assert '"1. s1"' not in model.requests[1].messages[-1].text
    (shallow,) = await findings(judge(model), world.room, BASE, world.benchmark.train[3], failed, depth=1)
    assert shallow.confirmed is False


async def test_a_wrong_blame_is_not_confirmed_and_an_unreadable_one_is_none(world: World) -> None:
    failed = await world.room.attempt(BASE, "train-1")
    wrong = Writer(lambda request: blame("1. s1", "looked away"))
    found = await findings(judge(wrong), world.room, BASE, world.benchmark.train[1], failed, depth=1)
    assert [item.confirmed for item in found] == [False]
    mute = Writer(lambda request: "I do not know.")
    assert await findings(judge(mute), world.room, BASE, world.benchmark.train[1], failed, depth=3) == []
    # Without a better result nothing is run again.
    silent = Writer(lambda request: blame("1. s1", " "))
    before = sum(world.evaluations().values())
    found = await findings(judge(silent), world.room, BASE, world.benchmark.train[1], failed, depth=3)
    assert [(item.better, item.confirmed) for item in found] == [(None, None)]
    assert sum(world.evaluations().values()) == before


def record(step: str, result: object, failure: Failure | None = None, calls: tuple[Any, ...] = ()) -> StepRecord:
    return StepRecord(step, 1, "generate", result, calls=calls, failure=failure)  # type: ignore[arg-type]


def test_without_a_judge_the_failure_says_where_else_what_gave_nothing_else_chance() -> None:
    task, rng = tasks("train")[0], random.Random(0)

    def tried(*records: StepRecord, failure: Failure | None = None) -> Tried:
        return Tried(evaluation("train", 0.0).results[0], Trace("w", task.id, records, failure=failure))

    broke = Failure("workflow", "operator", "it broke", "s1")
    found = inspected(BASE, task, tried(record("s1", None, broke), failure=broke), rng)
    assert found is not None
    assert (found.step, found.fault, found.why) == ("s1", "operator", "it broke")
    lost = Failure("workflow", "reference", "reads s2", "answer")
    found = inspected(BASE, task, tried(record("s1", "x"), failure=lost), rng)
    assert found is not None
    assert (found.step, found.fault) == ("answer", "wiring")
    found = inspected(BASE, task, tried(record("s1", " "), record("answer", "x")), rng)
    assert found is not None
    assert (found.step, found.why) == ("s1", "it gave nothing")
    drawn = {
        inspected(BASE, task, tried(record("s1", "x"), record("answer", "y")), random.Random(n)).step for n in range(20)
    }  # type: ignore[union-attr]
    assert drawn == {"s1", "answer"}
    assert inspected(BASE, task, Tried(evaluation("train", 0.0).results[0], None), rng) is None


# -- examining


def examiner(world: World, model: Writer, **changed: int) -> Examiner:
    numbers = {"probes": 2, "look": 12, "depth": 3, **changed}
    return Examiner(world.room, judge(model), world.benchmark.train, **numbers)


async def test_no_more_is_run_than_it_takes_and_what_was_run_comes_first(world: World) -> None:
    look = examiner(world, Writer(author), probes=1)
    first = await look.examine(BASE, random.Random(1))
    assert (len(first.failed), first.failed[0].proven) == (1, True)
    runs = world.evaluations()
    assert runs["train"] <= 4
    again = await look.examine(BASE, random.Random(2))
    assert [case.task.id for case in again.failed] == [case.task.id for case in first.failed]
    assert world.evaluations() == runs


async def test_unproven_cases_are_kept_only_where_nothing_is_proven(world: World) -> None:
    blind = Writer(lambda request: blame("1. s1", "looked away"))
    found = await examiner(world, blind, look=6).examine(BASE, random.Random(1))
    assert len(found.failed) == 2
    assert not any(case.proven for case in found.failed)
    assert world.evaluations()["train"] == 6


async def test_a_child_helps_if_it_gains_more_than_it_loses(world: World) -> None:
    look = examiner(world, Writer(author))
    passed = [Case(world.benchmark.train[2], await world.room.attempt(BASE, "train-2"))]
    failed = [Case(world.benchmark.train[1], await world.room.attempt(BASE, "train-1"))]
    better = chain("Name the animal, look twice.", "Say its colour.")
    assert await look.helps(better, Examined(failed, passed))
    runs = world.evaluations()["train"]
    # What does not mend is not run on what went well.
    assert not await look.helps(chain("Name it.", "Say its colour."), Examined(failed, passed))
    assert world.evaluations()["train"] == runs + 1
    assert not await look.helps(chain("Look twice.", "wrong"), Examined([], passed))


# -- proposals


async def test_a_patch_mends_what_is_proven_and_is_told_with_its_evidence(world: World) -> None:
    model = Writer(author)
    (proposal,) = await Evolve(chain=1).propose(world.situation(model, (HAND,)))
    assert proposal.workflow is not None
    assert "twice" in proposal.workflow.step("s1").instruction
    assert proposal.parent == "hand-written"
    assert proposal.notes["how"] == "patch"
    assert LOOK in proposal.notes["edits"]  # type: ignore[operator]
    assert all(place["confirmed"] for place in proposal.notes["findings"])  # type: ignore[index,union-attr,call-overload]
    assert proposal.text.startswith("autoflow: 1")
    patching = model.requests[purposes(model).index("patch")]
    assert patching.messages[-1].text == (GOLDEN / "evolve-patch.txt").read_text(encoding="utf-8").strip()


async def test_patches_build_on_each_other_before_validation_is_paid_for(world: World) -> None:
    model = Writer(author)
    (proposal,) = await Evolve(probes=1, chain=3).propose(world.situation(model, (HAND,)))
    assert proposal.workflow is not None
    assert "twice" in proposal.workflow.step("s1").instruction
    assert "please" in proposal.workflow.step("answer").instruction
    assert proposal.parent == "hand-written"
    assert "validation" not in world.evaluations()


async def test_a_patch_that_does_not_help_goes_no_further_and_is_remembered(world: World) -> None:
    idle = {"op": "replace_instruction", "step": "s1", "instruction": "Name the beast."}

    def idle_author(request: Request) -> str:
        return author(request) if request.purpose.startswith("blame") else edits(idle)

    model = Writer(idle_author)
    (proposal,) = await Evolve(tries=1).propose(world.situation(model, (HAND,)))
    assert proposal.workflow is None
    assert "none of 1 edits of hand-written helped" in proposal.errors[0]
    failed = Trial("r1c1", 1, proposal)
    again = Writer(idle_author)
    await Evolve(tries=1).propose(world.situation(again, (HAND, failed), 2))
    text = again.requests[purposes(again).index("patch")].messages[-1].text
    assert (
        "Edits of this workflow that did not help:\n- replace_instruction step: s1, instruction: Name the beast."
        in text
    )


async def test_edits_are_confined_to_what_can_mend_the_fault_until_some_have_failed(world: World) -> None:
    def wiring(request: Request) -> str:
        return blame("1. s1", "looked twice", "wiring") if request.purpose.startswith("blame") else edits(LOOK)

    model = Writer(wiring)
    await Evolve(chain=1).propose(world.situation(model, (HAND,)))
    text = model.requests[purposes(model).index("patch")].messages[-1].text
    offered = {op for op in ROUTES["wiring"] if f'"enum": ["{op}"]' in text}
    # Without a decision there is no branch to rewire.
    assert offered == set(ROUTES["wiring"]) - {"rewire_branch"}
    assert '"enum": ["swap_operator"]' not in text
    tired = replace(HAND.proposal, parent="hand-written", notes={"rejected": ["one", "another"]})
    later = Writer(wiring)
    await Evolve(chain=1).propose(world.situation(later, (HAND, Trial("r1c1", 1, tired)), 2))
    assert '"enum": ["swap_operator"]' in later.requests[purposes(later).index("patch")].messages[-1].text


async def test_edits_that_lint_refuses_go_back_before_any_task_is_run(world: World) -> None:
    replies = iter([edits({"op": "rewire", "step": "s1", "to": "s1"}), edits(LOOK)])

    def hasty(request: Request) -> str:
        if request.purpose.startswith("blame"):
            return blame("1. s1", "looked twice", "wiring")
        return next(replies, edits(LOOK))

    model = Writer(hasty)
    (proposal,) = await Evolve(chain=1).propose(world.situation(model, (HAND,)))
    assert proposal.workflow is not None
    assert "These edits cannot be made: no step is a terminal" in model.last


async def test_a_generator_that_writes_nothing_usable_still_searches(world: World) -> None:
    mute = Writer(lambda request: "I would rather not.")
    made: list[Proposal] = []
    for number in range(1, 13):
        made += await Evolve().propose(world.situation(mute, (HAND,), number, seed=str(number)))
    found = [proposal for proposal in made if proposal.workflow is not None]
    assert found
    assert {proposal.notes["how"] for proposal in found} == {"mutation"}
    # Thinking step by step helps here, and no model had to say so.
    assert any("step by step" in proposal.text for proposal in found)
    assert all(proposal.errors for proposal in made if proposal.workflow is None)


async def test_where_nothing_fails_work_is_taken_away(world: World) -> None:
    good = chain("Name the animal, look twice.", "Think.", "Say its colour, please.")
    (proposal,) = await Evolve().propose(world.situation(Writer(author), (trial("hand-written", 0, good, 1.0),)))
    assert proposal.notes["how"] == "simplification"
    assert proposal.workflow is not None
    assert len(proposal.workflow.steps) == 2
    # What cannot be made lighter ends the search.
    short = chain("Name the animal, look twice.", "Say its colour, please.")
    tried = [trial(f"r{number}c1", number, shortened(short, number), 0.0) for number in (1, 2)]
    best = trial("hand-written", 0, short, 1.0)
    last = world.situation(Writer(author), (best, *tried), 3)
    assert list(await Evolve(greed=1.0, merge=False).propose(last)) == []


def shortened(workflow: Workflow, number: int) -> Workflow:
    """The workflow without its first step, under a name of its own."""
    return replace(workflow, name=str(number), steps=workflow.steps[1:])


async def test_without_a_hand_written_workflow_whole_ones_are_written_first(world: World) -> None:
    from autoflow.language.dump import dump

    model = Writer(lambda request: dump(BASE))
    proposals = await Evolve(candidates=2).propose(world.situation(model, ()))
    assert [proposal.workflow for proposal in proposals] == [BASE, BASE]
    assert proposals[0].notes["how"] == "draft"


async def test_complementary_workflows_are_merged_if_that_helps(world: World) -> None:
    looks = chain("Name the animal, look twice.", "Say its colour.")
    polite = chain("Name the animal.", "Say its colour, please.")
    trials = (
        HAND,
        trial("r1c1", 1, looks, [1, 1, 1, 0, 0], parent="hand-written"),
        trial("r2c1", 2, polite, [1, 0, 0, 1, 1], parent="hand-written"),
    )
    proposals = await Evolve(candidates=1, chain=1).propose(world.situation(Writer(lambda request: "no"), trials, 3))
    merges = [proposal for proposal in proposals if proposal.notes.get("how") == "merge"]
    assert len(merges) == 1
    assert merges[0].workflow is not None
    assert [step.instruction for step in merges[0].workflow.steps] == [
        "Name the animal, look twice.",
        "Say its colour, please.",
    ]
    assert {merges[0].parent, merges[0].notes["with"]} == {"r1c1", "r2c1"}
    # Once tried, it is not tried again.
    done = (*trials, Trial("r3c1", 3, merges[0], validation=evaluation("validation", 0, 0, 0, 0, 0)))
    later = await Evolve(candidates=1, chain=1).propose(world.situation(Writer(lambda request: "no"), done, 4))
    assert not [proposal for proposal in later if proposal.notes.get("how") == "merge"]


async def test_equal_seeds_give_equal_proposals(tmp_path: Path) -> None:
    async def run(name: str, seed: str) -> list[Proposal]:
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        return list(await Evolve(candidates=2).propose(world.situation(Writer(author), (HAND,), seed=seed)))

    assert await run("a", "s") == await run("b", "s")


async def test_no_gold_and_no_validation_task_is_shown(world: World) -> None:
    model = Writer(author)
    for number in range(1, 4):
        await Evolve().propose(world.situation(model, (HAND,), number, seed=str(number)))
    assert "GOLD" not in model.everything
    assert "of validation" not in model.everything


async def test_a_small_generator_is_shown_and_asked_for_little(world: World) -> None:
    model = Writer(author, frozenset({"schema", "grammar", "labels"}))
    (proposal,) = await Evolve(chain=1).propose(world.situation(model, (HAND,)))
    assert proposal.workflow is not None
    for request in model.requests:
        assert sum(len(turn.text) for turn in request.messages) <= SMALL.prompt_chars
        assert (request.sampling.max_tokens, request.schema is None) == (600, False)


# -- the archive

CHEAP = Cost(1, 10.0, None, 1.0)


def known(id_: str, *values: float | None, cost: Cost | None = None, parent: str | None = None) -> Trial:
    made = trial(id_, 1, chain(f"Think {id_}.", "Answer."), 0.0, parent=parent)
    return replace(made, validation=evaluation("validation", *values, cost=cost))


def test_the_archive_is_the_front_over_tasks_cost_and_latency() -> None:
    dear = Cost(9, 90.0, None, 9.0)
    trials = [
        known("a", 1, 0, 0, cost=dear),
        known("b", 0, 1, 0, cost=dear),
        known("c", 0, 0, 0, cost=CHEAP),
        known("d", 0, 0, 0, cost=dear),
    ]
    assert [item.id for item in archive(trials)] == ["a", "b", "c"]
    assert incumbent([known("a", 1, 0), known("b", 1, 0, cost=CHEAP)]).id == "a"
    assert incumbent([known("a", 1, 0, cost=dear), known("b", 1, 0, cost=CHEAP)]).id == "b"


def test_parents_share_the_tasks_on_which_they_are_best() -> None:
    trials = [known("a", 1, 1, 0, 0), known("b", 1, 0, 0.5, 0), known("c", 0, 0, 0, 0)]
    assert shares(trials) == [1.5, 1.5, 0.0]
    assert wins(trials[1], trials[0]) == 0.5


def test_the_population_has_each_workflow_once_and_no_draft_without_a_score() -> None:
    trials = [known("a", 1), replace(known("a", 0), id="again"), trial("c", 1, None), known("d", None)]
    assert [item.id for item in population(trials)] == ["a"]


def test_the_nearest_common_ancestor_is_the_base_of_a_merge() -> None:
    trials = [known("a", 1), known("b", 1, parent="a"), known("c", 1, parent="b"), known("d", 1, parent="b")]
    by_id = {item.id: item for item in trials}
    found = ancestor(by_id["c"], by_id["d"], by_id)
    assert found is not None
    assert found.id == "b"
    assert ancestor(by_id["c"], by_id["a"], by_id) is None
    assert ancestor(by_id["c"], known("x", 1), by_id) is None


def test_edits_that_did_not_raise_the_score_are_remembered() -> None:
    parent = known("a", 1, 0)
    worse = replace(known("b", 0, 0, parent="a"))
    worse = replace(worse, proposal=replace(worse.proposal, notes={"edits": [LOOK], "rejected": ["sang"]}))
    assert failed_edits([parent, worse], parent) == [
        "sang",
        "replace_instruction step: s1, instruction: Name the animal, look twice.",
    ]
    better = replace(worse, validation=evaluation("validation", 1, 1))
    assert failed_edits([parent, better], parent) == ["sang"]


def test_it_is_found_by_its_name_and_refuses_options_that_do_not_fit() -> None:
    assert plugins.load("strategies", "evolve") is Evolve
    for option, value in {"greed": -1, "probes": 0, "chain": 50, "models": 3, "merge": "yes"}.items():
        with pytest.raises(UsageError, match=option):
            Evolve(**{option: value})  # type: ignore[arg-type]
