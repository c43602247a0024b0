"""Rules AF2xx: where steps lead. Targets, reachability, and loops that end."""

from collections.abc import Iterator

from autoflow.core.workflow import Step
from autoflow.language.findings import Edit, Fault, rule
from autoflow.language.flow import Loop, Program
from autoflow.language.names import folded, listing, quoted, same, suggestion

DEFAULT_BOUND = 3
"""Visits that a mended loop is given."""


def _targets(step: Step) -> Iterator[tuple[str, str, str | None]]:
    """Key, target and label of everything that the step names as a successor."""
    if step.next is not None:
        yield "next", step.next, None
    for label, target in step.branches.items():
        yield "branches", target, label
    if step.otherwise is not None:
        yield "otherwise", step.otherwise, None


@rule("AF201", "error", "Targets exist", "A run that is sent to a missing step has nowhere to go.")
def unknown_target(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        for key, target, label in _targets(step):
            if target not in program.index:
                meant = same(target, program.names)
                leads = {"next": "leads", "branches": "branches", "otherwise": "leads otherwise"}[key]
                yield Fault(
                    f"step {quoted(step.name)} {leads} to {quoted(target)}, which does not exist",
                    number,
                    key,
                    label,
                    suggestion(target, program.names, "steps"),
                    () if meant is None else (Edit(number, key, meant, label),),
                )


@rule("AF202", "error", "Every step can run", "A step that nothing leads to was forgotten somewhere.")
def unreachable(program: Program) -> Iterator[Fault]:
    if any(target not in program.index for step in program.steps for _, target, _ in _targets(step)):
        # What a missing target was to lead to is not known: AF201 comes first.
        known = {folded(t) for step in program.steps for _, t, _ in _targets(step) if t not in program.index}
    else:
        known = set()
    for number, step in enumerate(program.steps):
        if number not in program.reachable and folded(step.name) not in known:
            yield Fault(
                f"nothing leads from {quoted(program.steps[0].name)}, the entry, to step {quoted(step.name)}",
                number,
                hint="lead a step to it, or delete it",
            )


@rule("AF203", "error", "There is a terminal", "Its result is the answer of the run.")
def no_terminal(program: Program) -> Iterator[Fault]:
    if program.steps and not any(step.type == "terminal" for step in program.steps):
        yield Fault(
            "no step is a terminal, so the workflow never answers",
            key="steps",
            hint="end with `type: terminal`",
        )


@rule("AF204", "error", "From every step a terminal can be reached", "A run that gets there can only be cut off.")
def dead_end(program: Program) -> Iterator[Fault]:
    if not any(step.type == "terminal" for step in program.steps):
        return
    for number, step in enumerate(program.steps):
        # A step with no way out at all breaks another rule (AF105, AF108, AF201), which says why.
        if number not in program.finishing and program.successors[number]:
            yield Fault(
                f"from step {quoted(step.name)} no terminal can be reached",
                number,
                hint="lead it, or a step after it, to a terminal",
            )


@rule("AF205", "error", "Every loop ends", "Without a bound a model that never says yes runs until the budget is gone.")
def endless_loop(program: Program) -> Iterator[Fault]:
    for loop in program.endless:
        names = [program.steps[number].name for number in loop.steps]
        ring = listing(names) if len(names) > 1 else quoted(names[0])
        closing = quoted(program.steps[loop.closing].name)
        if loop.returning:
            yield Fault(
                f"the loop {ring} does not end: `otherwise` of {closing} leads back into it",
                loop.closing,
                "otherwise",
                hint="lead `otherwise` to a step outside the loop",
            )
        else:
            yield Fault(
                f"the loop {ring} has no bound",
                loop.closing,
                hint=f"give step {closing} `max_visits: 3` and an `otherwise` outside the loop",
                fix=_bounded(program, loop),
            )


def _bounded(program: Program, loop: Loop) -> tuple[Edit, ...]:
    """A bound on the loop's closing step, where it has one way out that it can take then."""
    exits = [target for target in program.successors[loop.closing] if target not in loop.steps]
    if len(exits) != 1:
        return ()
    step = program.steps[loop.closing]
    bound = (Edit(loop.closing, "max_visits", DEFAULT_BOUND),) if step.max_visits is None else ()
    way = (Edit(loop.closing, "otherwise", program.steps[exits[0]].name),) if step.otherwise is None else ()
    return bound + way


@rule("AF206", "warning", "A bound has an `otherwise`", "Without one the run fails when the bound is reached.")
def bound_without_otherwise(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.max_visits is not None and step.otherwise is None and step.type != "terminal":
            yield Fault(
                f"step {quoted(step.name)} has `max_visits` but no `otherwise`: a run that reaches it fails",
                number,
                "max_visits",
                hint="add `otherwise:` with the step that follows then",
            )


@rule(
    "AF207", "warning", "Branches lead to different steps", "A decision without consequence costs a call for nothing."
)
def same_target(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "decision" and len(step.branches) > 1 and len(set(step.branches.values())) == 1:
            yield Fault(
                f"every branch of decision {quoted(step.name)} leads to {quoted(next(iter(step.branches.values())))}",
                number,
                "branches",
                hint="make it a process, or lead a branch elsewhere",
            )


@rule("AF208", "warning", "A bound can be reached", "`max_visits` on a step outside every loop does nothing.")
def idle_bound(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.max_visits is not None and step.type != "terminal" and number not in program.can_follow(number):
            yield Fault(
                f"step {quoted(step.name)} is in no loop, so `max_visits` does nothing",
                number,
                "max_visits",
                hint="bound a step of the loop, or remove it",
                fix=(Edit(number, "max_visits", None),),
            )
