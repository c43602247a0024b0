"""List the operators that steps can name, and show one in full."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from autoflow.core.operator import Card, Operator

app = new_app()


@app.command(
    epilog=examples(
        "autoflow operators",
        "autoflow operators programmer",
        "autoflow operators --set aflow-maths --json",
        "autoflow operators --benchmark openagi",
    )
)
def operators(
    name: Annotated[str | None, typer.Argument(metavar="OPERATOR", help="Show this one in full.")] = None,
    *,
    chosen: Annotated[
        str | None, typer.Option("--set", metavar="SET", help="Only those of a set: its name, or a YAML file.")
    ] = None,
    benchmark: Annotated[
        str | None, typer.Option("--benchmark", metavar="NAME", help="Those of a benchmark besides the library's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the operators with what each does, takes and gives; with a name, show its parameters and prompts."""
    from autoflow.benchmarks import operator_sets
    from autoflow.cli import files
    from autoflow.cli.output import emit

    known = files.operators_of(files.STDIN, [benchmark] if benchmark else [])
    if name is not None:
        if chosen is not None:
            raise UsageError("give an operator or --set, one of the two")
        if name not in known:
            raise UnknownNameError("operator", name, sorted(known))
        if as_json:
            emit("operator", _record(known[name], prompts=True))
        else:
            _show(known[name])
        return
    cards = {key: operator.card for key, operator in known.items()}
    wanted = None if chosen is None else operator_sets.load(chosen, cards)
    listed = [known[card.name] for card in operator_sets.chosen(cards, wanted)]
    if as_json:
        emit("operators", {"operators": [_record(operator) for operator in listed], "sets": operator_sets.names()})
    else:
        _table(listed)
        print(f"sets: {', '.join(operator_sets.names())}")


def _table(listed: "Iterable[Operator]") -> None:
    from autoflow.cli.output import new_table, stdout

    table = new_table("operator", "takes", "gives", "calls", "does")
    for operator in listed:
        card = operator.card
        table.add_row(card.name, ", ".join(card.inputs), card.output, _calls(operator), card.description)
    stdout().print(table)


def _show(operator: "Operator") -> None:
    card = operator.card
    print(f"{card.name}: {card.description}")
    print(f"takes {', '.join(card.inputs)}; gives {card.output}; model calls a step: {_calls(operator)}")
    if card.parameters:
        print("\nparameters:")
    for name, schema in card.parameters.items():
        print(f"  {name}: {_parameter(schema)}")
    for path, text in _prompts(operator).items():
        print(f"\nprompts/{path}:\n{text}")


def _parameter(schema: "Mapping[str, object]") -> str:
    """The schema in words."""
    import json

    rest = {key: value for key, value in schema.items() if key not in ("default", "description")}
    kind = rest.pop("type", None)
    said = str(kind or "")
    if "enum" in rest:
        values = rest.pop("enum")
        assert isinstance(values, list | tuple)  # noqa: S101  JSON Schema says so
        said = "one of " + ", ".join(str(value) for value in values)
    said += "".join(f", {key} {json.dumps(value)}" for key, value in rest.items() if not key.startswith("x-"))
    if "default" not in schema:
        said += "; required"
    else:
        said += (
            "; default: the run's own" if schema["default"] is None else f"; default {json.dumps(schema['default'])}"
        )
    return f"{said}. {schema['description']}" if "description" in schema else said


def _calls(operator: "Operator") -> str:
    """Model calls of a step with default parameters, as text; `?` where the operator does not say."""
    from autoflow.core.operator import Counted

    if operator.card.kind == "tool":
        return "0"
    if not isinstance(operator, Counted):
        return "?"
    least, most = operator.calls({})
    return str(least) if least == most else f"{least}-{'' if most is None else most}"


def _prompts(operator: "Operator") -> dict[str, str]:
    """The operator's templates, by their path under prompts/."""
    from autoflow import resources

    root = resources.folder("prompts")
    paths = [prompt.template for prompt in getattr(operator, "prompts", ())]
    return {path: (root / path).read_text(encoding="utf-8") for path in paths}


def _record(operator: "Operator", *, prompts: bool = False) -> dict[str, object]:
    from dataclasses import asdict

    card: Card = operator.card
    record: dict[str, object] = {**asdict(card), "calls": _calls(operator)}
    return {**record, "prompts": _prompts(operator)} if prompts else record
