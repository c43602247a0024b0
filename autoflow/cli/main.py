"""The entry point: finds the command, and turns errors into exit codes.

0 ok, 1 a bug in autoflow, 2 usage, 3 threshold not met, 4 invalid workflow, 5 provider, 6 budget reached, 130
interrupted. An error of ours is one or two lines on stderr; `AUTOFLOW_DEBUG=1` adds the traceback.
"""

import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autoflow import __version__
from autoflow.cli import table
from autoflow.errors import AutoflowError, UsageError, WorkflowError

INTERRUPTED = 130
BUG = 1


def _application() -> TyperGroup:
    app = typer.Typer(
        cls=table.CommandTable,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        epilog=(
            "Every flag can be set by an environment variable: --max-cost of improve is AUTOFLOW_IMPROVE_MAX_COST, "
            "or AUTOFLOW_MAX_COST for every command; autoflow.toml sets defaults too."
        ),
    )

    @app.callback()
    def autoflow(
        version: Annotated[
            bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
        ] = False,
    ) -> None:
        """Natural-language workflows that run, and generators that learn to write them."""

    group = get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 - what Typer(cls=...) makes
    return group


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"autoflow {__version__}")
        raise typer.Exit


def describe(error: AutoflowError) -> str:
    """The lines that stand on stderr: place, code, message, hint."""
    if isinstance(error, WorkflowError):
        place = ":".join(str(part) for part in (error.file or "<text>", error.line, error.column) if part is not None)
        text = f"{place}: error {error.rule or error.code}: {error.message}"
    else:
        text = f"error[{error.code}]: {error.message}"
    lines = [text if error.hint is None else f"{text}\n  {error.hint}"]
    if isinstance(error, WorkflowError):
        lines += [describe(other) for other in error.others]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    debug = os.environ.get("AUTOFLOW_DEBUG", "") not in {"", "0"}
    try:
        return table.run(_application(), arguments)
    except AutoflowError as error:
        if debug:
            _traceback()
        print(describe(error), file=sys.stderr)
        return error.exit_code
    except typer.TyperException as error:
        print(_usage(error), file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary: nothing above us could say more
        fault = _of_a_file(error)
        if fault is not None:
            if debug:
                _traceback()
            print(describe(fault), file=sys.stderr)
            return fault.exit_code
        _traceback()
        print(f"error: this is a bug in autoflow {__version__}: {type(error).__name__}: {error}", file=sys.stderr)
        print("  please report it with the traceback above and the command", file=sys.stderr)
        return BUG


_PLACES = {"EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "ENOENT", "ENOTDIR", "EISDIR", "EEXIST", "ENAMETOOLONG"}


def _of_a_file(error: Exception) -> AutoflowError | None:
    """What a file or folder of the user's stood in the way of; `None` for what is no such thing, or is our own."""
    if not isinstance(error, OSError) or errno.errorcode.get(error.errno or 0) not in _PLACES:
        return None
    name = error.filename2 or error.filename
    if not isinstance(name, str) or Path(name).resolve().is_relative_to(Path(__file__).resolve().parents[1]):
        return None
    return UsageError(f"{name}: {error.strerror}", hint="name a file or folder that can be read and written there")


def _traceback() -> None:
    import traceback

    traceback.print_exc(file=sys.stderr)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    # Asked for no command at all: the message is then the help itself.
    if type(error).__name__ == "NoArgsIsHelpError":
        return error.format_message()
    lines = [f"error[usage]: {error.format_message()}"]
    if context is not None:
        lines.append(f"  see: {context.command_path} --help")
    return "\n".join(lines)
