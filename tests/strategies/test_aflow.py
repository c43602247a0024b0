"""AFlow: its constants, its rules of selection, refusal and convergence, and what the generator is shown."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategy_helpers import Writer, chain, evaluation, flow, situation, trial

from autoflow import plugins
from autoflow.core.model import Request
from autoflow.core.strategy import Trial
from autoflow.core.workflow import Workflow
from autoflow.errors import UsageError
from autoflow.language.dump import dump
from autoflow.strategies.aflow import AFlow, converged, deviation, probabilities, touched

GOLDEN = Path(__file__).parent / "golden"
ROOT = chain("Think.", "Solve the task.")


def reply(workflow: Workflow, modification: str = "Ask it to check.") -> str:
    return f"{modification}\n\n```yaml\n{dump(workflow)}```"


def writes(*replies: str) -> Writer:
    """By the number of the call, the last one again and again."""
    model = Writer(lambda request: replies[min(len(model.requests), len(replies)) - 1])
    return model


CHILD = chain("Think twice.", "Solve the task.")
ROUNDS = (
    trial("hand-written", 0, flow("Guess."), 0.1),
    trial("r1c1", 1, ROOT, [1, 0, 1, 0.5, None]),
    trial("r2c1", 2, CHILD, 0.9, parent="r1c1", notes={"modification": "Think twice.", "before": 0.625}),
    trial("r3c1", 3, chain("Hm.", "Solve."), 0.2, parent="r1c1", notes={"modification": "Be brief.", "before": 0.625}),
    trial("r4c1", 4, None, parent="r1c1", notes={"modification": "Sing.", "before": 0.625}, errors=("line 1: no",)),
)


def test_selection_probabilities_are_the_published_ones() -> None:
    assert [round(chance, 3) for chance in probabilities([0.90, 0.88, 0.85, 0.80])] == [0.397, 0.291, 0.193, 0.119]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_probabilities_sum_to_one_and_favour_the_better(scores: list[float]) -> None:
    chances = probabilities(scores)
    assert sum(chances) == pytest.approx(1)
    assert min(chances) >= 0.3 / len(scores) - 1e-9
    by_score = [chance for _, chance in sorted(zip(scores, chances, strict=True))]
    assert by_score == sorted(by_score)


def test_the_search_stops_after_five_rounds_in_which_the_best_three_stand_still() -> None:
    rising = [0.5, 0.6, 0.7, 0.8]
    assert not converged([*rising, *[0.1] * 4], [0.0] * 8)
    assert converged([*rising, *[0.1] * 5], [0.0] * 9)
    # Better than the third best: the mean moves, and the count begins anew.
    assert not converged([*rising, 0.1, 0.1, 0.1, 0.65, 0.1, 0.1, 0.1, 0.1], [0.0] * 12)


def test_fewer_than_four_rounds_never_converge() -> None:
    assert not converged([0.5] * 3, [0.0] * 3, patience=2)
    assert converged([0.5] * 4, [0.0] * 4, patience=2)


def test_with_z_a_move_within_the_noise_stands_still() -> None:
    # sigma_t = sqrt(3 * 0.03^2)/3 = 0.01732; the mean moves by 0.01 < 1 * sqrt(2) * 0.01732 each round.
    means = [0.50, 0.50, 0.50, 0.53, 0.53, 0.53]
    assert converged(means, [0.03] * 6, patience=5, z=1.0)
    assert not converged(means, [0.03] * 6, patience=5, z=0.1)


def test_deviations_come_from_epochs() -> None:
    assert deviation(evaluation("validation", 0.5, 0.7)) == 0
    assert deviation(evaluation("validation", 0.5, 0.7, epochs=(-0.1, 0.1))) == pytest.approx(0.1 * 2**0.5)


def test_it_is_found_by_its_name() -> None:
    assert plugins.load("strategies", "aflow") is AFlow


async def test_round_one_is_one_call_that_no_model_writes() -> None:
    model = writes("")
    (proposal,) = await AFlow().propose(situation(model, ROUNDS[:1]))
    assert proposal.workflow is not None
    assert [step.instruction for step in proposal.workflow.steps] == ["Solve the task."]
    assert model.requests == []
    # Or the hand-written workflow is round 1, and the generator writes at once.
    child = writes(reply(flow("Guess well.")))
    (proposal,) = await AFlow(start="hand-written").propose(situation(child, ROUNDS[:1]))
    assert (proposal.parent, proposal.notes["before"]) == ("hand-written", 0.1)


async def test_the_parent_is_shown_with_its_score_experience_and_failures() -> None:
    model = writes(reply(chain("Think hard.", "Solve the task.")))
    (proposal,) = await AFlow(pool=1).propose(situation(model, ROUNDS, 5))
    assert proposal.parent == "r1c1"
    assert proposal.notes == {"modification": "Ask it to check.", "before": 0.625}
    text = model.last
    assert "- Think twice. (0.625 -> 0.900)" in text[text.index("raised the score") : text.index("did not:")]
    after = text[text.index("did not:") :]
    assert "- Be brief. (0.625 -> 0.200)" in after
    assert "- Sing. (0.625 -> no score)" in after
    assert after.count("- task: Riddle") == 2
    assert text == (GOLDEN / "aflow.txt").read_text(encoding="utf-8").strip()


async def test_the_pool_is_round_one_and_the_best_others() -> None:
    trials = [trial("r1c1", 1, ROOT, 0.1)] + [
        trial(f"r{number}c1", number, chain(f"Think {number}.", "Solve."), number / 10) for number in range(2, 9)
    ]
    drawn: Counter[str | None] = Counter()
    for number in range(400):
        model = writes(reply(chain(f"Try {number}.", "Solve the task.")))
        (proposal,) = await AFlow(patience=0, touched=9).propose(situation(model, trials, 9, seed=str(number)))
        drawn[proposal.parent] += 1
    expected = dict(zip(["r8c1", "r7c1", "r6c1", "r1c1"], probabilities([0.8, 0.7, 0.6, 0.1]), strict=True))
    assert set(drawn) == set(expected)
    for name, chance in expected.items():
        assert drawn[name] / 400 == pytest.approx(chance, abs=0.08)


async def test_a_modification_that_was_tried_on_the_parent_is_refused_a_bounded_number_of_times() -> None:
    model = writes(
        reply(chain("A.", "Solve the task."), "think  TWICE."), reply(chain("B.", "Solve the task."), "Be B.")
    )
    (proposal,) = await AFlow(pool=1).propose(situation(model, ROUNDS, 5))
    assert (proposal.workflow, len(model.requests)) == (chain("B.", "Solve the task."), 2)
    stubborn = writes(reply(chain("A.", "Solve the task."), "Think twice."))
    (refused,) = await AFlow(pool=1, refusals=2).propose(situation(stubborn, ROUNDS, 5))
    assert (refused.workflow, len(stubborn.requests)) == (None, 3)
    assert 'the modification "Think twice." was tried on r1c1 before' in refused.errors[0]


async def test_more_than_one_modification_and_none_at_all_go_back_to_the_model() -> None:
    large = chain("A.", "B.", "C.", "Solve it.")
    model = writes(reply(large), reply(replace(ROOT, name="other")), reply(CHILD))
    (proposal,) = await AFlow(pool=1).propose(situation(model, ROUNDS[:2], 2))
    assert (proposal.workflow, proposal.repairs) == (CHILD, 2)
    assert "one modification touches at most 3" in model.requests[1].messages[-1].text
    assert "the workflow is the same as before" in model.requests[2].messages[-1].text


async def test_what_changed_stands_for_a_modification_that_is_not_named() -> None:
    model = writes(f"```yaml\n{dump(CHILD)}```")
    (proposal,) = await AFlow(pool=1).propose(situation(model, ROUNDS[:2], 2))
    assert "Think" in str(proposal.notes["modification"])


async def test_it_ends_after_its_rounds_and_when_converged() -> None:
    model = writes(reply(CHILD))
    assert list(await AFlow(rounds=4).propose(situation(model, ROUNDS, 5))) == []
    still = [trial(f"r{number}c1", number, chain(f"{number}.", "Solve."), 0.5) for number in range(1, 8)]
    assert list(await AFlow().propose(situation(model, still, 8))) == []
    assert model.requests == []
    assert await AFlow(patience=0).propose(situation(model, still, 8))


async def test_equal_seeds_give_equal_proposals() -> None:
    def run(seed: str) -> Trial | object:
        return situation(Writer(answer), ROUNDS, 5, seed=seed)

    def answer(request: Request) -> str:
        return reply(chain(f"Think {request.sampling.seed}.", "Solve the task."), str(request.sampling.seed))

    first, second, third = [await AFlow(pool=1).propose(run(seed)) for seed in ("a", "a", "b")]  # type: ignore[arg-type]
    assert first == second
    assert first != third


async def test_no_gold_and_no_train_task_is_shown() -> None:
    model = writes(reply(CHILD))
    await AFlow(logs=5).propose(situation(model, ROUNDS, 5))
    assert "GOLD" not in model.everything
    assert "of train" not in model.everything


def test_touched_counts_steps() -> None:
    assert touched(ROOT, ROOT) == 0
    assert touched(ROOT, CHILD) == 1
    assert touched(ROOT, chain("Think.", "Check.", "Solve the task.")) == 2


@pytest.mark.parametrize(("option", "value"), [("start", "none"), ("alpha", -1), ("pool", 0), ("z", "1")])
def test_options_that_do_not_fit_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(UsageError, match=option):
        AFlow(**{option: value})  # type: ignore[arg-type]
