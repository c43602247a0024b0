"""W4S: turns, episodes, self-check, feedback, and the rewards that RLAO learns from."""

import json
from pathlib import Path

import pytest
from strategy_helpers import Room, Writer, chain, flow, situation, trial

from autoflow import plugins
from autoflow.core.model import Request
from autoflow.core.reward import rewarded, turn_reward
from autoflow.core.strategy import Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.language.dump import dump
from autoflow.strategies.w4s import W4S, direction

GOLDEN = Path(__file__).parent / "golden"
MANUAL = trial("hand-written", 0, flow("Guess."), 0.2)


def reply(workflow: Workflow, analysis: str = "It guesses.") -> str:
    return f"{analysis}\n\n```yaml\n{dump(workflow)}```"


def writes(*replies: str) -> Writer:
    model = Writer(lambda request: replies[min(len(model.requests), len(replies)) - 1])
    return model


def turn(id_: str, round_: int, words: str, score: float | None, **notes: object) -> Trial:
    """A candidate of a turn."""
    workflow = chain(words, "Answer.", name=words)
    return trial(id_, round_, workflow, score, notes={"action": reply(workflow, f"Analysis of {id_}."), **notes})


TRIALS = (
    MANUAL,
    turn("r1c1", 1, "Think.", 0.4),
    turn("r1c2", 1, "Think hard.", 0.6),
    trial("r1c3", 1, None, errors=("no",)),
    turn("r2c1", 2, "Hm.", 0.5),
    turn("r2c2", 2, "Ho.", 0.05),
)


# -- rewards


@pytest.mark.parametrize(
    ("value", "best", "previous", "reward"),
    [(0.7, 0.6, 0.6, 1.0), (0.6, 0.6, 0.5, 0.5), (0.55, 0.6, 0.5, 0.5), (0.5, 0.6, 0.5, 0.0), (0.2, 0.6, 0.5, 0.0)],
)
def test_a_new_best_is_worth_1_a_gain_half_and_all_else_nothing(
    value: float, best: float, previous: float, reward: float
) -> None:
    assert turn_reward(value, best, previous) == reward


def test_the_penalty_below_0_3_is_optional() -> None:
    assert turn_reward(0.2, 0.6, 0.5, penalty=True) == pytest.approx(-0.1)
    assert turn_reward(0.3, 0.6, 0.5, penalty=True) == 0.0
    assert turn_reward(0.25, 0.2, 0.2, penalty=True) == pytest.approx(0.9)
    assert turn_reward(0.9, 0.6, 0.5, continuous=True) == pytest.approx(0.5)
    assert turn_reward(0.9, 0.0, 0.0, continuous=True) == 0.9


async def test_the_best_is_updated_within_an_episode_and_the_turn_before_is_the_turn_before() -> None:
    strategy = W4S(candidates=1)
    trials = [MANUAL]
    scores = [0.6, 0.5, 0.55, 0.62, 0.1]
    for number, score in enumerate(scores, 1):
        (proposal,) = await strategy.propose(
            situation(writes(reply(chain(f"Think {number}.", "Answer."))), trials, number)
        )
        trials.append(trial(f"r{number}c1", number, proposal.workflow, score, notes=proposal.notes))
    assert [(item.proposal.notes["episode"], item.proposal.notes["turn"]) for item in trials[1:]] == [
        (1, 1),
        (1, 2),
        (2, 1),
        (2, 2),
        (3, 1),
    ]
    assert [(item.proposal.notes["best"], item.proposal.notes["previous"]) for item in trials[1:]] == [
        (0.2, 0.2),
        (0.6, 0.6),
        (0.6, 0.5),
        (0.6, 0.55),
        (0.62, 0.62),
    ]
    assert [rewarded(item) for item in trials[1:]] == [1.0, 0.0, 0.5, 1.0, 0.0]
    assert rewarded(trials[-1], penalty=True) == pytest.approx(-0.1)
    assert rewarded(MANUAL) is None


async def test_the_prefix_and_the_last_action_can_be_found_again() -> None:
    model = writes(reply(chain("A.", "B.")).replace("type: terminal", "type: end"), dump(chain("A.", "B.")))
    (proposal,) = await W4S(candidates=1).propose(situation(model, [MANUAL]))
    # The first request, not that of the repair; the analysis is kept, the mended workflow put in.
    assert proposal.notes["request"] == model.requests[0].key(model.name)
    assert proposal.notes["action"] == reply(chain("A.", "B."))
    assert proposal.repairs == 1


# -- turns


def test_the_best_of_a_turn_advances_and_the_discarded_do_not() -> None:
    course = W4S().course(TRIALS)
    assert [item.id for item in course.path] == ["hand-written", "r1c2", "r2c1"]
    assert (course.turns, course.failed) == (2, 0)
    lost = W4S().course((MANUAL, turn("r1c1", 1, "Hm.", 0.05), trial("r2c1", 2, None)))
    assert ([item.id for item in lost.path], lost.turns, lost.failed) == (["hand-written"], 0, 2)


async def test_a_turn_that_brings_nothing_is_repeated_three_times() -> None:
    model = writes(reply(chain("A.", "B.")))
    lost = [MANUAL, *(turn(f"r{number}c1", number, f"Hm {number}.", 0.0) for number in range(1, 4))]
    assert await W4S().propose(situation(model, lost, 4))
    lost.append(turn("r4c1", 4, "Hm 4.", 0.0))
    assert list(await W4S().propose(situation(model, lost, 5))) == []
    assert list(await W4S(rounds=2).propose(situation(model, TRIALS, 3))) == []


async def test_an_episode_is_a_conversation_of_two_turns() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    first = TRIALS[:4]
    await W4S(candidates=1).propose(situation(model, first, 2))
    turns = model.requests[0].messages
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert "instruction: Guess." in turns[1].text
    assert turns[2].text == first[2].proposal.notes["action"]
    assert "It scored 0.600 on 5 tasks. That is up from 0.200, the turn before." in turns[3].text
    assert turns[3].text.count("- task: Riddle") == 5
    assert turns[3].text.endswith("and nothing after it.")
    # A new episode begins with the last workflow and its feedback; what came before is gone.
    again = writes(reply(chain("New.", "Answer.")))
    await W4S(candidates=1).propose(situation(again, TRIALS, 3))
    assert [turn.role for turn in again.requests[0].messages] == ["system", "user"]
    text = again.last
    assert "instruction: Hm." in text
    assert "It scored 0.500 on 5 tasks. That is down from 0.600, the turn before." in text
    assert "Guess." not in again.everything
    assert text == (GOLDEN / "w4s.txt").read_text(encoding="utf-8").strip()


async def test_five_candidates_share_the_state_and_differ_by_draw() -> None:
    model = Writer(lambda request: reply(chain(f"Think {request.sampling.seed}.", "Answer.")))
    proposals = await W4S().propose(situation(model, [MANUAL]))
    assert len({proposal.text for proposal in proposals}) == 5
    assert len({request.messages for request in model.requests}) == 1
    sampling = model.requests[0].sampling
    assert (sampling.temperature, sampling.max_tokens) == (0.5, 4096)


async def test_without_a_hand_written_workflow_the_first_turn_writes_from_nothing() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    (proposal,) = await W4S(candidates=1).propose(situation(model))
    assert (proposal.parent, proposal.notes["best"], proposal.notes["previous"]) == (None, 0.0, 0.0)
    assert "then write a workflow for them" in model.last
    done = trial("r1c1", 1, proposal.workflow, 0.3, notes=proposal.notes)
    again = writes(reply(chain("Newer.", "Answer.")))
    await W4S(candidates=1).propose(situation(again, [done], 2))
    assert [turn.role for turn in again.requests[0].messages] == ["system", "user", "assistant", "user"]


# -- the self-check


async def test_each_draft_is_run_on_one_train_task_and_its_failure_goes_back() -> None:
    room = Room({"bad": "s1"})
    model = writes(reply(chain("A.", "B.", name="bad")), dump(chain("A.", "B.", name="good")))
    (proposal,) = await W4S(candidates=1).propose(situation(model, [MANUAL], room=room))
    assert [name for name, _ in room.attempts] == ["bad", "good"]
    assert len({task for _, task in room.attempts}) == 1
    assert room.attempts[0][1].startswith("train-")
    assert (proposal.workflow, proposal.repairs) == (chain("A.", "B.", name="good"), 1)
    assert 'run on a task, the workflow failed at step "s1": it broke' in model.requests[1].messages[-1].text


async def test_three_repairs_are_checked_then_the_draft_is_dropped() -> None:
    room = Room({"bad": "s1"})
    model = writes(reply(chain("A.", "B.", name="bad")))
    (proposal,) = await W4S(candidates=1).propose(situation(model, [MANUAL], room=room))
    assert (proposal.workflow, proposal.repairs, len(model.requests), len(room.attempts)) == (None, 3, 4, 4)
    assert "it broke" in proposal.errors[0]


# -- what is shown


async def test_feedback_shows_failing_validation_tasks_without_golds() -> None:
    model = writes(reply(chain("New.", "Answer.")))
    solved = trial("hand-written", 0, flow("Guess."), [1, 1, 0, 1, 0.5])
    await W4S(candidates=1).propose(situation(model, [solved]))
    assert model.last.count("- task: Riddle") == 2
    assert "Riddle 2 of validation?" in model.last
    assert "GOLD" not in model.everything


async def test_a_small_generator_gets_no_conversation_that_it_cannot_hold() -> None:
    long = chain("Long. " * 550, "Answer.")
    trials = (MANUAL, trial("r1c1", 1, long, 0.6, notes={"action": reply(long)}))
    straight = {"steps": [{"operator": "generate", "instruction": "New."}], "answer": "Answer."}
    model = Writer(lambda request: json.dumps({"analysis": "", **straight}), frozenset({"schema", "grammar"}))
    await W4S(candidates=1).propose(situation(model, trials, 2))
    assert [turn.role for turn in model.requests[0].messages] == ["system", "user"]
    assert model.requests[0].sampling.max_tokens == 600


def test_direction_is_against_the_turn_before() -> None:
    assert direction(0.5, 0.5) == "That is the same as the turn before."
    assert "up from 0.400" in direction(0.5, 0.4)
    assert "down from 0.600" in direction(0.5, 0.6)


async def test_equal_seeds_give_equal_turns() -> None:
    def answer(request: Request) -> str:
        return reply(chain(f"Think {request.sampling.seed}.", "Answer."))

    first, second, third = [await W4S().propose(situation(Writer(answer), TRIALS, 3, seed=seed)) for seed in "aab"]
    assert first == second
    assert first != third


def test_it_is_found_by_its_name_and_refuses_options_that_do_not_fit() -> None:
    assert plugins.load("strategies", "w4s") is W4S
    for option, value in {"reset": 0, "candidates": 1001, "examples": 1, "discard": "none"}.items():
        with pytest.raises(UsageError, match=option):
            W4S(**{option: value})  # type: ignore[arg-type]
