"""A run taken up from another one's records, one result changed."""

import pytest
from interpreter_helpers import TASK, Answering, decision, echo, flow, path, process, run, terminal

from autoflow.errors import UsageError
from autoflow.interpreter.approval import Verdict
from autoflow.interpreter.changed import changed
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import Settings

LOOP = flow(
    process("draft", "check"),
    decision("check", {"good": "done", "bad": "draft"}, max_visits=2, otherwise="done"),
    terminal("done", "Give $(draft)."),
)


def judge(label: str) -> Answering:
    return Answering(
        lambda request: (
            f'{{"reason": "so", "label": "{label}"}}' if "Is check so?" in request.messages[-1].text else "a draft"
        )
    )


@pytest.mark.parametrize("index", range(6))
async def test_the_same_result_again_gives_the_same_run(index: int) -> None:
    first = await run(LOOP, judge("bad"))
    assert path(first) == ["draft", "check", "draft", "check", "draft", "done"]
    record = first.steps[index]
    result = record.label if record.label is not None else record.result
    model = judge("bad")
    again = await run(LOOP, model, changed=changed(first, index, result))
    assert path(again) == path(first)
    assert again.answer == first.answer
    # What came before is not asked again.
    assert len(model.requests) == len(first.steps) - index - 1


async def test_later_steps_see_the_changed_result() -> None:
    first = await run(LOOP, judge("good"))
    model = echo()
    await run(LOOP, model, changed=changed(first, 0, "a better draft"))
    assert "a better draft" in "\n".join(message.text for message in model.requests[0].messages)


async def test_bounds_hold_across_the_change() -> None:
    first = await run(LOOP, judge("good"))
    assert path(first) == ["draft", "check", "done"]
    again = await run(LOOP, judge("bad"), changed=changed(first, 1, "bad"))
    # The changed visit counts: the check has one more, and the third is not made.
    assert path(again) == ["draft", "check", "draft", "check", "draft", "done"]
    short = await run(LOOP, judge("bad"), settings=Settings(max_steps=2), changed=changed(first, 0, "x"))
    assert short.failure is not None
    assert short.failure.reason == "max_steps"


async def test_a_changed_run_is_not_approved_step_by_step() -> None:
    first = await run(LOOP, judge("good"))

    async def approve(pause: object) -> Verdict:
        return Verdict("approve")

    with pytest.raises(UsageError, match="neither approved"):
        await Interpreter(judge("good"), {}).run(LOOP, TASK, approve=approve, changed=changed(first, 0, "x"))
