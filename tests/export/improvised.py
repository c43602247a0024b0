"""A model that answers anything, and equal requests equally: what it says follows from the request and a seed alone."""

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from autoflow.core.model import Feature, Reply, Request, Usage
from autoflow.core.trace import Trace


class Improvised:
    """Fits its reply to the schema or the labels that the request states."""

    features: frozenset[Feature] = frozenset({"schema", "labels"})
    name = "improvised/model"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.asked: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.asked.append(request)
        rng = random.Random(f"{self._seed} {request.key(self.name)}")
        if request.labels:
            text = rng.choice(request.labels)
        elif request.schema is not None:
            text = json.dumps(_value(request.schema, rng))
        else:
            text = " ".join(rng.choice(("seven", "Accepted", "42", "so", "a plan")) for _ in range(rng.randint(1, 4)))
        return Reply(text, self.name, Usage(3, 2, None, 0.0), finish="stop")

    async def aclose(self) -> None:
        """Nothing is held."""


def _value(schema: Mapping[str, Any], rng: random.Random) -> Any:
    if "enum" in schema:
        return rng.choice(list(schema["enum"]))
    if "const" in schema:
        return schema["const"]
    if "anyOf" in schema:
        return _value(rng.choice(list(schema["anyOf"])), rng)
    kind = schema.get("type")
    if kind == "object":
        return {key: _value(item, rng) for key, item in schema.get("properties", {}).items()}
    if kind == "array":
        least = max(1, schema.get("minItems", 1))
        count = rng.randint(least, max(least, min(3, schema.get("maxItems", 3))))
        return [_value(schema.get("items", {"type": "string"}), rng) for _ in range(count)]
    if kind == "integer":
        return rng.randint(schema.get("minimum", 0), schema.get("maximum", 9))
    if kind == "number":
        return rng.randint(0, 99) / 4
    if kind == "boolean":
        return rng.random() < 0.5
    return rng.choice(("tea", "the answer is 42", "Accepted"))[: schema.get("maxLength", 99)]


def timeless(trace: Trace) -> Trace:
    """The trace without what no two executions share."""
    steps = [
        replace(step, seconds=0.0, calls=tuple(replace(call, seconds=0.0) for call in step.calls))
        for step in trace.steps
    ]
    return replace(trace, steps=tuple(steps), seconds=0.0)
