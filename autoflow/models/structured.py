"""Replies in a form: JSON that fits a schema, or one of given labels. The one place that asks for either.

What the provider can enforce while it samples is used; what it cannot is asked for in words, read out of the reply,
checked, and sent back once with what is wrong. The text is parsed as JSON and never evaluated.
"""

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from autoflow.core.json import Json
from autoflow.core.model import Message, Model, Reply, Request
from autoflow.errors import ReplyError, UsageError

_FENCE = re.compile(r"```[a-zA-Z]*\s*\n(.*?)```", re.DOTALL)
_OPEN = re.compile(r"[\[{]")
_EDGE = " \t\r\n\"'`*_.,:;!?()[]<>"
MAX_CHARS = 1_000_000
"""A longer reply is not searched for JSON."""

MAX_ECHO_CHARS = 4_000
"""Of a faulty reply, so much is sent back: a model that ran on must not fill the context of its own repair."""


async def structured(model: Model, request: Request, schema: Mapping[str, Json]) -> Json:
    """Ask for JSON that fits `schema`.

    Raises:
        ReplyError: If the reply does not fit, nor the repaired one.
        UsageError: If `schema` is none, or refers outside itself.
    """
    enforced = "schema" in model.features
    asked = replace(request, schema=schema) if enforced else _in_words(request, schema)
    reply = await model.complete(asked)
    value, fault = read(reply, schema)
    if fault is None:
        return value
    repair = replace(
        asked,
        messages=(
            *asked.messages,
            Message("assistant", reply.text[:MAX_ECHO_CHARS] or "(nothing)"),
            Message("user", f"That does not fit: {fault}\nAnswer again with the corrected JSON alone."),
        ),
        purpose=f"{request.purpose}-repair" if request.purpose else "repair",
    )
    reply = await model.complete(repair)
    value, fault = read(reply, schema)
    if fault is not None:
        raise ReplyError(f"the reply does not fit its schema, also after one repair: {fault}", text=reply.text)
    return value


async def choose(model: Model, request: Request, labels: Sequence[str]) -> str:
    """Ask for one of `labels`. A label is matched whole, never as a part of a longer text.

    Raises:
        ReplyError: If the reply is none of them, nor the repaired one.
    """
    if not labels:
        raise ValueError("choose needs at least one label")
    if "labels" in model.features:
        asked = replace(request, labels=tuple(labels))
    elif "schema" in model.features:
        schema: Mapping[str, Json] = {
            "type": "object",
            "properties": {"label": {"type": "string", "enum": list(labels)}},
            "required": ["label"],
            "additionalProperties": False,
        }
        value = await structured(model, request, schema)
        assert isinstance(value, Mapping)  # noqa: S101  (the schema says so)
        return str(value["label"])
    else:
        asked = request
    reply = await model.complete(asked)
    label = match(reply.text, labels)
    if label is not None:
        return label
    listing = " | ".join(labels)
    repair = replace(
        asked,
        messages=(
            *asked.messages,
            Message("assistant", reply.text[:MAX_ECHO_CHARS] or "(nothing)"),
            Message("user", f"Answer with exactly one of these and nothing else: {listing}"),
        ),
        purpose=f"{request.purpose}-repair" if request.purpose else "repair",
    )
    reply = await model.complete(repair)
    label = match(reply.text, labels)
    if label is None:
        raise ReplyError(f"the reply is none of the labels {listing}, also after one repair", text=reply.text)
    return label


def match(text: str, labels: Sequence[str]) -> str | None:
    """The label that the text is, but for case, width, white space, quotes and punctuation around it."""
    if text in labels:
        return text
    folded = _fold(text)
    found = [label for label in labels if _fold(label) == folded]
    return found[0] if len(found) == 1 else None


def _fold(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).strip(_EDGE)


def _in_words(request: Request, schema: Mapping[str, Json]) -> Request:
    rule = f"Answer with JSON alone that fits this JSON Schema:\n{json.dumps(schema, ensure_ascii=False)}"
    *earlier, last = request.messages
    if last.role == "user":
        return replace(request, messages=(*earlier, Message("user", f"{last.text}\n\n{rule}")))
    return replace(request, messages=(*request.messages, Message("user", rule)))


def read(reply: Reply, schema: Mapping[str, Json]) -> tuple[Json, str | None]:
    """The reply's value, and `None` or what is wrong with it.

    Raises:
        UsageError: If `schema` is none, or refers outside itself.
    """
    fault: str | None = None
    for candidate in _candidates(reply.text):
        try:
            value = json.loads(candidate, parse_constant=_refuse)
        except (ValueError, RecursionError):
            continue
        wrong = _misfit(value, schema)
        if wrong is None:
            return value, None
        fault = fault or wrong
    if fault is None:
        fault = "it holds no JSON"
        if reply.finish == "length":
            fault += "; it was cut off at the length limit"
    return None, fault


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _candidates(text: str) -> Iterator[str]:
    """Where JSON may stand in a reply: all of it, in a code fence, or after the first bracket."""
    if len(text) > MAX_CHARS:
        return
    stripped = text.strip()
    yield stripped
    for fenced in _FENCE.findall(text):
        yield fenced.strip()
    decoder = json.JSONDecoder(parse_constant=_refuse)
    position, tries = 0, 0
    # Bounded: a hostile reply of nothing but brackets would make this quadratic.
    while tries < 32 and (found := _OPEN.search(stripped, position)) is not None:
        tries += 1
        try:
            _, end = decoder.raw_decode(stripped, found.start())
        except (ValueError, RecursionError):
            position = found.start() + 1
            continue
        yield stripped[found.start() : end]
        position = end


def _misfit(value: Json, schema: Mapping[str, Json]) -> str | None:
    from jsonschema.exceptions import best_match
    from referencing.exceptions import Unresolvable

    try:
        error = best_match(_validator(json.dumps(schema)).iter_errors(value))
    except Unresolvable as unknown:
        raise UsageError(f"the schema refers to {unknown.ref!r}, which it does not hold") from unknown
    if error is None:
        return None
    place = "".join(f"[{part!r}]" for part in error.absolute_path)
    return f"{place or 'the whole'}: {error.message[:300]}"


@lru_cache(maxsize=512)
def _validator(schema: str) -> Any:
    import jsonschema
    import referencing

    parsed = json.loads(schema)
    kind = jsonschema.validators.validator_for(parsed, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(parsed)
    except jsonschema.SchemaError as error:
        raise UsageError(f"this is no JSON Schema: {error.message[:300]}") from error
    # The empty registry: jsonschema would otherwise fetch a reference's address from the network.
    return kind(parsed, registry=referencing.Registry())
