"""Core data survives the ledger exactly."""

import dataclasses
import math

import pytest

from autoflow.core.model import Message, Reply, Request, Sampling, Usage
from autoflow.core.score import Score
from autoflow.core.strategy import Cost, Dropped, Evaluation, Proposal, TaskResult, Trial
from autoflow.core.trace import Call, Failure, StepRecord, Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.runs import serial

CALL = Call("k", "m/x", "step", Usage(3, 0, None, 0.0), 0.25, cached=True, error="late")
TRACE = Trace(
    "f" * 64,
    "7",
    (
        StepRecord("a", 1, "generate", {"x": [1, None, False]}, "yes", "b", ("in",), (CALL, CALL), ("t",), 0.5),
        StepRecord("b", 2, "tool", None, failure=Failure("workflow", "operator", "refused", "b")),
    ),
    answer=["\ud800 lone", "\x00", "ünï", 0, False, 1.5],
    failure=Failure("fault", "provider", "down"),
    seconds=1.25,
)
WORKFLOW = Workflow(
    "w",
    (
        Step("a", "decision", "?", branches={"yes": "b", "no": "a"}, max_visits=2, otherwise="b", reads=()),
        Step("b", "terminal", reads=("a",), output={"type": "array", "items": {"type": "string"}}, timeout_s=2.0),
    ),
    inputs=("image",),
)
TRIAL = Trial(
    "t1",
    1,
    Proposal(WORKFLOW, "text", "because", "t0", ("1:2: bad",), 1, {"reward": -0.1}),
    train=Evaluation(
        "train",
        (
            TaskResult("0", None, "provider"),
            TaskResult("1", 0.5, "", "x", Cost(2.5, None, 0.0, 0.25), (0.0, 1.0, None)),
        ),
    ),
    validation=Evaluation("validation", (TaskResult("2", 0.0),), Dropped(16, "t0", 0.001)),
)


@pytest.mark.parametrize(
    "value",
    [
        TRACE,
        TRIAL,
        Trial("t2", 2, Proposal(None, "", "")),
        Score(None, "not_covered", {"why": ["x"]}),
        Score(0.0),
        Reply("r", "m", Usage(), 0.1, "length", label_logprobs={"yes": -0.1}),
        Request(
            (Message("system", "s"), Message("user", "u")),
            Sampling(0.7, 0.9, 10, 3, ("\n", "##")),
            schema={"type": "object", "properties": {"b": {}, "a": {}}},
            labels=("yes", "no"),
            sample=2,
            purpose="draft",
            timeout_s=1.5,
        ),
    ],
)
def test_value_comes_back_as_it_went(value: object) -> None:
    text = serial.dumps(value)
    assert text.isascii()
    assert serial.loads(type(value), text) == value


def test_order_of_branches_survives() -> None:
    again = serial.loads(Workflow, serial.dumps(WORKFLOW))
    assert list(again.steps[0].branches) == ["yes", "no"]
    assert again.fingerprint() == WORKFLOW.fingerprint()


def test_false_is_not_mistaken_for_a_default_of_zero() -> None:
    again = serial.loads(Usage, serial.dumps(Usage(0, None, None, 0.0)))
    assert again.input_tokens == 0
    assert again.output_tokens is None


def test_nan_in_an_answer_survives() -> None:
    again = serial.loads(Trace, serial.dumps(dataclasses.replace(TRACE, answer=math.nan)))
    assert isinstance(again.answer, float)
    assert math.isnan(again.answer)


def test_defaults_are_left_out() -> None:
    assert serial.dumps(Usage()) == "{}"


def test_unknown_field_is_an_error() -> None:
    with pytest.raises(TypeError):
        serial.loads(Score, '{"value": 1, "colour": "red"}')


def test_every_nested_field_is_known() -> None:
    for kind, parts in serial._PARTS.items():
        for item in dataclasses.fields(kind):
            nested = [inner for inner in serial._PARTS if f"{inner.__module__}.{inner.__qualname__}" in str(item.type)]
            direct = isinstance(item.type, type) and dataclasses.is_dataclass(item.type)
            if nested or direct or "tuple" in str(item.type):
                assert item.name in parts, f"{kind.__name__}.{item.name}"
