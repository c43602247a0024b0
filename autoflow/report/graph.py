"""Places the steps of a workflow on the plane, layer by layer, for whoever draws them.

Layers are longest paths from the entry with returning edges left out, and the order within a layer follows the
neighbours above (Sugiyama, Tagawa and Toda, IEEE Trans. SMC 11, 1981, in its simplest form).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from autoflow.core.workflow import Step, Workflow


@dataclass(frozen=True, slots=True)
class Spot:
    """A step's place: its layer from the top, and its position in it from the left, both counted from 0."""

    step: Step
    layer: int
    position: float
    """In widths of a step; layers are centred, so halves occur."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way from one step to another, with all labels that lead there."""

    source: str
    target: str
    label: str
    returning: bool
    """It leads up, back into a loop."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything goes."""

    spots: tuple[Spot, ...]
    ways: tuple[Way, ...]
    layers: int
    width: int
    """Steps in the widest layer."""


def drawing(workflow: Workflow) -> Drawing:
    """The places of a sound workflow's steps; of an unsound one, of what exists."""
    names = [step.name for step in workflow.steps]
    following = {step.name: [name for name in step.targets() if name in names] for step in workflow.steps}
    back = _returning(names, following)
    layer = _layers(names, following, back)
    rows: dict[int, list[str]] = {}
    for name in names:
        rows.setdefault(layer[name], []).append(name)
    width = max(len(row) for row in rows.values())
    position: dict[str, float] = {}
    for number in sorted(rows):
        above = {name: [p for p in names if name in following[p] and layer[p] < number] for name in rows[number]}
        row = sorted(rows[number], key=lambda name: (_middle(above[name], position), names.index(name)))
        for place, name in enumerate(row):
            position[name] = (width - len(row)) / 2 + place
    return Drawing(
        tuple(Spot(step, layer[step.name], position[step.name]) for step in workflow.steps),
        tuple(_ways(workflow, following, back)),
        len(rows),
        width,
    )


def _returning(names: list[str], following: Mapping[str, list[str]]) -> set[tuple[str, str]]:
    """The edges that close a loop, found by depth-first search from the entry."""
    back: set[tuple[str, str]] = set()
    done: set[str] = set()
    for root in names:
        if root in done:
            continue
        path = [root]
        waiting = {root: list(following[root])}
        while path:
            name = path[-1]
            if not waiting[name]:
                done.add(path.pop())
                continue
            target = waiting[name].pop(0)
            if target in waiting and target not in done:
                back.add((name, target))
            elif target not in done:
                path.append(target)
                waiting[target] = list(following[target])
    return back


def _layers(names: list[str], following: Mapping[str, list[str]], back: set[tuple[str, str]]) -> dict[str, int]:
    layer = dict.fromkeys(names, 0)
    # Without the returning edges there is no loop, so this settles after as many passes as the longest path has steps.
    moved = True
    while moved:
        moved = False
        for name in names:
            for target in following[name]:
                if (name, target) not in back and layer[target] <= layer[name]:
                    layer[target] = layer[name] + 1
                    moved = True
    return layer


def _middle(above: list[str], position: Mapping[str, float]) -> float:
    known = [position[name] for name in above if name in position]
    return sum(known) / len(known) if known else 0.0


def _ways(workflow: Workflow, following: Mapping[str, list[str]], back: set[tuple[str, str]]) -> list[Way]:
    found = []
    for step in workflow.steps:
        for target in following[step.name]:
            labels = [label for label, to in step.branches.items() if to == target]
            if step.otherwise == target:
                labels.append("otherwise")
            found.append(Way(step.name, target, " / ".join(labels), (step.name, target) in back))
    return found
