"""Finds the commands in their folder, and imports one only when it is named."""

import difflib
import importlib
import pkgutil
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from autoflow.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    # Typer carries its own copy of click and re-exports only part of it; the names serve as types alone.
    from typer._click import Command, Context, HelpFormatter

PREFIX = "AUTOFLOW"


def names() -> list[str]:
    """Every command, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules([str(_folder())]))


def help_line(name: str) -> str:
    """The first line of the command's docstring, read without importing it."""
    with (_folder() / f"{name}.py").open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').strip()


_OTHER_MEANING = (f"{PREFIX}_DATA",)
# The folder of all published data, which one benchmark's `--data` is not.


def environment(command: str, flag: str) -> list[str]:
    """The environment variables that set a flag (`--max-cost`): the command's own first, then the one for all."""
    name = flag.lstrip("-").replace("-", "_").upper()
    names = [f"{PREFIX}_{command.replace(' ', '_').replace('-', '_').upper()}_{name}", f"{PREFIX}_{name}"]
    return [name for name in names if name not in _OTHER_MEANING]


def command(name: str) -> "Command":
    """The command of that name, with environment variables on every flag."""
    app = importlib.import_module(f"autoflow.cli.commands.{name}").app
    found = get_command(app)
    found.name = name
    _bind(name, found)
    return found


def _bind(path: str, found: "Command") -> None:
    for parameter in found.params:
        flags = [flag for flag in parameter.opts if flag.startswith("--")]
        if parameter.param_type_name == "option" and flags:
            parameter.envvar = environment(path, flags[0])
            # The names follow from the flags, and the general help says how: two for each would drown the help.
            parameter.show_envvar = False  # type: ignore[attr-defined]
    if isinstance(found, TyperGroup):
        for name, child in found.commands.items():
            _bind(f"{path} {name}", child)


def _folder() -> Path:
    return Path(__file__).resolve().parent / "commands"


class CommandTable(TyperGroup):
    """The top-level group."""

    def list_commands(self, ctx: "Context") -> list[str]:
        return names()

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        return command(cmd_name) if cmd_name in names() else None

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line(name)) for name in names()])

    def resolve_command(self, ctx: "Context", args: list[str]) -> "tuple[str | None, Command | None, list[str]]":
        known = names()
        if args[0] not in known and not ctx.resilient_parsing:
            close = difflib.get_close_matches(args[0], known)
            raise UnknownNameError(
                "command", args[0], known, hint=f"did you mean {close[0]!r}?" if close else "see: autoflow --help"
            )
        name, found, rest = super().resolve_command(ctx, args)
        if found is not None and name is not None and not ctx.resilient_parsing:
            ctx.default_map = {name: _defaults(name, found)}
        return name, found, rest


def _defaults(name: str, found: "Command") -> MutableMapping[str, Any]:
    # The configuration file is read here, before the flags: that is where a flag's default is asked for.
    from autoflow import config

    settings = config.load(Path.cwd())
    for section in settings.command_defaults:
        if section not in names():
            raise ConfigError(f"{settings.path}: [defaults.{section}]: there is no such command: {', '.join(names())}")
    if isinstance(found, TyperGroup):
        return {child: _fitting(settings, name, item) for child, item in found.commands.items()}
    return _fitting(settings, name, found)


def _fitting(settings: Any, name: str, found: "Command") -> dict[str, Any]:
    flags = {}
    for parameter in found.params:
        if parameter.param_type_name == "option":
            for flag in parameter.opts:
                flags[flag.lstrip("-").replace("-", "_")] = parameter.name
    own = settings.command_defaults.get(name, {})
    unknown = sorted(set(own) - set(flags))
    if unknown:
        raise ConfigError(
            f"{settings.path}: [defaults.{name}]: {name} has no flag {unknown[0]!r}; it has: {', '.join(sorted(flags))}"
        )
    merged = {**{key: value for key, value in settings.defaults.items() if key in flags}, **own}
    return {flags[key]: value for key, value in merged.items()}


def examples(*lines: str) -> str:
    """The end of a command's help: how it is called."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class Group(TyperGroup):
    """A command of commands, whose help has the first sentence of each whole."""

    def format_commands(self, ctx: "Context", formatter: "HelpFormatter") -> None:
        with formatter.section("Commands"):
            lines = [(name, found.get_short_help_str(limit=1000)) for name, found in self.commands.items()]
            formatter.write_dl(lines)


def new_app() -> typer.Typer:
    """What every command module begins with."""
    # Plain help: importing rich's costs more than the whole of `autoflow --help` may take.
    return typer.Typer(cls=Group, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def run(found: "Command", arguments: Sequence[str]) -> int:
    """Carry out the command line and return the exit code."""
    code = found.main(args=list(arguments), prog_name="autoflow", standalone_mode=False, obj=list(arguments))
    return code if isinstance(code, int) else 0
