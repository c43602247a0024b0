"""`llm-judge`: bound to a model by whoever opens models; what the judged text says is data."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.model import Request
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, ProviderError, UnknownNameError
from autoflow.models.scripted import Rule, Scripted
from autoflow.models.structured import structured
from autoflow.scorers.llm_judge import LlmJudge, NeedsModel

TASK = Task("t", "Name a colour.", reference={"gold": "any {{ colour }}"})
PARAMETERS: Mapping[str, Json] = {"rubric": "It is a colour.", "model": "scripted/judge"}


def _make(**more: Json) -> LlmJudge:
    judge = plugins.load("scorers", "llm-judge")({**PARAMETERS, **more})
    assert isinstance(judge, LlmJudge)
    return judge


async def _judge(reply: str, answer: Json = "green", **more: Json) -> tuple[Score, Scripted]:
    model = Scripted([Rule((reply,))])
    bound = _make(**more).bound(partial(structured, model))
    return await bound.score(TASK, Trace("w", "t", (), answer)), model


async def test_grade_becomes_the_score_with_its_reason() -> None:
    score, model = await _judge('{"reason": "It is one.", "grade": "right"}')
    assert (score.value, score.reason) == (1.0, "")
    assert score.details == {"judge": "scripted/judge", "grade": "right", "why": "It is one."}
    (request,) = model.requests
    assert request.purpose == "judge"
    half, _ = await _judge('{"reason": "Hm.", "grade": "fair"}', grades={"poor": 0, "fair": 0.5})
    assert (half.value, half.reason) == (0.5, "judged")


async def test_judge_reads_rubric_task_answer_and_the_reference_only_where_asked() -> None:
    reply = '{"reason": "", "grade": "wrong"}'
    _, model = await _judge(reply, {"colour": "grün {{ x }}"}, reference="gold")
    (text,) = [message.text for message in model.requests[0].messages]
    for part in ("It is a colour.", "wrong, partly right, right", "Name a colour.", "any {{ colour }}", "grün {{ x }}"):
        assert part in text
    _, model = await _judge(reply)
    assert "any {{ colour }}" not in model.requests[0].messages[0].text


async def test_empty_answer_is_0_without_asking() -> None:
    score, model = await _judge("", "  ")
    assert (score.value, score.reason, model.requests) == (0.0, "no_answer", [])


async def test_judge_that_does_not_answer_in_form_leaves_the_task_unscored() -> None:
    score, model = await _judge("It is lovely.")
    assert (score.value, score.reason) == (None, "judge_reply")
    assert len(model.requests) == 2

    async def careless(request: Request, schema: Mapping[str, Json]) -> Json:
        return {"grade": "superb"}

    score = await _make().bound(careless).score(TASK, Trace("w", "t", (), "green"))
    assert (score.value, score.reason) == (None, "judge_reply")


async def test_outage_of_the_judge_is_raised_for_the_caller_to_record() -> None:
    bound = _make().bound(partial(structured, Scripted([])))
    with pytest.raises(ProviderError):
        await bound.score(TASK, Trace("w", "t", (), "green"))


async def test_judge_that_nobody_bound_refuses() -> None:
    judge = _make()
    assert isinstance(judge, NeedsModel)
    assert judge.model == "scripted/judge"
    with pytest.raises(ConfigError, match="the judge 'scripted/judge' is not open"):
        await judge.score(TASK, Trace("w", "t", (), "green"))


async def test_reference_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="task t has no reference 'answer'"):
        await _judge("", reference="answer")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"rubric": "x"}, "the parameter model is missing; it must be a text"),
        ({**PARAMETERS, "grades": {"a": 0, "b": 2}}, r"the grade 'b' must be a number in \[0, 1\], not 2"),
        ({**PARAMETERS, "grades": {"a": 0}}, "a rubric and two or more grades are needed"),
        ({**PARAMETERS, "grades": "good"}, "grades must be a mapping, not 'good'"),
        ({**PARAMETERS, "max_tokens": True}, "max_tokens must be a whole number, not True"),
    ],
)
def test_parameters_are_checked(parameters: Mapping[str, Json], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plugins.load("scorers", "llm-judge")(parameters)
    with pytest.raises(UnknownNameError, match="there are: rubric, model, grades, reference, max_tokens"):
        plugins.load("scorers", "llm-judge")({**PARAMETERS, "ask": 1})


async def test_prompt_is_the_reviewed_one() -> None:
    """After a change that is meant: GOLDEN=write pytest tests/scorers/test_llm_judge.py, and read the diff."""
    _, model = await _judge('{"reason": "", "grade": "wrong"}', reference="gold")
    (text,) = [message.text for message in model.requests[0].messages]
    text = text[: text.index("then one of the grades.") + len("then one of the grades.")] + "\n"
    file = Path(__file__).parent / "golden" / "llm_judge.txt"
    if os.environ.get("GOLDEN") == "write":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
