"""The reference of all commands, as Markdown, from the program itself."""

import re
from typing import Any

import typer
from typer.core import TyperGroup

from autoflow.cli import table

HEAD = """\
# Commands

What `--help` says, on one page. Every flag is also an environment variable: `--max-cost` of `improve` is
`AUTOFLOW_IMPROVE_MAX_COST`, or `AUTOFLOW_MAX_COST` for every command; `autoflow.toml` sets defaults too.
"""


def page() -> str:
    """Every command with its arguments, flags and examples."""
    return "\n".join([HEAD, *(section for name in table.names() for section in _sections(name))])


def _sections(name: str) -> list[str]:
    found = table.command(name)
    if not isinstance(found, TyperGroup):
        return [_section(f"autoflow {name}", found, "##")]
    head = f"## autoflow {name}\n\n{table.help_line(name)}\n"
    return [head, *(_section(f"autoflow {name} {child}", item, "###") for child, item in found.commands.items())]


def _section(path: str, command: Any, level: str) -> str:
    context = typer.Context(command, info_name=path)
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    rows = [record for parameter in command.params if (record := parameter.get_help_record(context)) is not None]
    lines = [f"{level} {path}", "", _text(command.help or ""), "", "```text", usage, "```", ""]
    lines += [
        "| argument, flag | |",
        "|---|---|",
        *(f"| `{_cell(left)}` | {_prose(right)} |" for left, right in rows),
        "",
    ]
    examples = [line.strip() for line in (command.epilog or "").splitlines() if line.strip().startswith("autoflow ")]
    if examples:
        lines += ["```console", *examples, "```", ""]
    return "\n".join(lines)


def _text(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*", "\n", text.replace("\b", "")).strip()


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _prose(text: str) -> str:
    # Nothing in a help text is meant as markup.
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", re.sub(r"\s+", " ", text))
