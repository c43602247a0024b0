"""A made-up domain as a plan machine: typed tools with known effects, goals, and what a plan comes to.

A task brings values; each has a type, may have defects, and comes in its type's usual form. Tools repair a defect,
change the form, or make new content out of one or two values. A plan is a list of tool names. The values lie ready in
operand order: a tool with one operand acts, in place, on the topmost value of its type that it would change, else on
the topmost of its type; a tool with two pops the two topmost. One value must be left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from autoflow.core.operator import Card

Effect = Literal["repair", "form", "make"]

Content: TypeAlias = "int | tuple[str, tuple[Content, ...]] | None"
"""What a value says: the number of an input, or the tool that made it and what of; `None`: nothing anyone asked for."""

FAULT_COST = 0.05
"""Taken off for each needless tool and each repair out of order."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One operator of a domain."""

    name: str
    description: str
    inputs: tuple[str, ...]
    """Operand types, the lowest on the stack first."""

    output: str
    effect: Effect
    value: str = ""
    """The defect that is repaired, or the form that is given; empty for `make`."""

    @property
    def card(self) -> Card:
        """As a generator sees it."""
        return Card(self.name, self.description, self.inputs, self.output, kind="tool")


@dataclass(frozen=True, slots=True)
class Domain:
    """Tools that belong together. Repairs are due in the order in which the tools are listed."""

    id: str
    tools: tuple[Tool, ...]
    forms: Mapping[str, str] = field(default_factory=dict)
    """Type -> the form its values come in; a type without forms is left out."""

    def tool(self, name: str) -> Tool | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    @property
    def repairs(self) -> tuple[str, ...]:
        """The defects in the order in which they are due."""
        return tuple(tool.value for tool in self.tools if tool.effect == "repair")

    @property
    def cards(self) -> tuple[Card, ...]:
        """The tools as a generator sees them."""
        return tuple(tool.card for tool in self.tools)


@dataclass(frozen=True, slots=True)
class Input:
    """One value that a task brings."""

    type: str
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """A task without its words."""

    inputs: tuple[Input, ...]
    content: Content
    type: str
    """Of the value that is wanted."""

    form: str | None = None
    """That is wanted; `None` where its type has none."""


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of a value without looking at it."""

    type: str
    content: Content
    form: str | None = None
    source: int | None = None
    """The input that it still is; `None` once it is new content."""

    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class State:
    """Where a plan stands."""

    stack: tuple[Value, ...]
    repaired: frozenset[tuple[int, str]] = frozenset()
    """(input, defect) pairs."""

    spoilt: frozenset[tuple[int, str]] = frozenset()
    """(input, defect) pairs that were still there when something read the input."""

    faults: int = 0
    """Needless tools and repairs out of order."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a plan comes to."""

    score: float
    reason: str = ""
    """Why the score is below 1."""


def leaves(content: Content) -> tuple[int, ...]:
    """The inputs that a content is made of, left to right: operand order."""
    if content is None or isinstance(content, int):
        return () if content is None else (content,)
    return tuple(leaf for part in content[1] for leaf in leaves(part))


def start(domain: Domain, goal: Goal) -> State:
    """The goal's inputs, ready in operand order."""
    return State(
        tuple(
            Value(item.type, index, domain.forms.get(item.type), index, item.defects)
            for index, item in ((index, goal.inputs[index]) for index in leaves(goal.content))
        )
    )


def changes(tool: Tool, value: Value) -> bool:
    """Whether the tool would do something to the value."""
    if tool.effect == "repair":
        return tool.value in value.defects
    return tool.effect == "make" or value.form != tool.value


def apply(domain: Domain, state: State, tool: Tool) -> State | None:
    """The state after the tool; `None` where its operands are not there."""
    if len(tool.inputs) == 1:
        fitting = [index for index, value in enumerate(state.stack) if value.type == tool.inputs[0]]
        if not fitting:
            return None
        place = next((index for index in reversed(fitting) if changes(tool, state.stack[index])), fitting[-1])
        return _one(domain, state, tool, place)
    count = len(tool.inputs)
    operands = state.stack[-count:]
    if tuple(value.type for value in operands) != tool.inputs:
        return None
    made = _make(domain, tool, operands)
    return _read(replace(state, stack=(*state.stack[:-count], made)), operands)


def _one(domain: Domain, state: State, tool: Tool, place: int) -> State:
    value = state.stack[place]
    if not changes(tool, value):
        return replace(state, faults=state.faults + 1)
    if tool.effect == "repair":
        order = domain.repairs
        earlier = order[: order.index(tool.value)]
        due = any(defect in earlier for item in state.stack for defect in item.defects)
        new = replace(value, defects=tuple(item for item in value.defects if item != tool.value))
        repaired = state.repaired if value.source is None else state.repaired | {(value.source, tool.value)}
        return State(_put(state.stack, place, new), repaired, state.spoilt, state.faults + due)
    new = _make(domain, tool, (value,)) if tool.effect == "make" else replace(value, form=tool.value)
    return _read(replace(state, stack=_put(state.stack, place, new)), (value,))


def _put(stack: tuple[Value, ...], place: int, value: Value) -> tuple[Value, ...]:
    return (*stack[:place], value, *stack[place + 1 :])


def _make(domain: Domain, tool: Tool, operands: Sequence[Value]) -> Value:
    usual = all(value.form == domain.forms.get(value.type) for value in operands)
    known = usual and all(value.content is not None for value in operands)
    content: Content = (tool.name, tuple(value.content for value in operands)) if known else None
    return Value(tool.output, content, domain.forms.get(tool.output))


def _read(state: State, values: Sequence[Value]) -> State:
    """The state once something has read the values, with the defects they still have."""
    left = {(value.source, defect) for value in values if value.source is not None for defect in value.defects}
    return replace(state, spoilt=state.spoilt | left)


def judge(domain: Domain, goal: Goal, plan: Sequence[str]) -> Judgement:
    """Score a plan: the share of what the goal asks for, less 0.05 a fault; 0 where it cannot run.

    Asked for are the content, the form (where the goal states one), and each defect gone before anything reads the
    value, or at the end.
    """
    if not plan:
        return Judgement(0.0, "parse_empty")
    state = start(domain, goal)
    for name in plan:
        tool = domain.tool(name)
        if tool is None:
            return Judgement(0.0, "unknown_operator")
        after = apply(domain, state, tool)
        if after is None:
            return Judgement(0.0, "type_mismatch")
        state = after
    if len(state.stack) != 1:
        return Judgement(0.0, "arity")
    (value,) = state.stack
    if value.type != goal.type:
        return Judgement(0.0, "wrong_output")
    state = _read(state, (value,))
    held = [value.content == goal.content]
    if goal.form is not None:
        held.append(value.form == goal.form)
    done = state.repaired - state.spoilt
    held += [(index, defect) in done for index, item in enumerate(goal.inputs) for defect in item.defects]
    score = max(0.0, sum(held) / len(held) - FAULT_COST * state.faults)
    reason = "" if score == 1.0 else "fault" if all(held) else "unmet_requirement"
    return Judgement(score, reason)
