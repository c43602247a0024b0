"""Operator types along every path: how many values of each type are surely there when a step runs.

Tools consume and produce typed values; model steps leave them alone. The state before a step is, for each type, the
least count over all paths that lead to it: a forward must-analysis to a fixed point, where paths meet by minimum.
Counts only fall from the first state that reaches a step, so the fixed point is reached.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from autoflow.core.operator import ANY, Card
from autoflow.core.workflow import Step
from autoflow.language.flow import Edge, Program

State = dict[str, int]
"""Type -> count; a type that is not in it has none."""


@dataclass(frozen=True, slots=True)
class Shortage:
    """A tool step that lacks an input on some path."""

    step: int
    missing: str
    """The type of the input that is not there."""

    after: int | None
    """The tool step that used it up, or the last one on that path; `None`: no tool ran before."""

    left: tuple[str, ...]
    """The types that are there."""


def shortages(program: Program) -> list[Shortage]:
    """Every tool step, in file order, whose inputs are not there on every path. Needs the program's cards."""
    flow = _states(program)
    found = []
    for number, step in enumerate(program.steps):
        card, state = _tool(program, step), flow.before[number]
        if card is None or state is None or not _implicit(step):
            continue
        missing = _missing(state, card.inputs)
        if missing is not None:
            after, arriving = _blame(program, flow, number, missing)
            left = tuple(sorted(kind for kind, count in arriving.items() if count > 0))
            found.append(Shortage(number, missing, after, left))
    return found


def result_type(program: Program, step: Step) -> str:
    """The type of the step's result; `any` where nothing is known."""
    card = program.card(step)
    return ANY if card is None else card.output


def unmatched(needed: Sequence[str], given: Sequence[str]) -> str | None:
    """The first of `needed` for which no value of the types `given` is left; `any` fits on both sides."""
    state = dict(Counter(given))
    return _missing(state, needed)


def _tool(program: Program, step: Step) -> Card | None:
    card = program.card(step)
    return card if card is not None and card.kind == "tool" else None


def _implicit(step: Step) -> bool:
    return step.reads is None and step.for_each is None


def _take(state: State, kind: str) -> bool:
    for candidate in (kind, ANY):
        if state.get(candidate, 0) > 0:
            state[candidate] -= 1
            return True
    return False


def _missing(state: State, needed: Sequence[str]) -> str | None:
    left = dict(state)
    return next((kind for kind in needed if kind != ANY and not _take(left, kind)), None)


def _entry(program: Program) -> State:
    if program.workflow.inputs is not None:
        return dict(Counter(program.workflow.inputs))
    needed: Counter[str] = Counter()
    for step in program.steps:
        card = _tool(program, step)
        if card is not None and _implicit(step):
            needed |= Counter(kind for kind in card.inputs if kind != ANY)
    return dict(needed)


def _after(program: Program, step: Step, state: State) -> State:
    card = _tool(program, step)
    if card is None:
        return state
    left = dict(state)
    if _implicit(step):
        # What is missing is reported once, here; the steps after it are judged as if it had been there.
        for kind in card.inputs:
            if kind != ANY:
                _take(left, kind)
    left[card.output] = left.get(card.output, 0) + 1
    return left


@dataclass(slots=True)
class _Flow:
    """The state before each step. `None`: no path leads there."""

    before: list[State | None]
    again: list[State | None]
    """The same over later entries only, of steps with `max_visits`: a bound is never reached on the first."""

    def along(self, program: Program, edge: Edge) -> State | None:
        """What the edge passes on. A step whose visits are used up does not run: it passes on what came to it."""
        if edge.kind == "exhausted":
            return self.again[edge.source]
        state = self.before[edge.source]
        return None if state is None else _after(program, program.steps[edge.source], state)


def _states(program: Program) -> _Flow:
    count = len(program.steps)
    flow = _Flow([None] * count, [None] * count)
    if not count:
        return flow
    flow.before[0] = _entry(program)
    waiting = [0]
    while waiting:
        for edge in program.edges[waiting.pop()]:
            new, target = flow.along(program, edge), edge.target
            if new is None:
                continue
            changed = _meet(flow.before, target, new)
            if program.steps[target].max_visits is not None and edge.source in program.can_follow(target):
                changed = _meet(flow.again, target, new) or changed
            if changed:
                waiting.append(target)
    return flow


def _meet(states: list[State | None], number: int, new: State) -> bool:
    """Lower a state to what the new path leaves too; whether that changed it."""
    old = states[number]
    merged = new if old is None else {kind: min(count, new.get(kind, 0)) for kind, count in old.items()}
    states[number] = merged
    return merged != old


def _blame(program: Program, flow: _Flow, number: int, missing: str) -> tuple[int | None, State]:
    """The tool step behind the shortage, and what arrives from there.

    It goes backwards along the paths on which the count is as low as at the step, nearest first.
    """
    incoming: list[list[Edge]] = [[] for _ in program.steps]
    for edge in (edge for out in program.edges for edge in out):
        incoming[edge.target].append(edge)
    seen = {number}
    waiting: list[tuple[int, State | None]] = [(number, None)]
    last: tuple[int | None, State] = (None, flow.before[number] or {})
    while waiting:
        current, arriving = waiting.pop(0)
        low = (flow.before[current] or {}).get(missing, 0)
        for edge in incoming[current]:
            source, passed = flow.before[edge.source], flow.along(program, edge)
            if source is None or passed is None or passed.get(missing, 0) > low:
                continue
            reached = passed if arriving is None else arriving
            if edge.kind != "exhausted" and _tool(program, program.steps[edge.source]) is not None:
                if source.get(missing, 0) > low:
                    return edge.source, reached
                last = (edge.source, reached) if last[0] is None else last
            if edge.source not in seen:
                seen.add(edge.source)
                waiting.append((edge.source, reached))
    return last
