"""Finding the number in an answer, and the scorers that compare it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow import plugins
from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, UnknownNameError
from autoflow.scorers.numbers import number

CASES: list[tuple[str, float | None]] = [
    # plain
    ("42", 42),
    ("-3", -3),
    ("+3", 3),
    ("3.5", 3.5),
    (".5", 0.5),
    ("-.5", -0.5),
    ("1e-3", 1e-3),
    ("1E3", 1000),
    ("1e999", None),
    ("", None),
    ("none", None),
    ("nan", None),
    ("5.", 5),
    ("It is 5.", 5),
    # signs: a minus only where no digit, letter or bracket precedes
    ("10-5", 5),
    ("10 - 3 = 7", 7),
    ("x=-4", -4),
    ("(-4)", -4),
    ("f(3)-4", 4),
    ("COVID-19", 19),
    ("\u22123", -3),
    ("10\u20135", 5),
    ("is \u20113", -3),
    ("- 5 apples", 5),
    # separators
    ("1,450,000", 1_450_000),
    ("1,234.50", 1234.5),
    ("1{,}234", 1234),
    (r"1\,234", 1234),
    (r"1\!\,234 \text{ and so}", 1234),
    ("12\u2009345", 12345),
    ("12\u202f345", 12345),
    ("1'234", 1234),
    ("1_000", 1000),
    ("in 2020 150", 150),
    ("1,2,3", 3),
    ("12,34", 34),
    ("1,2345", 2345),
    # currency, per cent, units
    ("$1,234.50", 1234.5),
    ("-$5", -5),
    ("$-5", -5),
    ("-$ 5", -5),
    (r"\$12", 12),
    ("$5$", 5),
    ("US$5", 5),
    ("R$ 1.50", 1.5),
    ("Rs.500", 500),
    ("\u20ac 7", 7),
    ("-1,000.25 USD", -1000.25),
    ("3.5%", 3.5),
    (r"12\%", 12),
    ("25 cm\u00b2", 25),
    ("25 m2", 25),
    ("5kg", 5),
    ("H2O", None),
    ("10\u00b2 = 100", 100),
    # LaTeX
    (r"\boxed{18}", 18),
    (r"\boxed{7} or \boxed{8}, 9 at most", 8),
    (r"\boxed{\text{5 apples}}", 5),
    (r"\boxed{\frac{3}{4}}", 0.75),
    (r"\boxed{-\dfrac12}", -0.5),
    (r"\boxed{3\frac{1}{2}}", 3.5),
    (r"\frac{1}{0}", 0),
    (r"\boxed{3/4}", 0.75),
    (r"\boxed{1,234}", 1234),
    (r"\(x = 12\)", 12),
    (r"\boxed{} is 4", 4),
    (r"\boxed{18", 18),
    (r"3 \times 10^{5}", 3e5),
    ("3\u00d710\u2075", 3e5),
    ("2.5 * 10^-2", 0.025),
    # fractions and other digits
    ("\u00bd", 0.5),
    ("3\u00bd cups", 3.5),
    ("\uff11\uff18", 18),
    ("\u09e7\u09ee", 18),
    ("\u7b54\u6848\u662f18\u3002", 18),
    # where it is looked for
    ("2 + 2\n#### 4\nchecked 2 times", 4),
    ("#### 1 #### 2", 2),
    ("#### none, so 7", 7),
    ("The answer is 5 apples, not 6.", 5),
    ("the ANSWER IS: **42**, twice 21", 42),
    ("The answer is 1/2.", 0.5),
    ("The answer is 1/2/2020", 1),
    ("First 3, then 4, so 7 apples in all.", 7),
    ("7 apples (see page x)", 7),
]


@pytest.mark.parametrize(("answer", "value"), CASES)
def test_number_is_found_whatever_stands_around_it(answer: str, value: float | None) -> None:
    assert number(answer) == (value if value is None else pytest.approx(value, rel=1e-12))


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("1.234,5", 1234.5),
        ("1.234", 1234),
        ("1.234.567,89 Euro", 1234567.89),
        ("2 125", 2125),
        ("2,125", 2125),
        ("1,234.5", 1234.5),
        ("3,5", 3.5),
        ("3.5", 3.5),
        ("0.125", 0.125),
        ("18 Eier, 20 Euro.", 20),
    ],
)
def test_point_or_space_groups_where_the_language_does_so(answer: str, value: float) -> None:
    assert number(answer, "point") == value


def test_indian_groups_have_two_digits() -> None:
    assert number("1,14,200", "indian") == 114200
    assert number("114,200", "indian") == 114200


@given(
    st.integers(-(10**12), 10**12), st.sampled_from(["{:,}", "${:,}", "{} apples", "\\boxed{{{}}}", "so #### {}\n1"])
)
def test_any_whole_number_is_read_back(value: int, form: str) -> None:
    assert number(form.format(value)) == value


@given(st.text(alphabet="0123456789.,-+eE/\\{}$%^ boxedfrac½²#\n\u2009x", max_size=60))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for grouping in ("comma", "point", "indian"):
        found = number(text, grouping)  # type: ignore[arg-type]
        assert found is None or abs(found) < float("inf")


async def _judge(scorer: str, gold: Json, answer: Json, category: str = "", **parameters: Json) -> Score:
    judge = plugins.load("scorers", scorer)(parameters)
    trace = Trace(workflow="w", task="t", steps=(), answer=answer)
    return await judge.score(Task("t", "?", reference={"answer": gold}, category=category), trace)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("gold", "answer", "value", "reason"),
    [
        ("18", "It is 18.0", 1, ""),
        ("so 9\n#### 1,018", 1018, 1, ""),
        (3e6, "3,000,002", 1, ""),
        (3e6, "3,000,004", 0, "mismatch"),
        (0.5, "0.5000001", 1, ""),
        (0.5, "0.50001", 0, "mismatch"),
        (5, None, 0, "no_number"),
        (5, "", 0, "no_number"),
        (1, True, 0, "no_number"),
        ([4, 5], "5", 1, ""),
        (5, [4, 5], 1, ""),
        (5, float("nan"), 0, "no_number"),
        (5, 10**400, 0, "no_number"),
    ],
)
async def test_numeric_wants_the_number(gold: Json, answer: Json, value: float, reason: str) -> None:
    score = await _judge("numeric", gold, answer)
    assert (score.value, score.reason) == (value, reason)


async def test_numeric_takes_a_tolerance_and_no_other_parameter() -> None:
    assert (await _judge("numeric", 100, "104", tolerance=0.05)).value == 1
    make = plugins.load("scorers", "numeric")
    with pytest.raises(ConfigError, match="tolerance must not be negative"):
        make({"tolerance": -1})
    with pytest.raises(ConfigError, match="tolerance must be a number, not 'x'"):
        make({"tolerance": "x"})
    with pytest.raises(UnknownNameError, match="there are: field, tolerance"):
        make({"label": "mine"})


@pytest.mark.parametrize("scorer", ["numeric", "gsm-hard", "mgsm"])
async def test_reference_without_a_number_is_an_error(scorer: str) -> None:
    with pytest.raises(DataError, match="task t: its reference 'answer' is no number: 'many'"):
        await _judge(scorer, "many", "5")


@pytest.mark.parametrize(
    ("gold", "answer", "value", "strict"),
    [(10.5, "10.45", 1, False), (10.5, "10.5", 1, True), (10.5, "10.65", 0, False), (1e12, "1000000500000", 1, True)],
)
async def test_gsm_hard_allows_a_tenth_and_states_the_strict_verdict(
    gold: float, answer: str, value: float, strict: bool
) -> None:
    score = await _judge("gsm-hard", gold, answer)
    assert (score.value, score.details["strict"]) == (value, strict)
    assert (await _judge("gsm-hard", gold, "")).reason == "no_number"


@pytest.mark.parametrize(
    ("language", "answer", "value"),
    [
        ("de", "2.125", 1),
        ("en", "2.125", 0),
        ("en", "2,125", 1),
        ("fr", "2 125 euros", 1),
        ("bn", "২,১২৫", 1),
        ("de", "", 0),
    ],
)
async def test_mgsm_reads_numbers_as_the_language_writes_them(language: str, answer: str, value: float) -> None:
    assert (await _judge("mgsm", "2,125", answer, language)).value == value
