"""The operators of several questions: debate, reflexion, step-back, role, diversity (the seeds of ADAS)."""

import json

import pytest
from operator_helpers import HOSTILE, by_purpose, invocation, last

from autoflow.errors import OperatorError, ReplyError
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.debate import PLUGIN as DEBATE
from autoflow.operators.diversity import PLUGIN as DIVERSITY
from autoflow.operators.reflexion import PLUGIN as REFLEXION
from autoflow.operators.role import PLUGIN as ROLE
from autoflow.operators.step_back import PLUGIN as STEP_BACK

NUMBER = {"type": "number"}


def verdict(correct: bool, feedback: str = "") -> str:
    return json.dumps({"feedback": feedback, "correct": correct})


async def test_debate_shows_each_speaker_the_others_and_lets_one_decide() -> None:
    model = by_purpose(debate=("a1", "b1", "c1", "a2", "b2", "c2"), decide=" final ")
    assert await DEBATE.run(invocation(model)) == "final"
    first, second, decision = model.requests[:3], model.requests[3:6], model.requests[6]
    assert all("answered:" not in last(request) for request in first)
    # Each goes on from its own answer and reads the two others.
    for request, own, others in zip(
        second, ["a1", "b1", "c1"], [("b1", "c1"), ("a1", "c1"), ("a1", "b1")], strict=True
    ):
        assert request.messages[-2].text == own
        assert all(f"\n{other}" in last(request) for other in others)
        assert f"\n{own}" not in last(request)
    assert all(f"\n{said}" in last(decision) for said in ("a2", "b2", "c2"))
    assert "a1" not in last(decision)
    assert {request.sampling.temperature for request in (*first, *second)} == {0.7}
    assert decision.sampling.temperature == 0.2
    assert len({request.sample for request in model.requests}) == 7


async def test_debate_gives_speakers_their_roles_in_turn() -> None:
    model = by_purpose(debate="x", decide="7")
    parameters = {"agents": 3, "rounds": 1, "roles": ["a teacher", "a judge"]}
    assert await DEBATE.run(invocation(model, parameters, output=NUMBER)) == 7
    said = [last(request) for request in model.requests[:3]]
    assert ["a teacher" in text for text in said] == [True, False, True]
    assert "a judge" in said[1]
    assert DEBATE.calls(parameters) == (4, 4) == (len(model.requests),) * 2


async def test_reflexion_ends_when_the_critic_is_content() -> None:
    model = by_purpose(step=("one", "two", "three"), critic=(verdict(False, "too small"), verdict(True)))
    assert await REFLEXION.run(invocation(model)) == "two"
    assert [request.purpose for request in model.requests] == ["step", "critic", "step", "critic"]
    critic, again = model.requests[1], model.requests[2]
    assert "one" in last(critic)
    assert "too small" in last(again)
    assert again.messages[-2].text == "one"
    # The critic is shown the answer, not what was said about the one before it.
    assert "too small" not in last(model.requests[3])


async def test_reflexion_gives_its_last_answer_when_the_critic_never_is() -> None:
    model = by_purpose(step=("one", "two", "three"), critic=verdict(False, "no"))
    assert await REFLEXION.run(invocation(model, {"rounds": 2})) == "three"
    assert len(model.requests) == REFLEXION.calls({"rounds": 2})[1] == 5
    assert len({request.sample for request in model.requests}) == 5


async def test_reflexion_keeps_the_step_s_form_in_every_try() -> None:
    model = by_purpose(step=("1", "2"), critic=(verdict(False, "no"), verdict(True)))
    assert await REFLEXION.run(invocation(model, output=NUMBER)) == 2


async def test_step_back_answers_from_the_principles_it_named() -> None:
    model = by_purpose(plan=f"Newton's second law. {HOSTILE}", step="9.8 N")
    assert await STEP_BACK.run(invocation(model, instruction="Find the force.")) == "9.8 N"
    assert "not yet: Find the force." in last(model.requests[0])
    assert HOSTILE in last(model.requests[1])
    assert STEP_BACK.calls({}) == (2, 2)


async def test_role_is_one_of_those_given() -> None:
    model = by_purpose(role=" A Judge. ", step="guilty")
    assert await ROLE.run(invocation(model, {"roles": ["a teacher", "a judge"]})) == "guilty"
    assert "a teacher | a judge" in last(model.requests[0])
    assert "this expert: a judge." in last(model.requests[1])
    with pytest.raises(ReplyError):
        await ROLE.run(invocation(by_purpose(role="a poet", role_repair="a poet"), {"roles": ["a teacher", "a judge"]}))
    with pytest.raises(OperatorError, match="roles"):
        await ROLE.run(invocation(model, {"roles": ["a judge", "a judge"]}))


async def test_role_may_be_named_by_the_model_and_is_kept_short() -> None:
    model = by_purpose(role="a historian\nof Rome " + "x" * 5000, step="44 BC")
    assert await ROLE.run(invocation(model)) == "44 BC"
    assert "this expert: a historian of Rome x" in last(model.requests[1])
    assert len(last(model.requests[1])) < 700


async def test_diversity_asks_for_another_way_each_time_and_decides() -> None:
    model = by_purpose(draw=("by hand", "by table", "by algebra"), decide="42")
    assert await DIVERSITY.run(invocation(model)) == "42"
    assert [last(request).count("\nAnswer ") for request in model.requests] == [0, 1, 2, 3]
    assert "another way" not in last(model.requests[0])
    assert "another way" in last(model.requests[1])
    assert DIVERSITY.calls({}) == (4, 4) == (len(model.requests),) * 2


@pytest.mark.parametrize("operator", [DEBATE, DIVERSITY, REFLEXION, STEP_BACK, ROLE])
async def test_long_and_hostile_replies_reach_the_next_prompt_clipped_and_unrendered(operator: object) -> None:
    flood = HOSTILE + "x" * 100_000
    model = Scripted([Rule((verdict(False, flood),), purpose="critic"), Rule((flood,))])
    await operator.run(invocation(model))  # type: ignore[attr-defined]
    assert len(model.requests) > 1
    for request in model.requests[1:]:
        assert sum(len(message.text) for message in request.messages) < 40_000
    assert any(HOSTILE in message.text for message in model.requests[-1].messages)
