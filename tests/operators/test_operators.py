"""The library of operators: `generate`, what operators share, and what all of them keep to."""

import asyncio

import pytest
from operator_helpers import invocation, scripted

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.model import Message, Sampling
from autoflow.errors import OperatorError, UsageError
from autoflow.language.json_schema import fault_of_schema, fault_of_value
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators import library as library_module
from autoflow.operators.asking import TEXT_CHARS, clipped, say, settled, together, words
from autoflow.operators.generate import PLUGIN as GENERATE
from autoflow.operators.library import library


async def test_generate_asks_once_after_the_conversation() -> None:
    model = scripted("  an answer\n")
    assert await GENERATE.run(invocation(model)) == "an answer"
    request = model.requests[0]
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "S"),
        ("user", "Task: T\n\nDo it."),
    ]
    assert request.purpose == "step"
    assert request.sampling == Sampling(0.2, max_tokens=900)


async def test_generate_takes_its_own_temperature_and_length() -> None:
    model = scripted("x")
    await GENERATE.run(invocation(model, {"temperature": 1, "max_tokens": 5}))
    assert model.requests[0].sampling == Sampling(1.0, max_tokens=5)


async def test_generate_gives_a_value_that_fits_its_schema() -> None:
    assert await GENERATE.run(invocation(scripted('{"n": 3}'), output={"type": "object"})) == {"n": 3}


@pytest.mark.parametrize(
    "parameters",
    [{"temperature": 3}, {"temperature": True}, {"temperature": "1"}, {"max_tokens": 0}, {"max_tokens": 1.5}],
)
async def test_parameters_out_of_range_are_refused(parameters: dict[str, Json]) -> None:
    with pytest.raises(OperatorError, match=next(iter(parameters))):
        await GENERATE.run(invocation(scripted("x"), parameters))


def test_turn_is_added_so_that_roles_alternate() -> None:
    assistant = Message("assistant", "a")
    assert say((), "x") == (Message("user", "x"),)
    assert say((assistant,), "x") == (assistant, Message("user", "x"))
    assert say((Message("user", "u"),), "x") == (Message("user", "u\n\nx"),)


def test_texts_in_structured_replies_are_bounded_for_models_that_are_held_to_a_grammar() -> None:
    assert words(scripted("x"), 1) == {"type": "string", "minLength": 1}
    held = Scripted([Rule(("x",))], features=frozenset({"schema", "grammar"}))
    assert words(held) == {"type": "string", "maxLength": TEXT_CHARS}


@pytest.mark.parametrize("name", ["answer", "decompose", "review", "reflexion", "search"])
async def test_every_text_of_an_operator_s_own_form_is_bounded_then(name: str) -> None:
    replies = ['{"thought": "", "answer": "x"}', '["x"]', '{"points": [], "accept": true}', '["x"]']
    asked = dict(zip(["answer", "decompose", "review", "search"], replies, strict=True))
    rules = [Rule(('{"feedback": "", "correct": true}',), purpose="critic"), Rule((asked.get(name, "x"),))]
    model = Scripted(rules, features=frozenset({"schema", "grammar"}))
    await library()[name].run(invocation(model, inputs={"a": "b"}))
    schema = str(model.requests[-1].schema)
    assert schema.count("'type': 'string'") == schema.count(f"'maxLength': {TEXT_CHARS}") > 0


# -- several at once


async def test_together_keeps_the_order_and_the_limit() -> None:
    running: list[int] = []
    most = 0

    async def work(index: int) -> int:
        nonlocal most
        running.append(index)
        most = max(most, len(running))
        await asyncio.sleep(0.01 / (index + 1))
        running.remove(index)
        return index

    assert await together([work(index) for index in range(6)], 2) == list(range(6))
    assert most == 2
    assert await together([]) == []


async def test_together_stops_the_others_at_the_first_failure() -> None:
    ended: list[str] = []

    async def slow(name: str) -> None:
        try:
            await asyncio.sleep(10)
        finally:
            ended.append(name)

    async def fails() -> None:
        await asyncio.sleep(0)
        raise OperatorError("no")

    with pytest.raises(OperatorError):
        await together([slow("a"), fails(), slow("b"), slow("never begun")], 3)
    assert ended == ["a", "b"]


# -- library


def test_library_holds_every_operator_by_the_name_on_its_card() -> None:
    found = library()
    assert len(found) >= 19
    assert all(operator.card.name == name for name, operator in found.items())
    assert all(operator.card.kind == "model" for operator in found.values())


def test_two_operators_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda kind: ["generate", "other"])
    monkeypatch.setattr(plugins, "load", lambda kind, name: GENERATE)
    with pytest.raises(UsageError, match="other"):
        library_module.library()


# -- parameters


# `generate` reads its two and nothing else: lint has seen the rest.
@pytest.mark.parametrize("name", [name for name in library() if name != "generate"])
async def test_operator_refuses_a_parameter_that_it_does_not_have(name: str) -> None:
    with pytest.raises(OperatorError, match="tone"):
        await library()[name].run(invocation(scripted("x"), {"tone": "warm"}, inputs={"a": "b"}))


def test_parameters_are_settled_from_values_and_defaults() -> None:
    card = library()["ensemble"].card
    assert settled(card, {"samples": 3.0, "agree": "vote"})["samples"] == 3
    assert settled(card, {})["agree"] == "last_line"
    with pytest.raises(OperatorError, match=r"samples.*51"):
        settled(card, {"samples": 51})
    with pytest.raises(OperatorError, match="needs the parameter 'code'"):
        settled(library()["python"].card, {})


def test_a_long_text_loses_its_middle() -> None:
    assert clipped("x" * 10, 10) == "x" * 10
    short = clipped("a" * 50 + "b" * 50, 20)
    assert short.startswith("a" * 10)
    assert short.endswith("b" * 10)
    assert "80 characters left out" in short


@pytest.mark.parametrize("name", library())
def test_card_says_what_lint_and_generators_need(name: str) -> None:
    card = library()[name].card
    assert card.description.endswith(".")
    assert card.output in {"text", "list", "code", "any"}
    for parameter, schema in card.parameters.items():
        assert fault_of_schema(schema) is None
        assert "type" in schema or "enum" in schema
        default = schema.get("default")
        if default is not None:
            assert fault_of_value(default, schema) is None, parameter
