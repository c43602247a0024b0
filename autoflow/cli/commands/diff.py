"""Compare two workflows by what they do."""

from typing import Annotated

import typer

from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app

app = new_app()


@app.command(epilog=examples("autoflow diff plan.yaml better-plan.yaml", "autoflow diff --json a.yaml b.yaml"))
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="Workflow file.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Workflow file.")],
    as_json: AsJson = False,
) -> None:
    """Say which steps were added, removed, reworded or rewired. Layout and comments do not count."""
    from autoflow.cli import files
    from autoflow.cli.output import say
    from autoflow.language.diff import diff as compare

    found = compare(files.load(before).workflow, files.load(after).workflow)
    if as_json:
        from autoflow.cli.output import emit

        emit("diff", {"before": before, "after": after, "changes": found.to_json()})
        return
    print(found.to_text(), end="")
    if not found:
        say("the two do the same")
