"""Grammars of outlines that type-check, and what a draft for a task with typed inputs is held to."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from autoflow.benchmarks import loader
from autoflow.core.model import Model, Sampling
from autoflow.core.operator import Card
from autoflow.core.task import Task
from autoflow.generator.draft import DraftRequest, Limits, draft
from autoflow.generator.for_task import request_for
from autoflow.generator.typed import typed_outline
from autoflow.models.factory import ModelOptions, open_model
from autoflow.models.scripted import Rule, Scripted

CARDS = (
    Card("blur", "Blur a picture.", inputs=("image",), output="image", kind="tool"),
    Card("caption", "Say what a picture shows.", inputs=("image",), output="text", kind="tool"),
    Card("ask", "Answer a question about a picture.", inputs=("image", "text"), output="text", kind="tool"),
    Card('say "it"', "Shout.", inputs=("text",), output="text", kind="tool"),
)
REQUEST = DraftRequest(
    "Describe the picture.", CARDS, scope="task", limits=Limits(max_steps=4, max_instruction_chars=20)
)


def _rules(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines()[1:])


def _plans(rules: dict[str, str], name: str) -> Iterator[tuple[str, ...]]:
    """The operators of every sentence of a step's rule."""
    for way in rules[name].split(' | "[" '):
        operators, rest = re.fullmatch(r'(?:"\[" )?TEXT ", " (\w+) "\]"(.*)', way).groups()  # type: ignore[union-attr]
        following = re.search(r"s\d+", rest)
        for operator in rules[operators].split(" | "):
            named = json.loads(json.loads(operator))
            if following is None or rest.endswith("?"):
                yield (named,)
            if following is not None:
                yield from ((named, *more) for more in _plans(rules, following.group()))


def _all(*inputs: str, steps: int = 3) -> set[tuple[str, ...]]:
    text = typed_outline(CARDS, inputs, max_steps=steps + 1, max_instruction_chars=20)
    assert text is not None
    rules = _rules(text)
    first = re.search(r"s\d+", rules["start"].replace("steps", ""))
    assert first is not None
    found = list(_plans(rules, first.group()))
    assert len(found) == len(set(found))
    return set(found)


def test_a_sentence_uses_what_is_there_and_brings_it_to_one_value() -> None:
    shout = 'say "it"'
    assert _all("image", steps=2) == {
        ("blur",),
        ("caption",),
        ("blur", "blur"),
        ("blur", "caption"),
        ("caption", shout),
    }
    assert _all("image", "text", steps=2) == {("ask",), ("blur", "ask"), (shout, "ask"), ("ask", shout)}
    assert all(len(plan) <= 3 for plan in _all("text", "image"))


@pytest.mark.parametrize("inputs", [("image",), ("image", "text"), ("text",)])
async def test_lint_agrees_about_every_sentence(inputs: tuple[str, ...]) -> None:
    plans = _all(*inputs)
    texts = [json.dumps({"steps": [["x", name] for name in plan], "answer": ""}) for plan in sorted(plans)]
    model = Scripted([Rule(tuple(texts))], features=frozenset({"grammar"}))
    for text in texts:
        found = await draft(model, replace(REQUEST, inputs=inputs), repairs=0, form="outline")
        assert (found.errors, json.loads(found.text)) == ((), json.loads(text))
        assert found.workflow is not None
        assert found.workflow.inputs == inputs


def test_there_is_no_grammar_where_types_say_nothing() -> None:
    bounds = {"max_steps": 4, "max_instruction_chars": 20}
    assert typed_outline((*CARDS, Card("generate", "Ask.")), ["image"], **bounds) is None
    assert typed_outline(CARDS, [], **bounds) is None
    assert typed_outline(CARDS, ["sound"], **bounds) is None
    # Two pictures never come to one value.
    assert typed_outline(CARDS[:2], ["image", "image"], **bounds) is None


async def test_a_draft_that_lacks_an_input_is_refused_by_name_where_no_grammar_holds_it() -> None:
    written = json.dumps({"steps": [["x", "ask"]], "answer": ""})
    model = Scripted([Rule((written,))], features=frozenset({"schema"}))
    request = replace(REQUEST, inputs=("image",))
    found = await draft(model, request, repairs=0, form="outline")
    assert found.workflow is None
    assert "takes image and text" in found.errors[0]
    assert (await draft(model, replace(request, inputs=None), repairs=0, form="outline")).workflow is not None


def test_a_request_has_the_types_that_the_task_states() -> None:
    openagi = loader.load("openagi")
    for task in openagi.train:
        assert request_for(openagi, task).inputs == ("image" if " image," in task.text else "text",)
    for context in ({}, {"inputs": "image"}, {"inputs": ["sound"]}, {"inputs": [1]}):
        assert request_for(openagi, Task("x", "Do it.", context=context)).inputs is None


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    opened = open_model(
        "embedded/smollm2-135m", ModelOptions(slots=4, context_tokens=2048, timeout_s=600, offline=True)
    )
    yield opened
    asyncio.run(opened.aclose())


@pytest.mark.embedded
@pytest.mark.xdist_group("embedded")
async def test_an_untrained_model_writes_only_plans_that_type_check(model: Model) -> None:
    request = replace(REQUEST, inputs=("image", "text"), sampling=Sampling(1.5, max_tokens=200))
    found = await asyncio.gather(*(draft(model, replace(request, sample=sample), repairs=0) for sample in range(8)))
    assert [item.errors for item in found] == [()] * 8
    plans = {tuple(step.operator for step in item.workflow.steps[:-1]) for item in found if item.workflow is not None}
    assert len(plans) > 1
    assert plans <= _all("image", "text")
