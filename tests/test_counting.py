"""Runs of the interpreter stay within what is counted beforehand, and reach both ends of it."""

import asyncio
import itertools
import json
import random
from collections.abc import Mapping
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoflow import resources
from autoflow.core.json import Json
from autoflow.core.model import Feature, Reply, Request, Sampling, Usage
from autoflow.core.operator import Card, Invocation
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.counting import CHARACTERS_A_TOKEN, Bounds, Load, load_of
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import ProtocolName, Settings
from autoflow.language import document
from autoflow.operators.library import library

TASK = Task("t", "Count the apples in the basket.")
PROTOCOLS: tuple[ProtocolName, ...] = get_args(ProtocolName)
MOST = 60


class Readable:
    """Answers whatever form it is asked for, drawn from `rng`; decisions may be told beforehand."""

    name = "test/readable"
    features: frozenset[Feature] = frozenset({"schema", "labels"})

    def __init__(self, rng: random.Random, labels: list[int] | None = None) -> None:
        self.rng = rng
        self.labels = labels
        self.characters_in: list[int] = []
        self.characters_out: list[int] = []

    async def complete(self, request: Request) -> Reply:
        if request.schema is not None:
            text = json.dumps(self._fitting(request.schema))
        elif request.labels:
            text = self._choice(list(request.labels))
        else:
            text = "a" * self.rng.randint(1, CHARACTERS_A_TOKEN * MOST)
        self.characters_in.append(sum(len(message.text) for message in request.messages))
        self.characters_out.append(len(text))
        return Reply(text, self.name, Usage(1, 1, None, 0.0), finish="stop")

    def _choice(self, options: list[str]) -> str:
        if self.labels is None:
            return self.rng.choice(options)
        return options[self.labels.pop(0) % len(options)]

    def _fitting(self, schema: Mapping[str, Any]) -> Json:
        if "enum" in schema:
            return self._choice(list(schema["enum"]))
        if schema["type"] == "object":
            return {key: self._fitting(part) for key, part in schema["properties"].items()}
        if schema["type"] == "array":
            count = self.rng.randint(schema.get("minItems", 0), schema.get("maxItems", 3))
            return [self._fitting(schema["items"]) for _ in range(count)]
        return "b" * self.rng.randint(1, 8)

    async def aclose(self) -> None:
        """Nothing is held."""


class Tool:
    card = Card("lookup", "Looks something up.", ("text",), "text", {}, "tool")

    async def run(self, call: Invocation) -> Json:
        return "found"


class Unknown:
    """A pattern of calls that does not say how many."""

    card = Card("debate", "Debates.")

    async def run(self, call: Invocation) -> Json:
        return "settled"


def _run(workflow: Workflow, given_settings: Settings, model: Readable, *tools: Any) -> Trace:
    operators = {**library(), **{tool.card.name: tool for tool in tools}}
    return asyncio.run(Interpreter(model, operators, given_settings).run(workflow, TASK))


def _load(workflow: Workflow, given_settings: Settings, *tools: Any) -> Load:
    operators = {**library(), **{tool.card.name: tool for tool in tools}}
    return load_of(workflow, operators, given_settings, task_chars=len(TASK.text))


NAMES = ("a", "b", "c", "d", "end")


@st.composite
def workflows(draw: st.DrawFn) -> Workflow:
    """Any wiring of five steps, with loops, bounds, votes and maps."""
    targets = st.sampled_from(NAMES)
    made = []
    for number, name in enumerate(NAMES[:-1]):
        bound = draw(st.none() | st.integers(1, 3))
        common: dict[str, Any] = {"max_visits": bound, "otherwise": draw(st.none() | targets)}
        common["reads"] = draw(st.none() | st.just(()))
        if draw(st.booleans()):
            branches = {"yes": draw(targets), "no": draw(targets)}
            made.append(Step(name, "decision", f"Is {name} so?", branches=branches, **common))
            continue
        common["next"] = draw(targets)
        kind = draw(st.integers(0, 3))
        if kind == 1:
            common |= {"operator": "ensemble", "parameters": {"samples": draw(st.integers(1, 3))}}
        elif kind == 2:
            listed = {"type": "array", "maxItems": draw(st.integers(1, 3)), "items": {"type": "string"}}
            common |= {"output": listed}
        elif kind == 3 and number and made[0].output is not None:
            common |= {"for_each": made[0].name}
        made.append(Step(name, "process", f"Do {name}.", **common))
    made.append(Step("end", "terminal", draw(st.sampled_from(["", "Say it."]))))
    return Workflow("w", tuple(made))


@given(
    workflow=workflows(),
    seed=st.integers(0, 2**16),
    protocol=st.sampled_from(PROTOCOLS),
    most_steps=st.integers(1, 12),
    tool=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_no_run_leaves_the_bounds(
    workflow: Workflow, seed: int, protocol: ProtocolName, most_steps: int, tool: bool
) -> None:
    chosen = Settings(protocol=protocol, max_steps=most_steps, sampling=Sampling(max_tokens=MOST))
    tools = (Tool(),) if tool else ()
    load = _load(workflow, chosen, *tools)
    model = Readable(random.Random(seed))
    trace = _run(workflow, chosen, model, *tools)
    taken = len(model.characters_in)
    read, written = (sum(each) / CHARACTERS_A_TOKEN for each in (model.characters_in, model.characters_out))
    assert load.calls.high is not None
    assert load.input_tokens.high is not None
    assert load.output_tokens.high is not None
    assert taken <= load.calls.high
    assert written <= load.output_tokens.high
    assert read <= load.input_tokens.high
    if trace.failure is None:
        assert taken >= load.calls.low
        assert read >= load.input_tokens.low


@pytest.mark.parametrize("protocol", ["fused", "segment"])
def test_both_ends_are_reached_on_the_manual_flow_of_openagi(protocol: ProtocolName) -> None:
    workflow = document.load(resources.folder("workflows") / "openagi" / "manual.yaml").workflow
    chosen = Settings(protocol=protocol, max_steps=20)
    taken = set()
    for labels in itertools.product((0, 1), repeat=6):
        # The list's items are drawn by label too: those come after all decisions.
        model = Readable(random.Random(0), [*labels, *([0] * 20)])
        _run(workflow, chosen, model)
        taken.add(len(model.characters_in))
    load = _load(workflow, chosen)
    assert load.calls == Bounds(min(taken), max(taken))
    assert len(taken) > 1


def test_the_bound_of_the_run_is_heeded() -> None:
    loop = Workflow(
        "w",
        (
            Step("ask", "decision", "Again?", branches={"yes": "ask", "no": "end"}),
            Step("end", "terminal", "Say it."),
        ),
    )
    assert _load(loop, Settings(max_steps=7)).calls == Bounds(2, 7)


def test_an_empty_terminal_and_a_tool_call_no_model() -> None:
    flow = Workflow("w", (Step("look", "process", "Look.", operator="lookup", next="end"), Step("end", "terminal")))
    assert _load(flow, Settings(), Tool()).calls == Bounds(0, 0)


def test_an_operator_that_does_not_say_has_no_upper_bound() -> None:
    flow = Workflow("w", (Step("argue", "process", "Argue.", operator="debate", next="end"), Step("end", "terminal")))
    load = _load(flow, Settings(sampling=Sampling(max_tokens=9)), Unknown())
    assert load.calls == Bounds(1, None)
    assert load.output_tokens.high is None


def test_without_a_longest_reply_tokens_have_no_upper_bound() -> None:
    load = _load(Workflow("w", (Step("end", "terminal", "Say it."),)), Settings())
    assert load.calls == Bounds(1, 1)
    assert (load.input_tokens.high, load.output_tokens) == (None, Bounds(1, None))


def test_a_map_over_a_list_counts_its_items() -> None:
    listed = {"type": "array", "minItems": 2, "maxItems": 5, "items": {"type": "string"}}
    flow = Workflow(
        "w",
        (
            Step("list", "process", "List.", output=listed, next="each"),
            Step("each", "process", "Do it.", for_each="list", next="end"),
            Step("end", "terminal"),
        ),
    )
    assert _load(flow, Settings()).calls == Bounds(3, 6)
    assert _load(flow, Settings(max_items=4)).calls == Bounds(3, 5)


def test_many_bounded_steps_are_still_counted_at_once() -> None:
    names = [f"s{number}" for number in range(12)]
    steps = [
        Step(name, "decision", "Which?", branches=dict(zip(names, names, strict=True)), max_visits=4, otherwise="end")
        for name in names
    ]
    flow = Workflow("w", (*steps, Step("end", "terminal", "Say it.")))
    assert _load(flow, Settings(max_steps=30)).calls == Bounds(2, 30)
