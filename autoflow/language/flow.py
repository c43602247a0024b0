"""A workflow as a graph: where each step can lead, what can run, what has run before, which loops never end."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from autoflow.core.operator import Card
from autoflow.core.workflow import Step, Workflow
from autoflow.language.references import TASK, references


@dataclass(frozen=True, slots=True)
class Edge:
    """One way from a step to another, by index."""

    source: int
    target: int
    kind: Literal["next", "branch", "unmatched", "exhausted"]
    """`unmatched`: a decision's answer fits no label; `exhausted`: `max_visits` is reached, the step does not run."""


class Program:
    """What rules read. Steps are indices; a name that stands twice means its first step.

    Edges to targets that do not exist are left out: another rule names them.
    """

    def __init__(self, workflow: Workflow, cards: Mapping[str, Card] | None = None) -> None:
        self.workflow = workflow
        self.steps: tuple[Step, ...] = workflow.steps
        self._following: dict[int, set[int]] = {}
        self.cards = cards
        """`None`: nothing is known of operators, so nothing is said of them."""

    @cached_property
    def index(self) -> dict[str, int]:
        """Step name -> index."""
        found: dict[str, int] = {}
        for number, step in enumerate(self.steps):
            found.setdefault(step.name, number)
        return found

    @cached_property
    def names(self) -> list[str]:
        """Every step name, each once, in order."""
        return list(self.index)

    @cached_property
    def inserted(self) -> list[tuple[str, ...]]:
        """The names that each step's instruction inserts, without the task."""
        return [tuple(name for name in references(step.instruction) if name != TASK) for step in self.steps]

    def card(self, step: Step) -> Card | None:
        """The card of the step's operator, where it is known."""
        return None if self.cards is None else self.cards.get(step.operator)

    @cached_property
    def edges(self) -> list[list[Edge]]:
        """The ways out of each step that a run can take; a terminal has none."""
        return [self._out(number, step) for number, step in enumerate(self.steps)]

    def _out(self, number: int, step: Step) -> list[Edge]:
        if step.type == "terminal":
            return []
        ways: list[tuple[str | None, Literal["next", "branch", "unmatched", "exhausted"]]] = []
        if step.type == "process":
            ways.append((step.next, "next"))
        else:
            ways += [(target, "branch") for target in step.branches.values()]
            ways.append((step.otherwise, "unmatched"))
        if step.max_visits is not None:
            ways.append((step.otherwise, "exhausted"))
        return [Edge(number, self.index[target], kind) for target, kind in ways if target in self.index]

    @cached_property
    def successors(self) -> list[list[int]]:
        """The steps that each step can lead to, each once."""
        return [list(dict.fromkeys(edge.target for edge in out)) for out in self.edges]

    @cached_property
    def predecessors(self) -> list[list[int]]:
        """The steps that can lead to each step, each once."""
        return reverse(self.successors)

    @cached_property
    def reachable(self) -> set[int]:
        """What can run at all."""
        return closure([0], self.successors) if self.steps else set()

    @cached_property
    def finishing(self) -> set[int]:
        """Steps from which a terminal can be reached."""
        return closure((n for n, step in enumerate(self.steps) if step.type == "terminal"), self.predecessors)

    def can_follow(self, step: int) -> set[int]:
        """The steps that can run after `step` has run."""
        if step not in self._following:
            self._following[step] = closure(self.successors[step], self.successors)
        return self._following[step]

    @cached_property
    def always_before(self) -> list[int]:
        """For each step that can run, the steps that ran before it on every path, as bits of an integer."""
        everything = (1 << len(self.steps)) - 1
        before = [everything] * len(self.steps)
        if self.steps:
            before[0] = 0
        waiting = [number for number in self._order if number != 0]
        changed = True
        while changed:
            changed = False
            for number in waiting:
                bits = everything
                for source in self.predecessors[number]:
                    if source in self.reachable:
                        bits &= before[source] | (1 << source)
                if bits != before[number]:
                    before[number] = bits
                    changed = True
        return before

    @cached_property
    def _order(self) -> list[int]:
        # Reverse postorder: a step after all that lead to it, loops apart, so that the fixed point comes in few rounds.
        order: list[int] = []
        seen = {0}
        stack = [(0, iter(self.successors[0]))] if self.steps else []
        while stack:
            number, rest = stack[-1]
            following = next((target for target in rest if target not in seen), None)
            if following is None:
                order.append(number)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.successors[following])))
        return order[::-1]

    @cached_property
    def endless(self) -> "list[Loop]":
        """The loops that a run can circle in for ever, outermost first.

        A run visits steps with `max_visits` finitely often; what is left once all of those are used up is the graph
        in which each of them only passes on to its `otherwise`. A run can be endless where that graph has a cycle.
        Each loop found is cut at the step that it names, and what is still a cycle is the next: cutting all of them
        makes every run end.
        """
        worn = [
            list(dict.fromkeys(e.target for e in out if step.max_visits is None or e.kind == "exhausted"))
            for step, out in zip(self.steps, self.edges, strict=True)
        ]
        found = []
        waiting = cycles(worn, range(len(worn)))
        while waiting:
            group = waiting.pop(0)
            bounded = [number for number in group if self.steps[number].max_visits is not None]
            cut = bounded[0] if bounded else self._closing(group)
            found.append(Loop(tuple(group), cut, returning=bool(bounded)))
            worn[cut] = []
            waiting = cycles(worn, group) + waiting
        return found

    def _closing(self, group: list[int]) -> int:
        # The last step that can leave the loop is where a bound does least harm.
        inside = set(group)
        leaving = [number for number in group if any(target not in inside for target in self.successors[number])]
        return leaving[-1] if leaving else group[-1]


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop without an end."""

    steps: tuple[int, ...]
    closing: int
    """The step that is best bounded; where `returning`, one whose `otherwise` has to change."""

    returning: bool
    """It has a bounded step, but the `otherwise` of that leads back into the loop."""


def cycles(successors: Sequence[Sequence[int]], within: Iterable[int]) -> list[list[int]]:
    """The components of the part `within` that have a cycle."""
    members = list(within)
    position = {number: index for index, number in enumerate(members)}
    part = [[position[target] for target in successors[number] if target in position] for number in members]
    groups = [[members[index] for index in group] for group in components(part)]
    return [group for group in groups if len(group) > 1 or group[0] in successors[group[0]]]


def reverse(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """The same graph with every edge turned."""
    found: list[list[int]] = [[] for _ in successors]
    for source, targets in enumerate(successors):
        for target in targets:
            found[target].append(source)
    return found


def closure(starts: Iterable[int], successors: Sequence[Sequence[int]]) -> set[int]:
    """Everything that can be reached from `starts`, themselves included."""
    seen = set(starts)
    waiting = list(seen)
    while waiting:
        for target in successors[waiting.pop()]:
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen


def components(successors: Sequence[Sequence[int]]) -> list[list[int]]:
    """Strongly connected components, each sorted, in the order of their first members. Source: Tarjan (1972)."""
    number = [-1] * len(successors)
    low = [0] * len(successors)
    held: list[int] = []
    on_stack = [False] * len(successors)
    found: list[list[int]] = []
    count = 0
    for root in range(len(successors)):
        if number[root] >= 0:
            continue
        work = [(root, 0)]
        while work:
            node, position = work.pop()
            if position == 0:
                number[node] = low[node] = count
                count += 1
                held.append(node)
                on_stack[node] = True
            descended = False
            for offset in range(position, len(successors[node])):
                target = successors[node][offset]
                if number[target] < 0:
                    work += [(node, offset + 1), (target, 0)]
                    descended = True
                    break
                if on_stack[target]:
                    low[node] = min(low[node], number[target])
            if descended:
                continue
            if low[node] == number[node]:
                group = []
                while True:
                    member = held.pop()
                    on_stack[member] = False
                    group.append(member)
                    if member == node:
                        break
                found.append(sorted(group))
            if work:
                parent = work[-1][0]
                low[parent] = min(low[parent], low[node])
    return sorted(found)
