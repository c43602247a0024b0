"""`run --step`: a person approves, edits, redirects, replaces or stops before each step."""

import json
import signal
import sys
from typing import TYPE_CHECKING

from autoflow.cli.output import safe, say
from autoflow.core.json import Json
from autoflow.errors import UsageError

if TYPE_CHECKING:
    from autoflow.core.workflow import Workflow
    from autoflow.interpreter.approval import Pause, Verdict

HELP = """   Enter or a      approve: run this step
   e TEXT          edit: put TEXT in the place of the last result, then run this step
   g STEP          go to another step instead
   r TEXT          replace: take TEXT as this step's result (on a decision: its label)
   s               stop; with --checkpoint the same command resumes"""


class Steering:
    """Asks on stderr, reads from stdin."""

    def __init__(self, program: "Workflow") -> None:
        self._program = program

    async def __call__(self, pause: "Pause") -> "Verdict":
        """The person's verdict; the end of the input stops the run."""
        say(f"next: {safe(pause.step.name)} ({pause.step.type}, {pause.step.operator})")
        for sentence in safe(pause.instruction).splitlines():
            say(f"   {sentence}")
        while True:
            line = _read("[a]pprove, [e]dit, [g]o to, [r]eplace, [s]top, ? > ")
            try:
                verdict = parse(line, pause)
                verdict.check(pause, self._program)
            except UsageError as error:
                say(str(error))
                continue
            return verdict


def parse(line: str | None, pause: "Pause") -> "Verdict":
    """The verdict that a line means; `None`, the end of the input, means stop.

    Raises:
        UsageError: Listing what can be said.
    """
    from autoflow.interpreter.approval import Verdict

    if line is None:
        return Verdict("stop")
    letter, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    if letter in {"", "a"}:
        return Verdict("approve")
    if letter == "s":
        return Verdict("stop")
    if letter == "e" and rest:
        structured = pause.last is not None and not isinstance(pause.last.result, str)
        return Verdict("edit", result=_value(rest, structured))
    if letter == "r" and rest:
        return Verdict("replace", result=_value(rest, pause.step.output is not None))
    if letter == "g" and rest:
        return Verdict("redirect", step=rest)
    raise UsageError(f"{line.strip()!r} is none of these:\n{HELP}")


def _value(text: str, structured: bool) -> Json:
    if not structured:
        return text
    try:
        value: Json = json.loads(text)
    except ValueError as error:
        raise UsageError(f"this result is JSON, and {text!r} is not: {error}") from error
    return value


def _read(prompt: str) -> str | None:
    print(prompt, end="", file=sys.stderr, flush=True)
    # While a person thinks nothing is in flight, so Ctrl-C may interrupt the reading as it does in any program.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        line = sys.stdin.readline()
    except KeyboardInterrupt:
        line = ""
    finally:
        signal.signal(signal.SIGINT, before)
    if not line:
        say()
        return None
    return line
