"""Write a report of a recorded run, to be looked at or passed on."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

app = new_app()


@app.command(
    epilog=examples(
        "autoflow report runs/demo -o report.html",
        "autoflow report runs/demo --format md",
        "autoflow report runs/bench-gsm8k-1a2b3c4d --format junit -o junit.xml",
        "autoflow report runs/demo --format svg -o demo.svg",
    )
)
def report(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder, or its name below runs/.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Default: report.html, .png or .svg in the run, else stdout (-)."
        ),
    ] = None,
    form: Annotated[
        str,
        typer.Option("--format", metavar="html|md|json|junit|png|svg", help="html is one file that needs no network."),
    ] = "html",
) -> None:
    """Show what a run did: scores, workflows with the paths taken, every task with its trace, and what it cost;
    of a matrix, its table and every task in each cell. Pictures show the score over the rounds and against the cost.
    """
    from autoflow.cli.output import say
    from autoflow.report import write
    from autoflow.runs.folder import find

    if form not in write.FORMATS:
        raise UnknownNameError("format", form, list(write.FORMATS))
    path = find(run)
    with write.opened(path) as opened:
        drawn = form not in write.TEXTS
        parts = [write.picture(opened, form)] if drawn else write.parts(opened, form)
        if str(output) == "-" or (output is None and form in ("md", "json", "junit")):
            for part in parts:
                sys.stdout.buffer.write(part.encode("utf-8", "replace") if isinstance(part, str) else part)
            sys.stdout.flush()
            return
        file = output or path / f"report.{form}"
        write.whole(file, parts)
    say(f"wrote {file} ({file.stat().st_size / 1e6:.2f} MB)")
