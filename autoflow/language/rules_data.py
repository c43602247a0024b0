"""Rules AF3xx: what steps read. Names exist, and the step read has run before; schemas are schemas."""

from collections.abc import Iterator

from autoflow.core.workflow import DEFAULT_OPERATOR, Step
from autoflow.language.findings import Edit, Fault, rule
from autoflow.language.flow import Program
from autoflow.language.names import listing, quoted, same, suggestion
from autoflow.language.references import TASK, loose, rename


def _reads(program: Program, number: int) -> Iterator[tuple[str, str, int | None]]:
    """Name, key and list index of every result that the step reads by name."""
    step = program.steps[number]
    for position, name in enumerate(step.reads or ()):
        yield name, "reads", position
    if step.for_each is not None:
        yield step.for_each, "for_each", None
    for name in program.inserted[number]:
        yield name, "instruction", None


def _shown(name: str, key: str) -> str:
    return f"$({quoted(name)[1:-1]})" if key == "instruction" else f"`{key}` {quoted(name)}"


@rule("AF301", "error", "What a step reads exists", "A result that no step leaves can never be shown.")
def unknown_read(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        for name, key, item in _reads(program, number):
            if name not in program.index:
                meant = same(name, [*program.names, TASK] if key == "instruction" else program.names)
                escape = "; write `$$(` for a plain `$(`" if key == "instruction" else ""
                yield Fault(
                    f"step {quoted(step.name)} reads {_shown(name, key)}, and no step is called that",
                    number,
                    key,
                    item,
                    suggestion(name, program.names, "steps") + escape,
                    () if meant is None else (Edit(number, key, _renamed(step, key, name, meant), item),),
                )


def _renamed(step: Step, key: str, name: str, meant: str) -> str:
    return rename(step.instruction, name, meant) if key == "instruction" else meant


@rule("AF302", "error", "What a step reads can have run before it", "The run would fail whenever it gets there.")
def never_before(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if number not in program.reachable:
            continue
        for name, key, item in _reads(program, number):
            source = program.index.get(name)
            if source is None or source == number:
                continue
            if source not in program.reachable or number not in program.can_follow(source):
                yield Fault(
                    f"step {quoted(step.name)} reads {_shown(name, key)}, which never runs before it",
                    number,
                    key,
                    item,
                    "read a step that comes earlier, or move this one",
                )


@rule("AF303", "warning", "What a step reads has run before it on every path", "On the others the run fails.")
def sometimes_before(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if number not in program.reachable:
            continue
        for name, key, item in _reads(program, number):
            source = program.index.get(name)
            if source is None or source == number or source not in program.reachable:
                continue
            if not program.always_before[number] >> source & 1 and number in program.can_follow(source):
                yield Fault(
                    f"step {quoted(step.name)} reads {_shown(name, key)}, which has not run on every path to it",
                    number,
                    key,
                    item,
                    "drop the reading (results before a step are shown to it anyway), or lead every path through it",
                )


@rule("AF304", "error", "A step does not read itself", "On its first visit it has left no result.")
def reads_itself(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        for name, key, item in _reads(program, number):
            if program.index.get(name) == number:
                yield Fault(
                    f"step {quoted(step.name)} reads its own result, which does not exist on its first visit",
                    number,
                    key,
                    item,
                    "drop it: earlier results are shown anyway where `reads` does not narrow them",
                )


@rule("AF305", "warning", "`$(` begins a reference", "Left open or empty it reaches the model as it stands.")
def loose_reference(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        if loose(step.instruction):
            yield Fault(
                f"the instruction of {quoted(step.name)} has a `$(` that names no step",
                number,
                "instruction",
                hint="close it, or write `$$(` for a plain `$(`",
            )


@rule("AF306", "error", "`for_each` maps over a list", "Anything else has no items.")
def for_each_over_no_list(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        source = program.steps[program.index[step.for_each]] if step.for_each in program.index else None
        if source is None or source.output is None:
            continue
        kind = source.output.get("type")
        if isinstance(kind, str) and kind != "array":
            yield Fault(
                f"step {quoted(step.name)} maps over {quoted(source.name)}, whose output is of type {quoted(kind)}",
                number,
                "for_each",
                hint=f"give {quoted(source.name)} `output: {{type: array, items: ...}}`",
            )


@rule("AF307", "warning", "A step that is mapped over says that it gives a list", "A model's plain text is no list.")
def for_each_over_text(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        source = program.steps[program.index[step.for_each]] if step.for_each in program.index else None
        if source is not None and source.output is None and source.operator == DEFAULT_OPERATOR:
            yield Fault(
                f"step {quoted(step.name)} maps over {quoted(source.name)}, which gives a text",
                number,
                "for_each",
                hint=f"give {quoted(source.name)} `output: {{type: array, items: {{type: string}}}}`",
            )


@rule("AF308", "error", "`output` is a JSON Schema", "No reply can be checked against anything else.")
def bad_schema(program: Program) -> Iterator[Fault]:
    checked = [(number, step, step.output) for number, step in enumerate(program.steps) if step.output]
    if not checked:
        return
    from autoflow.language.json_schema import fault_of_schema

    for number, step, output in checked:
        fault = fault_of_schema(output)
        if fault is not None:
            yield Fault(
                f"`output` of {quoted(step.name)} is no JSON Schema: {fault}",
                number,
                "output",
                hint="write for example `output: {type: array, items: {type: string}}`",
            )


@rule("AF309", "warning", "Inputs are named", "A blank type fits nothing.")
def blank_inputs(program: Program) -> Iterator[Fault]:
    for position, name in enumerate(program.workflow.inputs or ()):
        if not name.strip():
            yield Fault(
                f"input {position + 1} of {listing([program.workflow.name])} has a blank type",
                key="inputs",
                item=position,
                hint="write for example `inputs: [image, text]`",
            )
