"""Rules AF1xx: each step by itself. Names, keys that fit the step's type, settings in range."""

import math
import re
from collections.abc import Iterator

from autoflow.core.workflow import STEP_TYPES
from autoflow.language.findings import Edit, Fault, rule
from autoflow.language.flow import Program
from autoflow.language.names import folded, listing, quoted
from autoflow.language.references import TASK, insertable

_MODEL = re.compile(r"[a-z][a-z0-9_-]*/\S(.*\S)?", re.DOTALL)


@rule("AF101", "error", "A workflow has steps", "The first step is the entry; without one nothing can run.")
def no_steps(program: Program) -> Iterator[Fault]:
    if not program.steps:
        yield Fault("the workflow has no steps", hint="add at least one; the first is the entry")


@rule("AF102", "error", "Step names are unique", "A branch to a name that stands twice is ambiguous.")
def duplicate_names(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        first = program.index[step.name]
        if first != number:
            yield Fault(
                f"a second step is called {quoted(step.name)}; the first is step {first + 1}",
                number,
                "name",
                hint="rename one and the branches that mean it",
            )


@rule("AF103", "error", "A step's name is a plain name", "Blank and padded names cannot be told apart when read.")
def blank_names(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if not step.name.strip():
            yield Fault(f"step {number + 1} has a blank name", number, "name", hint="say what the step does")
        elif step.name != step.name.strip() or "\n" in step.name:
            yield Fault(
                f"the name {quoted(step.name)} has white space around it or a line break in it",
                number,
                "name",
                hint=f"write {quoted(' '.join(step.name.split()))}",
            )


@rule("AF104", "warning", "Names differ by more than case and space", "A model or a person will mix them up.")
def similar_names(program: Program) -> Iterator[Fault]:
    first: dict[str, str] = {}
    for number, step in enumerate(program.steps):
        other = first.setdefault(folded(step.name), step.name)
        if other != step.name:
            yield Fault(
                f"step {quoted(step.name)} differs from {quoted(other)} only in case or space",
                number,
                "name",
                hint="rename one of the two",
            )


@rule("AF105", "error", "A process has `next`", "It leads to exactly one step.")
def process_without_next(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "process" and step.next is None and not step.branches:
            following = program.steps[number + 1].name if number + 1 < len(program.steps) else None
            yield Fault(
                f"process {quoted(step.name)} has no `next`",
                number,
                hint=f"write `next: {following}`?"
                if following
                else "name the step that follows, or make it a terminal",
                fix=(Edit(number, "next", following),) if following else (),
            )


@rule("AF106", "error", "Only decisions have `branches`", "A process leads to one step, whatever it answers.")
def process_with_branches(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "process" and step.branches:
            yield Fault(
                f"process {quoted(step.name)} has `branches`",
                number,
                "branches",
                hint="make it `type: decision`, or replace `branches` by `next`",
            )


@rule("AF107", "error", "A decision has no `next`", "Its branches say where it leads, `otherwise` where it leads else.")
def decision_with_next(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "decision" and step.next is not None:
            yield Fault(
                f"decision {quoted(step.name)} has `next`",
                number,
                "next",
                hint="make it a branch, call it `otherwise`, or make the step a process",
            )


@rule("AF108", "error", "A decision has two or more branches", "With fewer there is nothing to decide.")
def few_branches(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "decision" and len(step.branches) < 2:
            count = "one branch" if step.branches else "no branches"
            yield Fault(
                f"decision {quoted(step.name)} has {count}",
                number,
                "branches",
                hint='write `branches: {"yes": one step, "no": another}`, or make it a process',
            )


@rule("AF109", "error", "A terminal leads nowhere", "Its result is the answer; what follows would never run.")
def terminal_leads_on(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "terminal":
            for key, value in (("next", step.next), ("branches", step.branches), ("otherwise", step.otherwise)):
                if value:
                    yield Fault(
                        f"terminal {quoted(step.name)} has `{key}`",
                        number,
                        key,
                        hint="remove it, or change the step's type",
                    )


@rule("AF110", "error", "A step says what to do", "Only a terminal may be silent: it hands on the last result.")
def empty_instruction(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type != "terminal" and not step.instruction.strip():
            yield Fault(
                f"{step.type} {quoted(step.name)} has no instruction", number, hint="add `instruction:` with a sentence"
            )


@rule("AF111", "error", "A label is a word", "The model must be able to say it.")
def empty_labels(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        for label in step.branches:
            if not label.strip():
                yield Fault(
                    f"a branch of {quoted(step.name)} has a blank label", number, "branches", label, "name the outcome"
                )


@rule("AF112", "error", "Labels differ by more than case and space", "An answer would fit two branches.")
def similar_labels(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        first: dict[str, str] = {}
        for label in step.branches:
            other = first.setdefault(folded(label), label)
            if other != label and label.strip():
                yield Fault(
                    f"labels {quoted(other)} and {quoted(label)} of {quoted(step.name)} differ only in case or space",
                    number,
                    "branches",
                    label,
                    "word one differently",
                )


@rule("AF113", "error", "`max_visits` is at least 1", "A step that may never run is not there.")
def bad_max_visits(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.max_visits is not None and step.max_visits < 1:
            yield Fault(
                f"`max_visits` of {quoted(step.name)} is {step.max_visits}",
                number,
                "max_visits",
                hint="write 1 or more, or remove the key",
            )


@rule("AF114", "error", "`timeout_s` is above 0", "A step needs time to run.")
def bad_timeout(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.timeout_s is not None and not (step.timeout_s > 0 and math.isfinite(step.timeout_s)):
            yield Fault(
                f"`timeout_s` of {quoted(step.name)} is {step.timeout_s}",
                number,
                "timeout_s",
                hint="write a number of seconds above 0, or remove the key",
            )


@rule("AF115", "error", "A step's type exists", "A workflow built in code can hold any word.")
def unknown_type(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type not in STEP_TYPES:
            yield Fault(
                f"step {quoted(step.name)} has the unknown type {quoted(str(step.type))}",
                number,
                "type",
                hint=f"types are: {listing(STEP_TYPES)}",
            )


@rule("AF116", "warning", "A workflow has a name", "Reports and run folders call it by its name.")
def blank_workflow_name(program: Program) -> Iterator[Fault]:
    if not program.workflow.name.strip():
        yield Fault("the workflow's name is blank", key="name", hint="say in two or three words what it does")


@rule("AF117", "warning", "Every setting has an effect", "A key that does nothing was meant to do something.")
def without_effect(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        name = quoted(step.name)
        if step.type == "terminal" and step.max_visits is not None:
            yield Fault(
                f"terminal {name} runs once, so `max_visits` does nothing",
                number,
                "max_visits",
                hint="remove it",
                fix=(Edit(number, "max_visits", None),),
            )
        if step.type == "process" and step.otherwise is not None and step.max_visits is None:
            yield Fault(
                f"`otherwise` of process {name} is never taken",
                number,
                "otherwise",
                hint="a process takes it when `max_visits` is reached: add that, or remove `otherwise`",
            )
        if step.reads is not None and len(set(step.reads)) < len(step.reads):
            yield Fault(f"`reads` of {name} names a step twice", number, "reads", hint="name each once")


@rule("AF118", "error", "A decision is made once a visit", "A list of answers has no one label.")
def mapped_decision(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.type == "decision" and step.for_each is not None:
            yield Fault(
                f"decision {quoted(step.name)} has `for_each`",
                number,
                "for_each",
                hint="map with a process, then decide on its list",
            )


@rule("AF119", "error", "`model` is provider/name", "The part before the slash finds the provider.")
def bad_model(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.model is not None and not _MODEL.fullmatch(step.model):
            yield Fault(
                f"`model` of {quoted(step.name)} is {quoted(step.model)}, which is not provider/name",
                number,
                "model",
                hint="write for example `model: openai/gpt-5-mini`",
            )


@rule("AF120", "warning", "`$(name)` can stand for every step", "The result of this one cannot be inserted anywhere.")
def not_insertable(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if step.name.strip() and step.name == step.name.strip() and not insertable(step.name):
            why = "`$(task)` is the task" if step.name == TASK else "its parentheses are not paired"
            yield Fault(f"$({step.name}) cannot mean step {quoted(step.name)}: {why}", number, "name", hint="rename it")
