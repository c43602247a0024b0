"""Made-up domains: reproducible, solvable from their cards, and disjoint between splits."""

import json
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoflow.benchmarks import held_out, loader
from autoflow.synthesis import domains, tasks
from autoflow.synthesis.synthesize import DomainPlan, draw_domains
from autoflow.synthesis.words import all_words, dealt

# What the OpenAGI operators do, and how its sentences say it: none of it is in the words, so that those operators
# stay unseen in what they do, not in name alone.
CONCEPTS = (
    "nois", "blur", "gray", "grey", "resolution", "cloze", "mask", "caption", "classif", "class label", "object",
    "sentiment", "summar", "translat", "question", "visual", "german", "coloriz", "colour", "query",
)  # fmt: skip


def test_equal_arguments_draw_equal_domains() -> None:
    assert domains.draw(3, 7, "train") == domains.draw(3, 7, "train")
    assert domains.draw(3, 7, "train") != domains.draw(4, 7, "train")


def test_no_concept_is_dealt_to_two_splits() -> None:
    for kind in ("types", "defects", "nouns", "verbs", "pairs", "forms", "conversions"):
        shares = [getattr(dealt(split), kind) for split in ("train", "validation", "test")]
        assert all(shares)
        assert sorted(row for share in shares for row in share) == sorted(getattr(all_words(), kind))
        assert sum(len(set(share)) for share in shares) == len(set(getattr(all_words(), kind)))


def test_every_word_is_text() -> None:
    def check(value: object) -> None:
        if isinstance(value, tuple):
            for item in value:
                check(item)
        else:
            assert isinstance(value, str)
            assert value

    check(tuple(getattr(all_words(), kind) for kind in ("types", "defects", "nouns", "verbs", "pairs", "forms")))


def test_the_words_hold_no_concept_of_openagi() -> None:
    text = json.dumps([getattr(all_words(), kind) for kind in all_words().__dataclass_fields__]).casefold()
    assert [concept for concept in CONCEPTS if concept in text] == []


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["train", "validation", "test"]))
def test_a_domain_is_sound(seed: int, split: str) -> None:
    worded = domains.draw(seed, 0, split)
    tools = worded.domain.tools
    assert len({tool.name.casefold() for tool in tools}) == len(tools)
    assert all(tool.description.endswith(".") and "{" not in tool.description for tool in tools)
    assert {tool.value for tool in tools if tool.effect == "repair"} == set(worded.defects)
    for wish in worded.wishes:
        assert worded.domain.tool(wish.tool) is not None


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_a_sentence_says_what_its_goal_holds(seed: int) -> None:
    worded = domains.draw(seed, 0, "train")
    drawn = tasks.draw(worded, random.Random(seed))
    if drawn is None:
        return
    goal, sentence = drawn.goal, drawn.text
    for item in goal.inputs:
        for defect in item.defects:
            assert defect in sentence or worded.defects[defect][1] in sentence
    usual = worded.domain.forms.get(goal.type)
    if goal.form is not None and goal.form != usual:
        assert f"in {goal.form}" in sentence or f"into {goal.form}" in sentence
    assert "{" not in sentence


def test_domains_of_two_splits_share_no_operator_name() -> None:
    drawn = draw_domains(DomainPlan(seed=1, train=60, validation=20, test=20))
    names = {split: {tool.name.casefold() for s, worded in drawn if s == split for tool in worded.domain.tools}
             for split in ("train", "validation", "test")}  # fmt: skip
    assert not names["train"] & (names["validation"] | names["test"])
    assert not names["validation"] & names["test"]


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_no_card_and_no_sentence_is_one_of_openagi(split: str) -> None:
    cards = [name.casefold() for name in loader.load("openagi").operators]
    sentences = {task.text for task in held_out.load_split("openagi", "all")}
    for number in range(40):
        worded = domains.draw(11, number, split)
        text = " ".join(f"{tool.name} {tool.description}" for tool in worded.domain.tools).casefold()
        assert not [name for name in cards if re.search(rf"\b{re.escape(name)}\b", text)]
        rng = random.Random(number)
        drawn = [tasks.draw(worded, rng) for _ in range(8)]
        assert not sentences & {item.text for item in drawn if item is not None}
