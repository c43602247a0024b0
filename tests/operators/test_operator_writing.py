"""The operators of one question: custom, answer, decompose, review, revise, summarize, format."""

import json

import pytest
from operator_helpers import HOSTILE, invocation, last, scripted

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import OperatorError, ReplyError
from autoflow.operators.answer import PLUGIN as ANSWER
from autoflow.operators.custom import PLUGIN as CUSTOM
from autoflow.operators.decompose import PLUGIN as DECOMPOSE
from autoflow.operators.library import library
from autoflow.operators.review import ACCEPTED
from autoflow.operators.review import PLUGIN as REVIEW

NUMBER = {"type": "number"}


async def test_custom_shows_the_prompt_and_the_task_and_nothing_else() -> None:
    model = scripted(" 42 ")
    task = Task("t", "What is 6 x 7?")
    call = invocation(model, instruction="You are a poet. Answer in verse.", inputs={"a": "secret"}, task=task)
    assert await CUSTOM.run(call) == "42"
    (message,) = model.requests[0].messages
    assert (message.role, message.text) == ("user", "You are a poet. Answer in verse.\n\nWhat is 6 x 7?")


async def test_custom_does_not_show_a_task_twice_that_the_prompt_holds() -> None:
    model = scripted("42")
    await CUSTOM.run(invocation(model, instruction="Q: What?\nA:", task=Task("t", "What?\n")))
    assert last(model.requests[0]) == "Q: What?\nA:"


async def test_answer_keeps_the_answer_and_not_the_thought() -> None:
    model = scripted(json.dumps({"thought": "6 x 7 is 42.", "answer": " 42\n"}))
    assert await ANSWER.run(invocation(model)) == "42"
    # The thought comes first in what the model must write, or it could not inform the answer.
    text = last(model.requests[0])
    assert text.index('"thought"') < text.index('"answer"')


async def test_answer_fits_the_step_s_own_form_references_included() -> None:
    tree: dict[str, Json] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "parts": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name"],
        "additionalProperties": False,
    }
    good = {"name": "a", "parts": [{"name": "b"}]}
    model = scripted(json.dumps({"thought": "", "answer": good}))
    assert await ANSWER.run(invocation(model, output=tree)) == good
    bad = {"name": "a", "parts": [{"nam": "b"}]}
    with pytest.raises(ReplyError):
        await ANSWER.run(invocation(scripted(json.dumps({"thought": "", "answer": bad})), output=tree))


@pytest.mark.parametrize("reply", ["42", '{"answer": "42"}', '{"thought": "t", "answer": 42}', "", "[" * 5000])
async def test_answer_in_the_wrong_form_goes_back_once_and_is_then_a_failure(reply: str) -> None:
    model = scripted(reply)
    with pytest.raises(ReplyError):
        await ANSWER.run(invocation(model))
    assert len(model.requests) == 2


async def test_decompose_gives_a_list_within_its_bound() -> None:
    model = scripted('["Who?", "When?"]')
    assert await DECOMPOSE.run(invocation(model, {"most": 3})) == ["Who?", "When?"]
    assert "at most 3" in last(model.requests[0])
    for reply in ('["a", "b", "c", "d"]', "[]", '[""]', '["a", 1]', "Who? When?"):
        with pytest.raises(ReplyError):
            await DECOMPOSE.run(invocation(scripted(reply), {"most": 3}))


async def test_decompose_takes_the_step_s_own_form() -> None:
    form = {"type": "array", "items": {"type": "object", "required": ["q"]}}
    assert await DECOMPOSE.run(invocation(scripted('[{"q": "Who?"}]'), output=form)) == [{"q": "Who?"}]


async def test_review_lists_what_needs_to_change_or_accepts() -> None:
    found = {"points": ["The sum is wrong: 5, not 6.", "No unit."], "accept": False}
    call = invocation(scripted(json.dumps(found)), inputs={"draft": "6"})
    assert await REVIEW.run(call) == "- The sum is wrong: 5, not 6.\n- No unit."
    for accepted in (
        {"points": [], "accept": True},
        {"points": [], "accept": False},
        {"points": ["x"], "accept": True},
    ):
        call = invocation(scripted(json.dumps(accepted)), inputs={"draft": "6"})
        assert await REVIEW.run(call) == ACCEPTED


@pytest.mark.parametrize("name", ["review", "revise", "format"])
async def test_there_must_be_something_to_work_on(name: str) -> None:
    with pytest.raises(OperatorError, match="no step that this one reads has run"):
        await library()[name].run(invocation(scripted("x")))


@pytest.mark.parametrize("name", ["revise", "format", "summarize", "custom"])
async def test_a_result_is_a_text_or_fits_the_step_s_form(name: str) -> None:
    inputs: dict[str, Json] = {"draft": HOSTILE}
    assert await library()[name].run(invocation(scripted(f" {HOSTILE}\n"), inputs=inputs)) == HOSTILE
    assert await library()[name].run(invocation(scripted("7"), output=NUMBER, inputs=inputs)) == 7
    with pytest.raises(ReplyError):
        await library()[name].run(invocation(scripted("seven"), output=NUMBER, inputs=inputs))


@pytest.mark.parametrize(
    ("name", "parameters", "shown"),
    [
        ("summarize", {"words": 25}, "at most 25 words"),
        ("format", {"form": "one number, no unit"}, "one number, no unit"),
    ],
)
async def test_parameters_reach_the_prompt(name: str, parameters: dict[str, Json], shown: str) -> None:
    model = scripted("x")
    await library()[name].run(invocation(model, parameters, inputs={"a": "b"}))
    assert shown in last(model.requests[0])


@pytest.mark.parametrize("name", ["answer", "decompose", "review", "revise", "summarize", "format", "custom"])
async def test_each_asks_once_and_says_so(name: str) -> None:
    replies = {
        "answer": '{"thought": "", "answer": ""}',
        "decompose": '["a"]',
        "review": '{"points": [], "accept": true}',
    }
    model = scripted(replies.get(name, "x"))
    operator = library()[name]
    await operator.run(invocation(model, {"temperature": 1}, inputs={"a": "b"}))
    assert operator.calls({}) == (len(model.requests), len(model.requests)) == (1, 1)  # type: ignore[attr-defined]
    assert model.requests[0].sampling.temperature == 1.0
