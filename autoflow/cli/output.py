"""What commands print: results on stdout, everything else on stderr, colour only where a person is looking."""

import json
import math
import re
import sys
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

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


def stderr() -> "Console":
    """Rich's console on stderr: plain text where it is not a terminal."""
    return _console(sys.stderr)


def stdout() -> "Console":
    """Rich's console on stdout: plain text where it is not a terminal."""
    return _console(sys.stdout)


def _console(stream: TextIO) -> "Console":
    from rich.console import Console

    terminal = stream.isatty()
    # Piped output is for programs: no colour whatever the environment says, and no wrapping at 80 columns.
    return Console(
        file=stream,
        force_terminal=terminal,
        no_color=None if terminal else True,
        width=None if terminal else 200,
        highlight=False,
        markup=False,
        soft_wrap=not terminal,
    )
