"""Write workflow files in the one layout, keeping comments."""

import difflib
import sys
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import WorkflowError

app = new_app()


@app.command(
    epilog=examples(
        "autoflow fmt workflows/*.yaml",
        "autoflow fmt --check workflows/*.yaml",
        "autoflow fmt --diff plan.yaml",
        "autoflow fmt - < plan.yaml",
    )
)
def fmt(
    workflows: Annotated[list[str], typer.Argument(metavar="WORKFLOW", help="Workflow files; - is stdin.")],
    check: Annotated[bool, typer.Option("--check", help="Change nothing; end with 4 if a file would change.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; print what would change.")] = False,
) -> int:
    """Format workflow files in place: key order, indentation, quoting. Comments stay.

    With - the text is read from stdin and written to stdout.
    """
    from autoflow.cli import files
    from autoflow.cli.output import say
    from autoflow.language.format import format_text

    changed = 0
    for name in workflows:
        data, file = files.read(name)
        before = files.text_of(data, file)
        after = format_text(before, file)
        changed += before != after
        if diff:
            sys.stdout.writelines(
                difflib.unified_diff(
                    before.splitlines(keepends=True), after.splitlines(keepends=True), file, f"{file} (formatted)"
                )
            )
        if check or diff:
            if check and before != after:
                say(f"{file}: would be formatted")
        elif name == files.STDIN:
            sys.stdout.write(after)
        elif before != after:
            files.rewrite(name, after)
            say(f"{file}: formatted")
    return WorkflowError.exit_code if check and changed else 0
