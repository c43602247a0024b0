"""What commands print: results on stdout, everything else on stderr, colour only where a person is looking."""

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

JSON_VERSION = 1
"""The number after the slash in `schema`; raised when a document's keys change their meaning."""

_STEERING = ("Cc", "Cf", "Cs")
# Control characters, invisible formatting (it can turn text around), and halves of characters that no stream takes.

_HALVES = re.compile("[\ud800-\udfff]")


def emit(kind: str, document: Mapping[str, object]) -> None:
    """Print one JSON document on stdout: `{"schema": "autoflow.<kind>/1", ...}`.

    What a model wrote may hold numbers that JSON does not know; they stand as texts ("nan", "inf").
    """
    whole = _plain({"schema": f"autoflow.{kind}/{JSON_VERSION}", **document})
    text = json.dumps(whole, ensure_ascii=False, indent=2, allow_nan=False)
    # Halves of characters, which no stream takes, can be written as escapes alone.
    print(json.dumps(whole, indent=2, allow_nan=False) if _HALVES.search(text) else text)


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def printable(value: object, stream: TextIO) -> str:
    """A model's result as text. On a terminal, characters that could steer it are replaced."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return safe(text) if stream.isatty() else _HALVES.sub("\ufffd", text)


def safe(text: str) -> str:
    """The text without control characters but line feed and tab."""
    return "".join(char if char in "\n\t" or unicodedata.category(char) not in _STEERING else "\ufffd" for char in text)


def say(text: str = "") -> None:
    """One line for the person at the terminal, on stderr."""
    print(text, file=sys.stderr, flush=True)


def interactive(stream: TextIO) -> bool:
    """Whether a person looks at the stream on a terminal that may be steered: `NO_COLOR` and `TERM=dumb` say no."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def terminal_columns(stream: TextIO) -> int | None:
    """How wide the terminal is; `None` where the stream is none, and programs read it."""
    if not stream.isatty():
        return None
    stated = os.environ.get("COLUMNS", "")
    try:
        return int(stated) if stated.isdigit() and int(stated) else os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def stderr() -> "Console":
    """Rich's console on stderr: plain text where it is not a terminal."""
    return _console(sys.stderr)


def stdout() -> "Console":
    """Rich's console on stdout: plain text where it is not a terminal."""
    return _console(sys.stdout)


def new_table(*headings: str) -> "Table":
    """A table that fits any terminal: what is too long for its column goes on in the next line, nothing is cut off."""
    from rich.table import Table

    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    steered, width = interactive(stream), terminal_columns(stream)
    # Piped output is for programs: no colour whatever the environment says, and no wrapping at 80 columns.
    return Console(
        file=stream,
        force_terminal=steered,
        no_color=None if steered else True,
        width=200 if width is None else width,
        highlight=False,
        markup=False,
        soft_wrap=width is None,
    )
