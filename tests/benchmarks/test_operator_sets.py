"""Operator sets: what they may hold, where they come from, and what they narrow."""

from pathlib import Path

import pytest

from autoflow.benchmarks import loader, operator_sets
from autoflow.core.operator import Card
from autoflow.errors import AutoflowError, DataError, UnknownNameError
from autoflow.operators.library import library

CARDS = {name: operator.card for name, operator in library().items()}

PUBLISHED = {
    "aflow-qa": {"custom", "answer", "ensemble"},
    "aflow-maths": {"custom", "ensemble", "programmer"},
    "aflow-code": {"custom", "code-generate", "ensemble", "test"},
    "metaflow": {"generate", "decompose", "summarize", "ensemble", "programmer", "search"},
    "adas": {"generate", "ensemble", "reflexion", "debate", "step-back", "role", "diversity"},
}

YAML = """\
name: tiny
description: Sums.
data: {jsonl: rows.jsonl, fields: {text: q, reference: {answer: a}}}
splits: {train: [0]}
scorer: exact
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").write_text('{"q": "1 + 1?", "a": "2"}\n')
    return tmp_path


def benchmark(folder: Path, operators: str) -> tuple[str, ...] | None:
    (folder / "benchmark.yaml").write_text(f"{YAML}{operators}")
    return loader.load(str(folder)).operator_set


@pytest.mark.parametrize("name", operator_sets.names())
def test_every_set_that_comes_with_autoflow_can_be_read(name: str) -> None:
    assert set(operator_sets.load(name, CARDS)) <= set(CARDS)


@pytest.mark.parametrize(("name", "operators"), PUBLISHED.items())
def test_published_sets_are_as_published(name: str, operators: set[str]) -> None:
    assert set(operator_sets.load(name, CARDS)) == operators


def test_a_set_is_in_its_own_order_with_generate_always_in_it() -> None:
    wanted = operator_sets.load("aflow-maths", CARDS)
    assert [card.name for card in operator_sets.chosen(CARDS, wanted)] == ["generate", *wanted]
    assert [card.name for card in operator_sets.chosen(CARDS, ["role", "generate"])] == ["role", "generate"]
    assert operator_sets.chosen(CARDS, None) == tuple(CARDS.values())
    with pytest.raises(AutoflowError, match="'role' of the set is not in reach"):
        operator_sets.chosen({"generate": CARDS["generate"]}, ["role"])


def test_a_set_of_one_s_own_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("# what I like\n- role\n- debate\n")
    assert operator_sets.load(str(file), CARDS) == ("role", "debate")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- rol\n", r"mine.yaml:1:3: there is no operator 'rol' in reach\n  did you mean 'role'\?"),
        (
            "- role\n- Colorization\n",
            r"mine.yaml:2:3: there is no operator 'Colorization' in reach\n  there are: answer",
        ),
        ("- role\n- role\n", r"mine.yaml:2:3: 'role' is listed twice"),
        ("- role\n- 3\n", r"mine.yaml:2:3: 3 is not the name"),
        ("- role: {}\n", r"mine.yaml:1:3: .* is not the name"),
        ("role\n", r"mine.yaml:1:1: an operator set is a list"),
        ("[]\n", r"mine.yaml:1:1: an operator set is a list"),
        ("operators: [role]\n", r"mine.yaml:1:1: an operator set is a list"),
        ("- [role\n", r"mine.yaml:2:1: "),
        ("- &a role\n- *a\n", r"mine.yaml:2:3: aliases"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(DataError, match=said):
        operator_sets.load(str(file), CARDS)


@pytest.mark.parametrize("name", ["metaflwo", "nowhere.yaml", "../sets/adas"])
def test_an_unknown_set_lists_what_exists(name: str) -> None:
    with pytest.raises(UnknownNameError, match="metaflow"):
        operator_sets.load(name, CARDS)


def test_a_benchmark_names_a_set_lists_operators_or_leaves_all(folder: Path) -> None:
    assert benchmark(folder, "") is None
    assert benchmark(folder, "operators: aflow-qa\n") == ("custom", "answer", "ensemble")
    assert benchmark(folder, "operators: [generate, role]\n") == ("generate", "role")
    (folder / "mine.yaml").write_text("- debate\n")
    assert benchmark(folder, "operators: mine.yaml\n") == ("debate",)


def test_a_benchmark_s_own_operators_may_be_in_its_set(folder: Path) -> None:
    (folder / "benchmark.py").write_text(
        "from autoflow.core.operator import Card\n"
        "class Count:\n"
        "    card = Card('Word Count', 'Counts words.', ('text',), 'number', kind='tool')\n"
        "    async def run(self, call): return 2\n"
        "def operators(options): return {'Word Count': Count()}\n"
    )
    assert benchmark(folder, "operators: [generate, Word Count]\n") == ("generate", "Word Count")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "operators: [generate, rol]\n",
            r"benchmark.yaml:6:23: operators: there is no operator 'rol'.*\n  did you mean",
        ),
        ("operators: rol\n", r"benchmark.yaml:6:12: unknown operator set 'rol'; there are: adas"),
        ("operators: []\n", r"benchmark.yaml:6:12: operators: an operator set is a list"),
        ("operators: {a: b}\n", r"benchmark.yaml:6:12: operators: must be a set's name"),
    ],
)
def test_what_is_wrong_in_a_benchmark_is_said_with_its_line(folder: Path, written: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        benchmark(folder, written)


def test_the_demo_s_generator_is_shown_no_more_than_it_can_read() -> None:
    found = loader.load("openagi")
    assert found.operator_set == ("ensemble", "generate", *found.operators)


def test_a_card_is_enough_to_be_in_reach() -> None:
    cards = {"shout": Card("shout", "Shouts.")}
    assert operator_sets.checked(["shout"], cards, lambda place, message, hint: DataError(message)) == ("shout",)
