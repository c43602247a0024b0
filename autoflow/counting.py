"""What a workflow takes on one task, as far as its structure says: model calls and tokens, the least and the most.

A run is counted as if every reply could be read at once: the repair of one that could not comes on top, and so do
calls that a provider's fault makes necessary again.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autoflow.core.json import Json
from autoflow.core.operator import Counted, Operator
from autoflow.core.workflow import DEFAULT_OPERATOR, Step, Workflow
from autoflow.interpreter import core_protocol, segment
from autoflow.interpreter.conversation import SystemTurn, cards
from autoflow.interpreter.settings import Settings
from autoflow.language.references import TASK, references
from autoflow.prompts import render

CHARACTERS_A_TOKEN = 4

_TURN_CHARS = 200
# What templates put around an instruction: the words that ask for a label, a reason, JSON.

_MOST_STATES = 5_000
# With more combinations of step and visits than this, visits are left out: the bounds then hold, but are wider.


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most; `high` is `None` where nothing sets a bound."""

    low: float
    high: float | None

    def __add__(self, other: "Bounds") -> "Bounds":
        return Bounds(self.low + other.low, None if self.high is None or other.high is None else self.high + other.high)

    def times(self, factor: float) -> "Bounds":
        """Both, so often."""
        return Bounds(self.low * factor, None if self.high is None else self.high * factor)


NOTHING = Bounds(0, 0)


@dataclass(frozen=True, slots=True)
class Load:
    """What one task takes. `low` is that of a run that comes to a terminal; one that fails on its way may take less."""

    calls: Bounds = NOTHING
    input_tokens: Bounds = NOTHING
    output_tokens: Bounds = NOTHING

    def __add__(self, other: "Load") -> "Load":
        return Load(
            self.calls + other.calls, self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )


UNLOADED = Load()


def load_of(
    workflow: Workflow, operators: Mapping[str, Operator], settings: Settings, *, task_chars: float = 0
) -> Load:
    """What `workflow` takes on a task of so many characters.

    Loops are followed as often as `max_visits` and `settings.max_steps` allow. Tokens are told from characters, four
    to a token; a reply is between one token and `max_tokens` long, a tool's result no longer than a reply. The number
    of calls that an operator makes is its own word (`autoflow.core.operator.Counted`); of one that gives none, only
    the least is known.
    """
    return _Walk(workflow, operators, settings, task_chars).load()


_State = tuple[str, tuple[int, ...]]
"""A step about to run, and how often each step with a bound has run."""


class _Walk:
    """Every way through one workflow, by the number of steps done."""

    def __init__(
        self, workflow: Workflow, operators: Mapping[str, Operator], settings: Settings, task_chars: float
    ) -> None:
        self._workflow = workflow
        self._steps = {step.name: step for step in workflow.steps}
        self._operators = operators
        self._settings = settings
        self._bounded = [step.name for step in workflow.steps if step.max_visits is not None]
        self._references = {
            step.name: [name for name in references(step.instruction) if name != TASK] for step in workflow.steps
        }
        system = len(render(SystemTurn(cards(operators) if settings.show_cards else [])))
        self._fixed = (system + task_chars) / CHARACTERS_A_TOKEN
        # `core` asks its short questions without tools and task.
        self._least_fixed = 0.0 if settings.protocol == "core" else self._fixed
        self._longest_turn = max(len(step.instruction) for step in workflow.steps) + _TURN_CHARS
        self._longest_result = self._result()
        self._tools = any(operator.card.kind == "tool" for operator in operators.values())

    def load(self) -> Load:
        """The bounds over all ways."""
        found = self._all(counting=True)
        return found if found is not None else _known(self._all(counting=False))

    def _all(self, *, counting: bool) -> Load | None:
        """`None` where there are too many states to count visits in."""
        start = (self._workflow.entry.name, (0,) * len(self._bounded) if counting else ())
        layers: dict[int, dict[_State, Load]] = {0: {start: Load()}}
        ended: Load | None = None
        stuck: Load | None = None
        states = done = 0
        while done in layers:
            for (name, visited), before in layers.pop(done).items():
                visits = visited
                states += 1
                if counting and states > _MOST_STATES:
                    return None
                run = self._run(self._steps[name], visits, done)
                after = before + self._cost(run, done)
                last, passed = run[-1], done + len(run)
                for one in run:
                    visits = self._visited(visits, one.name)
                if last.type == "terminal":
                    ended = _either(ended, after)
                    continue
                for target in dict.fromkeys(self._onward(last, visits)):
                    if target is None or passed >= self._settings.max_steps:
                        stuck = _either(stuck, after)
                    else:
                        layer = layers.setdefault(passed, {})
                        layer[target, visits] = _either(layer.get((target, visits)), after)
            # A segment does several steps at once and leaves layers empty.
            done = min(layers, default=done + 1)
        if ended is None:
            return _known(stuck)
        return ended if stuck is None else _widened(ended, stuck)

    def _visited(self, visits: tuple[int, ...], name: str) -> tuple[int, ...]:
        if not visits or name not in self._bounded:
            return visits
        index = self._bounded.index(name)
        return (*visits[:index], visits[index] + 1, *visits[index + 1 :])

    def _onward(self, step: Step, visits: tuple[int, ...]) -> Iterator[str | None]:
        """Where a step may lead; `None`: a bound was met with nowhere to go."""
        ways = [step.next] if step.type == "process" else [*step.branches.values(), step.otherwise]
        for way in ways:
            if way is not None:
                yield from self._entered(way, visits)

    def _entered(self, target: str, visits: tuple[int, ...]) -> Iterator[str | None]:
        passed: set[str] = set()
        step = self._steps[target]
        while step.max_visits is not None:
            if not visits:
                # Not counted: the step may be entered, or have been too often.
                yield step.name
            elif visits[self._bounded.index(step.name)] < step.max_visits:
                break
            passed.add(step.name)
            if step.otherwise is None or step.otherwise in passed:
                yield None
                return
            step = self._steps[step.otherwise]
        yield step.name

    def _run(self, first: Step, visits: tuple[int, ...], done: int) -> list[Step]:
        """The steps that are carried out at once, beginning with `first`; see `autoflow.interpreter.segment`."""
        run = [first]
        if self._settings.protocol != "segment" or not segment.plain(first):
            return run
        while run[-1].type == "process" and len(run) < self._settings.max_steps - done:
            step = self._steps[run[-1].next or ""]
            names = {one.name for one in run}
            index = self._bounded.index(step.name) if visits and step.name in self._bounded else None
            met = index is not None and visits[index] >= (step.max_visits or 0)
            if step.name in names or met or not segment.plain(step) or names & set(self._references[step.name]):
                break
            run.append(step)
        return run

    # What one visit takes

    def _cost(self, run: Sequence[Step], done: int) -> Load:
        """Of steps carried out at once, after `done` others."""
        step = run[0]
        calls = Bounds(1, 1) if len(run) > 1 else self._calls(step, done)
        # Of a segment one reply holds all results, and has no more room than any other.
        most = self._most_tokens(step) if len(run) == 1 else self._settings.sampling.max_tokens
        asked = sum(len(one.instruction) for one in run) / CHARACTERS_A_TOKEN
        schema = sum(len(json.dumps(one.output)) for one in run if one.output is not None)
        read: float | None = None
        if self._longest_result is not None:
            shown = done if step.reads is None else len(step.reads)
            if self._settings.protocol == "core":
                # Whether a tool is needed, and which branch is meant, is asked of the answer just given.
                shown += 1
            inserted = sum(len(self._references[one.name]) for one in run)
            words = (len(run) + shown) * _TURN_CHARS + shown * self._longest_turn + schema
            read = words / CHARACTERS_A_TOKEN + (shown + inserted) * self._longest_result
        low_in, low_out = calls.low * (self._least_fixed + asked), calls.low
        high_in = high_out = None
        if calls.high is not None and read is not None and most is not None:
            high_in, high_out = calls.high * (self._fixed + asked + read), calls.high * most
        return Load(calls, Bounds(low_in, high_in), Bounds(low_out, high_out))

    def _calls(self, step: Step, done: int) -> Bounds:
        tool = self._operators[step.operator].card.kind == "tool"
        if step.type == "terminal" and not step.instruction.strip() and not tool:
            return NOTHING
        by_core = step.operator == DEFAULT_OPERATOR and step.for_each is None and step.instruction.strip()
        if self._settings.protocol == "core" and by_core:
            return self._core_calls(step, done)
        once = self._operator_calls(step)
        if step.type == "decision" and step.operator != DEFAULT_OPERATOR:
            # The label is read off the operator's answer, or asked for.
            return once + Bounds(0, 1)
        if step.for_each is None:
            return once
        items = self._items(step.for_each)
        return Bounds(once.low * items.low, None if once.high is None or items.high is None else once.high * items.high)

    def _operator_calls(self, step: Step) -> Bounds:
        operator = self._operators[step.operator]
        if step.operator == DEFAULT_OPERATOR:
            return Bounds(1, 1)
        if isinstance(operator, Counted):
            return Bounds(*operator.calls(step.parameters))
        return NOTHING if operator.card.kind == "tool" else Bounds(1, None)

    def _core_calls(self, step: Step, done: int) -> Bounds:
        """Retrieval, answer, tool and branch, each a call of its own; see `autoflow.interpreter.core_protocol`."""
        calls = Bounds(1, 1) if step.type != "decision" else Bounds(2, 2)
        if not self._tools or not self._settings.core_tools:
            return calls
        notes = done if self._settings.core_retrieval == "traverse" else min(done, 1)
        # Which tool, its arguments as often as they are tried, a summary of what it found.
        return calls + Bounds(1, 1 + 1 + core_protocol.ATTEMPTS + 1) + Bounds(0, notes)

    def _items(self, source: str) -> Bounds:
        """How long the list may be that `source` leaves."""
        step = self._steps[source]
        if step.for_each is not None and step.for_each != source:
            return self._items(step.for_each)
        stated: Mapping[str, Json] = step.output or {}
        most = self._settings.max_items
        low, high = stated.get("minItems"), stated.get("maxItems")
        return Bounds(low if isinstance(low, int) else 0, min(high, most) if isinstance(high, int) else most)

    def _most_tokens(self, step: Step) -> int | None:
        """Of one reply; `None`: the provider decides."""
        own = step.parameters.get("max_tokens")
        if isinstance(own, int) and not isinstance(own, bool):
            return own
        settings = self._settings
        return settings.sampling.max_tokens or (settings.core_max_tokens if settings.protocol == "core" else None)

    def _result(self) -> float | None:
        """The longest result that a step can leave, in tokens; `None`: no bound."""
        longest = 0.0
        for step in self._workflow.steps:
            most = self._most_tokens(step)
            if most is None:
                return None
            items = self._items(step.for_each).high if step.for_each is not None else 1
            longest = max(longest, most * (items or 1))
        return longest


def _known(load: Load | None) -> Load:
    assert load is not None  # noqa: S101  a walk ends somewhere
    return load


def _either(a: Load | None, b: Load) -> Load:
    """One of the two: the lower of their lower bounds, the higher of their higher ones."""
    if a is None:
        return b
    return Load(_hull(a.calls, b.calls), _hull(a.input_tokens, b.input_tokens), _hull(a.output_tokens, b.output_tokens))


def _hull(a: Bounds, b: Bounds) -> Bounds:
    return Bounds(min(a.low, b.low), None if a.high is None or b.high is None else max(a.high, b.high))


def _widened(ended: Load, stuck: Load) -> Load:
    """The most of both, and the least of a run that came to its end."""
    both = _either(ended, stuck)
    return Load(
        replace(both.calls, low=ended.calls.low),
        replace(both.input_tokens, low=ended.input_tokens.low),
        replace(both.output_tokens, low=ended.output_tokens.low),
    )
