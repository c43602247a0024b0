"""Replies in a form, from providers that enforce it and from those that do not."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoflow.core.model import Feature, Message, Reply, Request
from autoflow.errors import ReplyError, UsageError
from autoflow.models.scripted import Rule, Scripted
from autoflow.models.structured import MAX_ECHO_CHARS, choose, match, structured

ASK = Request((Message("user", "Which models?"),), purpose="step")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"models": {"type": "array", "items": {"type": "string"}}},
    "required": ["models"],
}
NO_FEATURES: frozenset[Feature] = frozenset()


def says(*replies: str, features: frozenset[Feature] = NO_FEATURES) -> Scripted:
    return Scripted([Rule(replies)], features=features)


@pytest.mark.parametrize(
    "text",
    [
        '{"models": ["a"]}',
        '  {"models": ["a"]}\n',
        'Sure! Here it is:\n```json\n{"models": ["a"]}\n```\nEnjoy.',
        'The answer {as asked} is {"models": ["a"]}, I think.',
        'Not [this] but {"models": ["a"]} or {"models": ["b"]}',
        '```\n{"other": 1}\n```\n{"models": ["a"]}',
    ],
)
async def test_json_is_found_in_prose_and_fences(text: str) -> None:
    model = says(text)
    assert await structured(model, ASK, SCHEMA) == {"models": ["a"]}
    assert "JSON Schema" in model.requests[0].messages[-1].text


async def test_provider_with_the_feature_gets_the_schema_and_no_instruction() -> None:
    model = says('{"models": []}', features=frozenset({"schema"}))
    await structured(model, ASK, SCHEMA)
    assert model.requests[0].schema == SCHEMA
    assert model.requests[0].messages == ASK.messages


async def test_faulty_reply_is_repaired_once_with_the_error() -> None:
    model = says('{"models": "a"}', '{"models": ["a"]}')
    assert await structured(model, ASK, SCHEMA) == {"models": ["a"]}
    repair = model.requests[1]
    assert repair.purpose == "step-repair"
    assert repair.messages[-2].role == "assistant"
    assert "['models']: 'a' is not of type 'array'" in repair.messages[-1].text


async def test_second_faulty_reply_is_a_reply_error_with_the_text() -> None:
    model = says("no idea", "still none")
    with pytest.raises(ReplyError, match="no JSON") as caught:
        await structured(model, ASK, SCHEMA)
    assert caught.value.text == "still none"
    assert len(model.requests) == 2


async def test_run_on_reply_does_not_fill_the_repair() -> None:
    model = says("x" * 100_000, '{"models": []}')
    await structured(model, ASK, SCHEMA)
    assert len(model.requests[1].messages[-2].text) == MAX_ECHO_CHARS


async def test_cut_off_reply_is_named_as_such() -> None:
    class Cut(Scripted):
        async def complete(self, request: Request) -> Reply:
            self.requests.append(request)
            return Reply('{"models": ["a', "cut/x", finish="length")

    model = Cut([])
    with pytest.raises(ReplyError, match="length limit"):
        await structured(model, ASK, SCHEMA)


@pytest.mark.parametrize("text", ["NaN", "[NaN]", "[" * 100_000, "{" * 100_000, "9" * 10_000, "[1, 2", "x" * 2_000_000])
async def test_hostile_replies_are_reply_errors_in_bounded_time(text: str) -> None:
    with pytest.raises(ReplyError):
        await structured(says(text), ASK, SCHEMA)


@given(st.text(max_size=300))
async def test_no_text_brings_another_error(text: str) -> None:
    with contextlib.suppress(ReplyError):
        await structured(says(text), ASK, SCHEMA)


async def test_schema_that_is_none_or_points_elsewhere_is_misuse() -> None:
    with pytest.raises(UsageError, match="no JSON Schema"):
        await structured(says("{}"), ASK, {"type": "thing"})
    with pytest.raises(UsageError, match="example"):
        await structured(says("{}"), ASK, {"$ref": "http://example.org/schema.json"})


async def test_instruction_follows_a_conversation_that_ends_with_the_assistant() -> None:
    model = says('{"models": []}')
    await structured(model, Request((Message("user", "q"), Message("assistant", "a"))), SCHEMA)
    assert [message.role for message in model.requests[0].messages] == ["user", "assistant", "user"]


# Labels


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("yes", "yes"),
        (" Yes. ", "yes"),
        ('"NO"', "no"),
        ("**no**", "no"),
        ("ｙｅｓ", "yes"),
        ("know", None),
        ("yes, because no", None),
        ("", None),
    ],
)
def test_labels_match_whole_texts_only(text: str, label: str | None) -> None:
    assert match(text, ["yes", "no"]) == label


def test_labels_that_differ_in_case_are_told_apart_exactly_or_not_at_all() -> None:
    assert match("Yes", ["yes", "Yes"]) == "Yes"
    assert match("YES", ["yes", "Yes"]) is None


@pytest.mark.parametrize("feature", ["labels", "schema", None])
async def test_choose_uses_what_the_provider_offers(feature: Feature | None) -> None:
    features: frozenset[Feature] = frozenset() if feature is None else frozenset({feature})
    model = says('{"label": "no"}' if feature == "schema" else "no", features=features)
    assert await choose(model, ASK, ["yes", "no"]) == "no"
    assert model.requests[0].labels == (("yes", "no") if feature == "labels" else ())
    assert (model.requests[0].schema is not None) == (feature == "schema")


async def test_unmatched_label_is_repaired_once_then_an_error() -> None:
    assert await choose(says("perhaps", "Yes!"), ASK, ["yes", "no"]) == "yes"
    with pytest.raises(ReplyError, match=r"yes \| no"):
        await choose(says("perhaps", "unknown"), ASK, ["yes", "no"])
    with pytest.raises(ValueError, match="at least one"):
        await choose(says("x"), ASK, [])
