"""The canonical text: it says the workflow exactly, and reads well."""

import pytest
from hypothesis import HealthCheck, given, settings
from language_strategies import workflows

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import WorkflowError
from autoflow.language.document import parse
from autoflow.language.dump import dump


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(workflows)
def test_reading_what_was_written_gives_the_workflow(workflow: Workflow) -> None:
    text = dump(workflow)
    read = parse(text).workflow
    assert read == workflow
    assert read.fingerprint() == workflow.fingerprint()
    assert dump(read) == text


def test_the_layout_is_the_documented_one() -> None:
    long = "Is every model in the list among the provided models, and does each take what the one before it gives? " * 2
    workflow = Workflow(
        "plan",
        (
            Step("draft", "process", "Write a list.", operator="ensemble", parameters={"samples": 3}, next="check"),
            Step(
                "check",
                "decision",
                long.strip(),
                branches={"yes": "done", "no": "draft"},
                max_visits=3,
                otherwise="done",
            ),
            Step("done", "terminal", "First line.\nSecond: line.\n", output={"type": "array"}, timeout_s=30.0),
        ),
        "Plan a chain.",
        inputs=("image", "text"),
    )
    assert (
        dump(workflow)
        == """\
autoflow: 1
name: plan
description: Plan a chain.
inputs: [image, text]
steps:
  - name: draft
    type: process
    operator: ensemble
    parameters: {samples: 3}
    instruction: Write a list.
    next: check
  - name: check
    type: decision
    instruction: >-
      Is every model in the list among the provided models, and does each take what the one before it gives?
      Is every model in the list among the provided models, and does each take what the one before it gives?
    branches: {"yes": done, "no": draft}
    max_visits: 3
    otherwise: done
  - name: done
    type: terminal
    instruction: |
      First line.
      Second: line.
    output: {type: array}
    timeout_s: 30.0
"""
    )


def test_every_field_is_written() -> None:
    step = Step("a", "process", "x", next="b", reads=("c",), for_each="d", model="openai/x", otherwise="e")
    assert parse(dump(Workflow("w", (step,)))).workflow.entry == step


def test_long_values_are_written_over_lines() -> None:
    value = {
        "list": ["word " * 10, {"a": ["x" * 60, "y" * 60]}, {"k" * 300: 1}],
        "text": "b " * 100,
        "m": {"n": "o" * 99},
    }
    workflow = Workflow("w", (Step("a", "terminal", parameters=value, output={"k" * 300: "z" * 80, "q": None}),))
    text = dump(workflow)
    assert parse(text).workflow == workflow
    assert "      list:\n" in text


@pytest.mark.parametrize("name", ["yes", "No", "on", "null", "1.10", "2020-01-01", "~", "0x1F"])
def test_what_other_readers_would_mangle_is_quoted(name: str) -> None:
    assert f'name: "{name}"' in dump(Workflow(name, (Step("a", "terminal"),)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "no JSON number"),
        (object(), "not JSON"),
        ({1: "a"}, "key of type int"),
        ("\ud800", "surrogate"),
        ("x" * (1 << 20), "bytes"),
        (list(range(10_000)), "10,000 values"),
    ],
)
def test_what_no_file_can_say_is_refused(value: object, words: str) -> None:
    with pytest.raises(WorkflowError, match=words):
        dump(Workflow("w", (Step("a", "terminal", parameters={"x": value}),)))  # type: ignore[dict-item]


def test_values_nested_too_deeply_are_refused() -> None:
    value: list[object] = []
    for _ in range(2000):
        value = [value]
    with pytest.raises(WorkflowError, match="deeper"):
        dump(Workflow("w", (Step("a", "terminal", parameters={"x": value}),)))  # type: ignore[dict-item]


def test_the_deepest_value_that_is_written_can_be_read() -> None:
    value: list[object] = []
    for depth in range(60):
        workflow = Workflow("w", (Step("a", "terminal", parameters={"x": value}),))  # type: ignore[dict-item]
        try:
            text = dump(workflow)
        except WorkflowError:
            assert depth > 40
            break
        assert parse(text).workflow == workflow
        value = [value]
