"""`exact` and `contains`."""

import pytest

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, UnknownNameError


async def _score(scorer: str, gold: Json, answer: Json, **parameters: Json) -> float | None:
    judge = plugins.load("scorers", scorer)(parameters)
    field = str(parameters.get("field", "answer"))
    trace = Trace(workflow="w", task="t", steps=(), answer=answer)
    return (await judge.score(Task("t", "?", reference={field: gold}), trace)).value  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("Paris", "Paris", 1.0),
        ("Paris", "  Paris\n", 1.0),
        ("New York", "New\n York", 1.0),
        ("Paris", "paris", 0.0),
        ("Paris", "Paris, France", 0.0),
        (12, "12", 1.0),
        ("12", 12, 1.0),
        (12, 12.5, 0.0),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, 1.0),
        (["Paris", "Lutetia"], "Lutetia", 1.0),
        (["Paris", "Lutetia"], "Rome", 0.0),
        ([["a", "b"]], ["a", "b"], 1.0),
        ("\ufb01ne", "fine", 1.0),
        ("Paris", None, 0.0),
    ],
)
async def test_exact_wants_the_reference_and_nothing_else(gold: Json, answer: Json, value: float) -> None:
    assert await _score("exact", gold, answer) == value


async def test_exact_ignores_case_only_where_asked() -> None:
    assert await _score("exact", "Paris", "PARIS", ignore_case=True) == 1.0


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("art", "State of the Art.", 1.0),
        ("art", "The party", 0.0),
        ("12", "It is 12.", 1.0),
        ("12", "It is $12, no more", 1.0),
        ("12", "It is 3.12", 0.0),
        ("12", "It is 12.5", 0.0),
        ("12", "It is 120", 0.0),
        ("12", "It is -12", 0.0),
        ("12", "It is 24-12", 1.0),
        (12, ["11", "12"], 1.0),
        ("a.b", "axb", 0.0),
        ("(a", "see (a b)", 1.0),
        (["Rome", "Paris"], "in Paris", 1.0),
        ("", "anything", 0.0),
        ("Paris", None, 0.0),
    ],
)
async def test_contains_wants_the_reference_as_whole_words(gold: Json, answer: Json, value: float) -> None:
    assert await _score("contains", gold, answer) == value


async def test_contains_heeds_case_only_where_asked() -> None:
    assert await _score("contains", "Paris", "in PARIS", ignore_case=False) == 0.0


async def test_reference_is_read_from_the_field_that_is_named() -> None:
    assert await _score("exact", "x", "x", field="label") == 1.0
    judge = plugins.load("scorers", "exact")({"field": "gold"})
    with pytest.raises(DataError, match="task t: its reference has no 'gold'; it has: answer"):
        await judge.score(Task("t", "?", reference={"answer": "x"}), Trace("w", "t", (), "x"))


@pytest.mark.parametrize("scorer", ["exact", "contains"])
def test_parameters_are_checked(scorer: str) -> None:
    make = plugins.load("scorers", scorer)
    with pytest.raises(UnknownNameError, match=r"unknown parameter of scorer .* 'case'; there are: field, ignore_case"):
        make({"case": True})
    with pytest.raises(ConfigError, match="ignore_case must be true or false, not 'yes'"):
        make({"ignore_case": "yes"})
    with pytest.raises(ConfigError, match="field must be a text, not 3"):
        make({"field": 3})
