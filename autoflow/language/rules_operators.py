"""Rules AF4xx: operators. They exist, their parameters fit, their types fit along every path. Silent without cards."""

from collections.abc import Iterator

from autoflow.core.json import Json
from autoflow.core.operator import ANY, Card
from autoflow.core.workflow import DEFAULT_OPERATOR, Step
from autoflow.language.findings import Edit, Fault, rule
from autoflow.language.flow import Program
from autoflow.language.names import listing, quoted, same, suggestion
from autoflow.language.types import result_type, shortages, unmatched

PYTHON = "text/x-python"
"""`contentMediaType` of a parameter that holds code; its key `x-defines` names the function that the code must have."""


def _given(program: Program) -> Iterator[tuple[int, Card, str, Json]]:
    """The parameters that steps state and cards know."""
    for number, step, card in _known(program):
        for name, value in step.parameters.items():
            if name in card.parameters:
                yield number, card, name, value


def _known(program: Program) -> Iterator[tuple[int, Step, Card]]:
    for number, step in enumerate(program.steps):
        card = program.card(step)
        if card is not None:
            yield number, step, card


@rule("AF401", "error", "Operators exist", "A step without its operator cannot run.")
def unknown_operator(program: Program) -> Iterator[Fault]:
    for number, step in enumerate(program.steps):
        # A silent terminal hands on the last result: nothing carries it out.
        silent = step.type == "terminal" and step.operator == DEFAULT_OPERATOR and not step.instruction.strip()
        if program.cards is not None and step.operator not in program.cards and not silent:
            meant = same(step.operator, program.cards)
            yield Fault(
                f"step {quoted(step.name)} uses the operator {quoted(step.operator)}, which does not exist",
                number,
                "operator",
                hint=suggestion(step.operator, list(program.cards), "operators"),
                fix=() if meant is None else (Edit(number, "operator", meant),),
            )


@rule("AF402", "error", "Parameters exist", "A misspelt parameter silently leaves the default.")
def unknown_parameter(program: Program) -> Iterator[Fault]:
    for number, step, card in _known(program):
        for name in step.parameters:
            if name not in card.parameters:
                yield Fault(
                    f"operator {quoted(card.name)} has no parameter {quoted(name)}",
                    number,
                    "parameters",
                    hint=suggestion(name, list(card.parameters), "parameters"),
                )


@rule("AF403", "error", "Required parameters are given", "They have no default.")
def missing_parameter(program: Program) -> Iterator[Fault]:
    for number, step, card in _known(program):
        for name, schema in card.parameters.items():
            if name not in step.parameters and "default" not in schema:
                yield Fault(
                    f"step {quoted(step.name)} lacks the parameter {quoted(name)} of operator {quoted(card.name)}",
                    number,
                    "operator",
                    hint=f"add `parameters: {{{quoted(name)[1:-1]}: ...}}`",
                )


@rule("AF404", "error", "Parameters fit their schema", "The operator would fail, or do something else.")
def unfit_parameter(program: Program) -> Iterator[Fault]:
    given = list(_given(program))
    if not given:
        return
    from autoflow.language.json_schema import fault_of_value

    for number, card, name, value in given:
        schema = card.parameters[name]
        fault = fault_of_value(value, schema)
        if fault is not None:
            yield Fault(
                f"parameter {quoted(name)} of operator {quoted(card.name)}: {fault}",
                number,
                "parameters",
                hint="quoted values are texts; `yes` and `no` too: write true or false",
            )


@rule("AF405", "error", "Types fit along every path", "A tool gets what the tools before it have left.")
def types_along_paths(program: Program) -> Iterator[Fault]:
    if program.cards is None:
        return
    for shortage in shortages(program):
        step = program.steps[shortage.step]
        takes = " and ".join(kind for kind in program.cards[step.operator].inputs if kind != ANY)
        left = f"only {' and '.join(shortage.left)} is left" if shortage.left else "nothing is left"
        if shortage.after is None:
            state = f"there is only {' and '.join(shortage.left)}" if shortage.left else "there is nothing"
            where = f"before any tool has run {state}"
        else:
            tool = program.steps[shortage.after]
            where = f"after {quoted(tool.name)} ({quoted(tool.operator)[1:-1]}) {left}"
        yield Fault(
            f"step {quoted(step.name)}: {quoted(step.operator)[1:-1]} takes {takes}, but {where}",
            shortage.step,
            "operator",
            hint=f"put a step before it that gives {shortage.missing}, or say with `reads` which results it takes",
        )


@rule("AF406", "error", "The results that a tool reads fit its inputs", "It is given these, and nothing else.")
def types_of_reads(program: Program) -> Iterator[Fault]:
    for number, step, card in _known(program):
        if card.kind != "tool" or step.reads is None or step.for_each is not None:
            continue
        sources = [program.steps[program.index[name]] for name in step.reads if name in program.index]
        if len(sources) < len(step.reads):
            continue
        given = [result_type(program, source) for source in sources]
        missing = unmatched(card.inputs, given)
        if missing is not None:
            yield Fault(
                f"step {quoted(step.name)}: {quoted(card.name)[1:-1]} takes {' and '.join(card.inputs)}, "
                f"but `reads` gives {' and '.join(given) or 'nothing'}",
                number,
                "reads",
                hint=f"read a step that gives {missing}; those are: {listing(_giving(program, missing))}",
            )


def _giving(program: Program, kind: str) -> list[str]:
    return [step.name for step in program.steps if result_type(program, step) == kind]


@rule("AF407", "warning", "`model` is for operators that ask one", "A tool calls no language model.")
def model_on_tool(program: Program) -> Iterator[Fault]:
    for number, step, card in _known(program):
        if card.kind == "tool" and step.model is not None:
            yield Fault(
                f"step {quoted(step.name)} sets `model`, but {quoted(card.name)[1:-1]} is a tool",
                number,
                "model",
                hint="remove it",
                fix=(Edit(number, "model", None),),
            )


@rule("AF408", "error", "Code in a parameter is Python", "The step would fail every time that it runs.")
def unfit_code(program: Program) -> Iterator[Fault]:
    given = [item for item in _given(program) if item[1].parameters[item[2]].get("contentMediaType") == PYTHON]
    if not given:
        return
    from autoflow.language.python_code import fault_of_code

    for number, card, name, value in given:
        function = card.parameters[name].get("x-defines")
        fault = fault_of_code(value, str(function or "")) if isinstance(value, str) else None
        if fault is not None:
            yield Fault(
                f"parameter {quoted(name)} of operator {quoted(card.name)}: {fault}",
                number,
                "parameters",
                hint=f"write it as a block: `{name}: |`, and below it the lines, indented",
            )
