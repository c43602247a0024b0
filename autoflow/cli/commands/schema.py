"""Print the JSON Schema of workflow files, for editors."""

import json
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.options import Operators
from autoflow.cli.table import examples, new_app

SCHEMA_FILE = "autoflow-workflow.schema.json"
DEFAULT_GLOB = "workflows/**/*.yaml"

app = new_app()


@app.command(
    epilog=examples(
        "autoflow schema > workflow.schema.json",
        "autoflow schema --operators openagi",
        "autoflow schema --vscode",
        "autoflow schema --vscode --files 'flows/*.yaml'",
        "# first line of a workflow file, for any editor with the YAML language server:",
        "# yaml-language-server: $schema=workflow.schema.json",
    )
)
def schema(
    operators: Operators = None,
    any_operator: Annotated[bool, typer.Option("--any-operator", help="Leave operator names open.")] = False,
    vscode: Annotated[
        bool, typer.Option("--vscode", help="Write it into .vscode and make the YAML extension use it.")
    ] = False,
    files: Annotated[
        str, typer.Option("--files", metavar="GLOB", help="With --vscode: which files are workflows.")
    ] = DEFAULT_GLOB,
) -> None:
    """Print the JSON Schema (draft-07) of the workflow file format.

    Operator names are limited to those in reach, so that an editor completes them.
    """
    from autoflow.cli import files as workflow_files
    from autoflow.language import schema as format_schema

    known = None if any_operator else sorted(workflow_files.cards_of(workflow_files.STDIN, operators or []))
    text = json.dumps(format_schema.schema(known), ensure_ascii=False, indent=2)
    if vscode:
        _set_up(Path(".vscode"), text, files)
    else:
        print(text)


def _set_up(folder: Path, text: str, glob: str) -> None:
    from autoflow.cli.output import say

    folder.mkdir(exist_ok=True)
    (folder / SCHEMA_FILE).write_text(text + "\n", encoding="utf-8")
    say(f"wrote {folder / SCHEMA_FILE}")
    settings = folder / "settings.json"
    entry = {f"./{folder / SCHEMA_FILE}": glob}
    known = _settings(settings)
    if known is None:
        # Settings may hold comments, which writing them anew would lose.
        say(f'{settings} is not plain JSON and stays as it is; add to it: "yaml.schemas": {json.dumps(entry)}')
        return
    schemas = known.get("yaml.schemas")
    known["yaml.schemas"] = {**(schemas if isinstance(schemas, dict) else {}), **entry}
    settings.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"{settings}: {glob} are workflows; the extension redhat.vscode-yaml shows faults and completes names")


def _settings(path: Path) -> dict[str, object] | None:
    """The settings; empty where there are none yet, `None` where they cannot be kept."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
