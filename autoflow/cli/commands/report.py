"""Write a report of a recorded run, to be looked at or passed on."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

FORMATS = ("html", "md", "json", "junit")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow report runs/demo -o report.html",
        "autoflow report runs/demo --format md",
        "autoflow report runs/bench-gsm8k-1a2b3c4d --format junit -o junit.xml",
    )
)
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name below runs/.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: report.html in the run; - is stdout."),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="html|md|json|junit", help="html is one file that needs no network.")
    ] = "html",
) -> None:
    """Show what a run did: scores, workflows with the paths taken, every task with its trace, and what it cost."""
    from autoflow.cli.output import say
    from autoflow.report import write
    from autoflow.report.evidence import Evidence
    from autoflow.runs.folder import find

    if form not in FORMATS:
        raise UnknownNameError("format", form, list(FORMATS))
    path = find(run)
    with Evidence(path) as evidence:
        parts = write.parts(evidence, form)
        if str(output) == "-" or (output is None and form != "html"):
            sys.stdout.writelines(parts)
            return
        file = output or path / "report.html"
        write.whole(file, parts)
    say(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")
