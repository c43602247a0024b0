"""`choice`, `regex`, `token-f1`, `hotpotqa-f1`, `drop-f1` and `json-match`."""

import pytest

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, UnknownNameError


async def _judge(
    scorer: str, gold: Json, answer: Json, context: dict[str, Json] | None = None, **parameters: Json
) -> Score:
    judge = plugins.load("scorers", scorer)(parameters)
    field = str(parameters.get("field", "answers" if scorer == "drop-f1" else "answer"))
    trace = Trace(workflow="w", task="t", steps=(), answer=answer)
    return await judge.score(Task("t", "?", context or {}, {field: gold}), trace)  # type: ignore[no-any-return]


# -- choice


@pytest.mark.parametrize(
    ("answer", "picked"),
    [
        ("B", "B"),
        ("b", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("B.", "B"),
        ("B) Paris", "B"),
        ("(B) because A is wrong", "B"),
        ("The answer is B.", "B"),
        ("The answer is (b), not (C)", "B"),
        ("Answer: **B**", "B"),
        ("\\boxed{B}", "B"),
        ("\\boxed{\\text{(B)}}", "B"),
        ("I think it must be B here", "B"),
        ("A capital city must be meant: B", "B"),
        ("A or B", None),
        ("B or C", None),
        ("A) no\nB) yes", None),
        ("bananas", None),
        ("X", None),
        ("", None),
    ],
)
async def test_choice_is_the_one_letter_that_is_picked(answer: str, picked: str | None) -> None:
    score = await _judge("choice", "B", answer, choices="ABCD")
    assert score.details.get("picked") == picked
    assert score.value == float(picked == "B")
    assert score.reason == ("" if picked else "no_choice")


async def test_choice_may_be_told_by_its_text() -> None:
    cities: list[Json] = ["Rome", "Paris", "New York"]
    for answer in ("Paris", "paris.", "B", "The answer is Paris.", "B) Paris"):
        assert (await _judge("choice", "Paris", answer, choices=cities)).value == 1
        assert (await _judge("choice", "B", answer, {"options": cities}, choices_field="options")).value == 1
    assert (await _judge("choice", "Paris", "Rome", choices=cities)).reason == "mismatch"


async def test_choice_whose_reference_is_none_of_them_is_an_error() -> None:
    with pytest.raises(DataError, match="its reference 'answer' is 'E', which is none of: A, B"):
        await _judge("choice", "E", "A", choices="AB")
    with pytest.raises(DataError, match="its context has no list of texts 'options'"):
        await _judge("choice", "A", "A", choices_field="options")


# -- regex


async def test_regex_finds_a_pattern_or_compares_what_its_group_caught() -> None:
    assert (await _judge("regex", "x", "it is 12 cm", pattern=r"\d+ cm")).value == 1
    assert (await _judge("regex", "x", "it is long", pattern=r"\d+ cm")).reason == "not_found"
    caught = await _judge("regex", "12", "ANSWER: 11\nANSWER: 12", pattern=r"ANSWER: (\w+)")
    assert (caught.value, caught.details) == (1.0, {"caught": "12"})
    assert (await _judge("regex", "11", "ANSWER: 11\nANSWER: 12", pattern=r"ANSWER: (\w+)")).reason == "mismatch"
    assert (await _judge("regex", "YES", "say yes", pattern="SAY (yes)", ignore_case=True)).value == 1
    assert (await _judge("regex", "b", "a\nb", pattern="^(b)$", multiline=True)).value == 1


async def test_regex_of_the_task_is_searched() -> None:
    assert (await _judge("regex", ["colou?r", "hue"], "the color")).value == 1
    assert (await _judge("regex", "colou?r", "the shade")).value == 0
    with pytest.raises(DataError, match=r"task t: its reference 'answer': the pattern '\(' is malformed"):
        await _judge("regex", "(", "x")
    with pytest.raises(ConfigError, match=r"scorer 'regex': the pattern '\(' is malformed"):
        plugins.load("scorers", "regex")({"pattern": "("})


# -- token F1


@pytest.mark.parametrize(
    ("gold", "answer", "value", "em"),
    [
        ("the Eiffel Tower", "Eiffel tower!", 1.0, 1),
        ("Eiffel Tower", "It is the Eiffel Tower", 2 * 2 / (2 + 4), 0),
        ("b b c", "b c c", 2 * 2 / 6, 0),
        (["Rome", "Paris"], "paris", 1.0, 1),
        ("Paris", "Rome", 0.0, 0),
        ("Paris", None, 0.0, 0),
        ("the", "a", 1.0, 1),
        ("the", "Paris", 0.0, 0),
    ],
)
async def test_token_f1_is_squads(gold: Json, answer: Json, value: float, em: int) -> None:
    score = await _judge("token-f1", gold, answer)
    assert (score.value, score.details["em"]) == (pytest.approx(value), em)


@pytest.mark.parametrize(
    ("gold", "answer", "value", "em"),
    [
        ("yes", "Yes.", 1.0, 1),
        ("yes", "yes indeed", 0.0, 0),
        ("yes it is", "yes", 0.0, 0),
        ("no", "yes", 0.0, 0),
        ("Animorphs", "the Animorphs series", 2 / 3, 0),
        ("Animorphs", " ", 0.0, 0),
    ],
)
async def test_hotpotqa_gives_no_part_for_yes_or_no(gold: Json, answer: Json, value: float, em: int) -> None:
    score = await _judge("hotpotqa-f1", gold, answer)
    assert (score.value, score.details["em"]) == (pytest.approx(value), em)


# -- DROP: expected values worked out by hand from the published rules


@pytest.mark.parametrize(
    ("gold", "answer", "value", "em"),
    [
        (["7"], "7", 1.0, 1),
        (["7"], "7.0", 1.0, 1),
        (["7"], "It is 7", 0.5, 0),
        (["7 yards"], "8 yards", 0.0, 0),
        (["7 yards"], "7", 0.67, 0),
        (["1,450"], "1450", 1.0, 1),
        (["36-yard"], "36 yard", 1.0, 1),
        (["the Colts"], "Colts", 1.0, 1),
        (["Colts", "Indianapolis"], "Indianapolis", 1.0, 1),
        (["Colts", "Bears"], "Colts|Bears", 0.0, 0),
        ([["Ann", "Bob"]], ["Bob", "Ann"], 1.0, 1),
        ([["Ann", "Bob"]], "Ann", 0.5, 0),
        ([["Ann", "Bob"]], ["Ann", "Bob", "Cy"], 0.67, 0),
        ([["Ann Lee", "Bob"]], ["Bob", "Ann"], 0.83, 0),
        (["a b c"], "c b", 1.0, 0),
        (["Ann"], "", 0.0, 0),
        (["Ann"], [], 0.0, 0),
        (["Ann"], None, 0.0, 0),
        (["Ann"], "Bob", 0.0, 0),
    ],
)
async def test_drop_f1_is_the_official_one(gold: Json, answer: Json, value: float, em: int) -> None:
    score = await _judge("drop-f1", gold, answer)
    assert (score.value, score.details["em"]) == (value, em)


# -- JSON


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ({"a": 1, "b": ["x"]}, '{"b": ["x"], "a": 1.0}', 1),
        ({"a": 1}, '```json\n{"a": 1}\n```', 1),
        ('{"a": 1}', {"a": 1}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 0),
        ({"a": 1}, {"a": "1"}, 0),
        ({"a": 1}, {"a": True}, 0),
        ({"a": True}, {"a": 1}, 0),
        ({"a": None}, {"a": None}, 1),
        ({"a": "x  y"}, {"a": "x y"}, 1),
        ({"a": 1e20}, {"a": 10**400}, 0),
        ([1, 2], "[2, 1]", 0),
        ([1, 2], "[1]", 0),
        ("plain", "plain", 1),
        (5, "5", 1),
        ({"a": 1}, "no JSON", 0),
        ({"a": 1}, "[" * 50_000, 0),
        ({"a": 1}, '{"a": NaN}', 0),
        ({"a": 1}, "", 0),
        ([{"a": [1]}], [{"a": [1]}], 1),
        ({"a": {"b": 1}}, {"a": [1]}, 0),
    ],
)
async def test_json_match_wants_the_same_value(gold: Json, answer: Json, value: float) -> None:
    assert (await _judge("json-match", gold, answer)).value == value


async def test_json_match_names_what_is_wrong_and_may_score_parts() -> None:
    gold: Json = {"name": "Ann", "age": 3, "note": "x"}
    assert (await _judge("json-match", gold, {"name": "Ann", "age": 4})).details == {"wrong": ["age", "note"]}
    part = await _judge("json-match", gold, {"name": "ann", "age": 3, "more": 1}, partial=True, ignore_case=True)
    assert part.value == pytest.approx(2 / 3)
    assert (await _judge("json-match", gold, {"name": "Ann", "age": 3}, fields=["name", "age"])).value == 1
    assert (await _judge("json-match", gold, "[1]", partial=True)).value == 0
    assert (await _judge("json-match", [1, 2, 2], [2, 1, 2], ordered=False)).value == 1
    assert (await _judge("json-match", [1, 2, 2], [2, 1, 1], ordered=False)).value == 0


async def test_json_match_refuses_references_that_do_not_fit() -> None:
    with pytest.raises(DataError, match="fields and partial need an object"):
        await _judge("json-match", [1], "[1]", partial=True)
    with pytest.raises(DataError, match="its reference has no key 'b'"):
        await _judge("json-match", {"a": 1}, "{}", fields=["b"])
    judge = plugins.load("scorers", "json-match")({"field": "gold"})
    with pytest.raises(DataError, match="its reference has no 'gold'; it has: answer"):
        await judge.score(Task("t", "?", reference={"answer": 1}), Trace("w", "t", (), "1"))


# -- parameters


def test_parameters_are_checked_by_their_type() -> None:
    with pytest.raises(ConfigError, match="fields must be a list, not 'a'"):
        plugins.load("scorers", "json-match")({"fields": "a"})
    with pytest.raises(ConfigError, match="choices must be a text or a list, not 3"):
        plugins.load("scorers", "choice")({"choices": 3})
    with pytest.raises(UnknownNameError, match="unknown parameter of scorer 'token-f1' 'x'; there are: field"):
        plugins.load("scorers", "token-f1")({"x": 1})
