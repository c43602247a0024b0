"""Convert workflows between YAML and CoRE's ::: text."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError

FORMATS = ("yaml", "core")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow convert flow.txt --output flow.yaml",
        "autoflow convert flow.txt --bound 3 --output flow.yaml",
        "autoflow convert flow.yaml --to core",
        "autoflow convert --from core --to yaml - < flow",
    )
)
def convert(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Workflow file; - is stdin.")],
    *,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="yaml|core", help="Default: by the suffix of --output, else the other format."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="yaml|core", help="Default: core for .txt and .core, else yaml.")
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
) -> None:
    """Convert a workflow. What is wrong with a CoRE text is printed on stderr, by line; what YAML says and CoRE
    text cannot is an error.
    """
    from autoflow.cli import files
    from autoflow.cli.output import say
    from autoflow.language import document
    from autoflow.language.core_text import dump_core, parse_core
    from autoflow.language.dump import dump
    from autoflow.language.report import to_text

    for value in (to, source):
        if value is not None and value not in FORMATS:
            raise UnknownNameError("format", value, list(FORMATS))
    source = source or ("core" if files.is_core(workflow) else "yaml")
    if to is None:
        to = ("core" if files.is_core(str(output)) else "yaml") if output else ("yaml" if source == "core" else "core")
    data, file = files.read(workflow)
    if source == "core":
        imported = parse_core(data, file, bound=bound)
        sys.stderr.write(to_text(imported.findings, file))
        parsed = imported.workflow
    else:
        parsed = document.parse(data, file).workflow
    text = dump(parsed) if to == "yaml" else dump_core(parsed)
    if output is None:
        sys.stdout.write(text)
        return
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists", hint="name another file, or add --overwrite")
    output.write_text(text, encoding="utf-8", newline="")
    say(f"{output}: written")
