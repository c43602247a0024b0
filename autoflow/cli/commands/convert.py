"""Convert workflows between YAML, CoRE's ::: text and Open Agent Spec."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError, WorkflowError

if TYPE_CHECKING:
    from autoflow.core.workflow import Workflow

FORMATS = ("yaml", "core", "agent-spec")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow convert flow.txt --output flow.yaml",
        "autoflow convert flow.txt --bound 3 --output flow.yaml",
        "autoflow convert flow.yaml --to core",
        "autoflow convert --from core --to yaml - < flow",
        "autoflow convert flow.yaml --to agent-spec --interpreter openai/gpt-5-mini --output flow.json",
        "autoflow convert flow.json --output flow.yaml",
    )
)
def convert(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Workflow file; - is stdin.")],
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="|".join(FORMATS), help="Default: by the suffix of --output, else yaml, and core for yaml."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="|".join(FORMATS),
            help="Default: core for .txt and .core, agent-spec for .json, else yaml.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")] = None,
    bound: Annotated[
        int | None,
        typer.Option(
            "--bound",
            min=1,
            metavar="N",
            help="Make CoRE text runnable: leave out what is never reached, bound endless loops by N visits.",
        ),
    ] = None,
    interpreter: Annotated[
        str | None,
        typer.Option(
            "--interpreter", metavar="MODEL", help="The model that an Agent Spec flow names; the workflow names none."
        ),
    ] = None,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Leave out what CoRE text cannot say: bounds, operators, what steps read.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
) -> None:
    """Convert a workflow. What is wrong with a CoRE text is printed on stderr, by line, and so is what an Agent Spec
    flow says that a workflow leaves out; what one format says and the other cannot is an error.
    """
    from autoflow.cli import files
    from autoflow.cli.options import DEFAULT_MODEL
    from autoflow.cli.output import say

    for value in (to, source):
        if value is not None and value not in FORMATS:
            raise UnknownNameError("format", value, list(FORMATS))
    source = source or _by_suffix(workflow)
    if to is None:
        to = _by_suffix(str(output)) if output else ("core" if source == "yaml" else "yaml")
    # One that is set for all commands, in the environment or in autoflow.toml, does no harm where it has no meaning.
    typed = getattr(ctx.get_parameter_source("interpreter"), "name", None) == "COMMANDLINE"
    if typed and to != "agent-spec":
        raise UsageError("--interpreter is for --to agent-spec", hint="no other format names the model that runs it")
    data, file = files.read(workflow)
    parsed = _parsed(data, file, source, bound)
    try:
        text = _written(parsed, to, workflow, interpreter or DEFAULT_MODEL, lossy)
    except WorkflowError as error:
        error.file = error.file or file
        raise
    if output is None:
        sys.stdout.write(text)
        return
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", hint="name another file, or add --overwrite")
    output.write_text(text, encoding="utf-8", newline="")
    say(f"{output}: written")


def _by_suffix(name: str) -> str:
    from autoflow.cli import files

    if Path(name).suffix.lower() == ".json":
        return "agent-spec"
    return "core" if files.is_core(name) else "yaml"


def _parsed(data: bytes, file: str, source: str, bound: int | None) -> "Workflow":
    from autoflow.cli.output import safe, say
    from autoflow.language import document

    if source == "core":
        from autoflow.language.core_text import parse_core
        from autoflow.language.report import to_text

        imported = parse_core(data, file, bound=bound)
        sys.stderr.write(to_text(imported.findings, file))
        return imported.workflow
    if source == "agent-spec":
        from autoflow.language.agent_spec_in import from_agent_spec

        flow = from_agent_spec(data, file)
        for note in flow.notes:
            say(safe(f"{file}: note: {note}"))
        return flow.workflow
    return document.parse(data, file).workflow


def _written(workflow: "Workflow", to: str, name: str, interpreter: str, lossy: bool) -> str:
    if to == "agent-spec":
        from autoflow.cli import files
        from autoflow.language.agent_spec_out import text_of, to_agent_spec

        cards = files.cards_of(name, [], {step.operator for step in workflow.steps})
        return text_of(to_agent_spec(workflow, cards, model=interpreter))
    if to == "core":
        from autoflow.language.core_text import dump_core

        return dump_core(workflow, lossy=lossy)
    from autoflow.language.dump import dump

    return dump(workflow)
