"""The library's own operators: `generate`, `ensemble`, and what they share."""

import asyncio
from collections.abc import Mapping

import pytest

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.model import Message, Reply, Request, Sampling
from autoflow.core.operator import Invocation
from autoflow.core.task import Task
from autoflow.errors import OperatorError, UsageError
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators import library as library_module
from autoflow.operators.asking import say, together
from autoflow.operators.ensemble import PLUGIN as ENSEMBLE
from autoflow.operators.ensemble import key, majority
from autoflow.operators.generate import PLUGIN as GENERATE
from autoflow.operators.library import library


def invocation(
    model: object,
    parameters: Mapping[str, Json] | None = None,
    output: Mapping[str, Json] | None = None,
    conversation: tuple[Message, ...] = (Message("system", "S"), Message("user", "Task: T")),
) -> Invocation:
    return Invocation(
        "Do it.",
        conversation,
        {},
        Task("t", "T"),
        parameters or {},
        output,
        model,
        Sampling(0.2, max_tokens=9),  # type: ignore[arg-type]
    )


def scripted(*replies: str) -> Scripted:
    return Scripted([Rule(replies)])


async def test_generate_asks_once_after_the_conversation() -> None:
    model = scripted("  an answer\n")
    assert await GENERATE.run(invocation(model)) == "an answer"
    request = model.requests[0]
    assert [(message.role, message.text) for message in request.messages] == [
        ("system", "S"),
        ("user", "Task: T\n\nDo it."),
    ]
    assert request.purpose == "step"
    assert request.sampling == Sampling(0.2, max_tokens=9)


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


# -- ensemble


async def test_ensemble_returns_what_most_answers_agree_on_as_first_written() -> None:
    model = scripted("It is\nForty two.", "41", "so\nforty  TWO", "41", "forty two!")
    assert await ENSEMBLE.run(invocation(model)) == "It is\nForty two."
    assert [request.sample for request in model.requests] == [0, 1, 2, 3, 4]
    assert {request.sampling.temperature for request in model.requests} == {0.7}
    assert {request.sampling.max_tokens for request in model.requests} == {9}


async def test_ensemble_draws_in_parallel() -> None:
    class Slow:
        name, features, running, most = "m", frozenset[str](), 0, 0

        async def complete(self, request: Request) -> Reply:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.01)
            self.running -= 1
            return Reply("x", "m")

    model = Slow()
    await ENSEMBLE.run(invocation(model, {"samples": 3}))
    assert model.most == 3


async def test_ensemble_votes_on_values_too() -> None:
    model = scripted('{"a": 1, "b": 2}', '{"a": 2, "b": 2}', '{"b": 2, "a": 1}')
    found = await ENSEMBLE.run(invocation(model, {"samples": 3}, output={"type": "object"}))
    assert found == {"a": 1, "b": 2}


def test_ties_go_to_the_earliest() -> None:
    assert majority(["b", "a", "a", "b"], "whole") == "b"
    assert majority(["c", "b", "a"], "whole") == "c"


@pytest.mark.parametrize(
    ("answer", "agree", "expected"),
    [
        ("  The Cat. ", "whole", "the cat"),
        ("\uff11\uff12", "whole", "12"),
        ("because\nso\n 7!\n\n", "last_line", "7"),
        ("\n", "last_line", ""),
        ("costs $1,450,000.00 in all", "number", "1450000"),
        ("10-5 = 5", "number", "5"),
        ("it is \u22123", "number", "-3"),
        ("it is .5", "number", "0.5"),
        ("no number\nAt all", "number", "at all"),
        (["a", 1], "number", '["a",1]'),
    ],
)
def test_answers_are_compared_by_what_they_say(answer: Json, agree: str, expected: str) -> None:
    assert key(answer, agree) == expected


@pytest.mark.parametrize("parameters", [{"samples": 0}, {"samples": True}, {"samples": 51}, {"agree": "roughly"}])
async def test_ensemble_refuses_parameters_that_do_not_fit(parameters: dict[str, Json]) -> None:
    with pytest.raises(OperatorError, match=next(iter(parameters))):
        await ENSEMBLE.run(invocation(scripted("x"), parameters))


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
    assert {"generate", "ensemble"} <= set(found)
    assert all(operator.card.name == name for name, operator in found.items())
    assert all(operator.card.kind == "model" for operator in found.values())


def test_two_operators_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "names", lambda kind: ["generate", "other"])
    monkeypatch.setattr(plugins, "load", lambda kind, name: GENERATE)
    with pytest.raises(UsageError, match="other"):
        library_module.library()
