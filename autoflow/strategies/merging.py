"""Merging two workflows: what each changed of the workflow that both come from, put together. No model is asked."""

from collections.abc import Mapping
from dataclasses import replace

from autoflow.core.workflow import Step, Workflow
from autoflow.language.reader import STEP_KEYS


def merged(base: Workflow, ours: Workflow, theirs: Workflow) -> Workflow | None:
    """`ours` with what `theirs` changed of `base`, step by step and key by key; where both changed a key, ours stands.

    Steps are known by their names. `None` where nothing of theirs is taken, or what they added cannot be reached.
    Lint has not seen the result.
    """
    old, mine, other = _by_name(base), _by_name(ours), _by_name(theirs)
    gone = {name for name in old if name in mine and name not in other}
    made: dict[str, Step] = {}
    for name, step in mine.items():
        if name in gone and step == old[name]:
            continue
        made[name] = _keys(old.get(name), step, other[name]) if name in other else step
    added = [name for name in other if name not in old and name not in mine]
    for name in added:
        made[name] = other[name]
    steps = _ordered(made, ours, theirs)
    if not steps:
        return None
    made = {step.name: step for step in steps}
    for name in added:
        # Both may have changed where a step leads: ours stands, so theirs is put between it and what follows there.
        if not _led_to(made, name):
            before = next((step for step in theirs.steps if name in step.targets() and step.name in made), None)
            if before is None or before.type != "process" or made[before.name].type != "process":
                return None
            after = made[before.name].next
            made[before.name] = replace(made[before.name], next=name)
            if made[name].type == "process":
                made[name] = replace(made[name], next=after)
    workflow = replace(ours, steps=tuple(made[step.name] for step in steps))
    names = set(made)
    if any(target not in names for step in workflow.steps for target in step.targets()):
        return None
    return None if workflow.fingerprint() in {ours.fingerprint(), theirs.fingerprint()} else workflow


def _by_name(workflow: Workflow) -> dict[str, Step]:
    return {step.name: step for step in workflow.steps}


_KEYS = tuple(key for key in STEP_KEYS if key != "name")


def _keys(base: Step | None, ours: Step, theirs: Step) -> Step:
    if base is None or theirs.type != ours.type:
        return ours
    taken = {
        key: getattr(theirs, key)
        for key in _KEYS
        if getattr(ours, key) == getattr(base, key) and getattr(theirs, key) != getattr(base, key)
    }
    return replace(ours, **taken)


def _led_to(steps: Mapping[str, Step], name: str) -> bool:
    return any(name in step.targets() for step in steps.values()) or next(iter(steps)) == name


def _ordered(made: Mapping[str, Step], ours: Workflow, theirs: Workflow) -> list[Step]:
    """Our order; what is theirs alone stands before the step that it leads to."""
    order = [step.name for step in ours.steps if step.name in made]
    for step in reversed(theirs.steps):
        if step.name in made and step.name not in order:
            place = next((index for index, name in enumerate(order) if name in step.targets()), len(order))
            order.insert(place, step.name)
    return [made[name] for name in order]
