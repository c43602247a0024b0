"""Print the JSON Schema of workflow files, for editors."""

import json
from typing import Annotated

import typer

from autoflow.cli.options import Operators
from autoflow.cli.table import examples, new_app

app = new_app()


@app.command(
    epilog=examples(
        "autoflow schema > workflow.schema.json",
        "autoflow schema --operators openagi",
        "# first line of a workflow file, for the YAML language server:",
        "# yaml-language-server: $schema=workflow.schema.json",
    )
)
def schema(
    operators: Operators = None,
    any_operator: Annotated[bool, typer.Option("--any-operator", help="Leave operator names open.")] = False,
) -> None:
    """Print the JSON Schema (draft-07) of the workflow file format.

    Operator names are limited to those in reach, so that an editor completes them.
    """
    from autoflow.cli import files
    from autoflow.language import schema as format_schema

    known = None if any_operator else sorted(files.cards_of(files.STDIN, operators or []))
    print(json.dumps(format_schema.schema(known), ensure_ascii=False, indent=2))
