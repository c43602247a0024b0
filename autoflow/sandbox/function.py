"""Calls one function of untrusted code on JSON values: code and result are hostile, and stay data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from autoflow.core.json import Json
from autoflow.sandbox.judge import MAX_SOURCE, slots
from autoflow.sandbox.program import Limits, Outcome, Program, Sandbox

Reason = Literal["error", "timeout", "memory", "output", "ended", "too_long"]
"""The code raised, ran too long, took too much memory, wrote too much, ended its process, is too long itself."""


@dataclass(frozen=True, slots=True)
class Returned:
    """What came of a call."""

    value: Json = None
    reason: Reason | None = None
    """Why there is no value; `None` where there is one, which may be `None` too."""

    failure: str = ""
    """That in words, with the code's line where it has one. Hostile text."""

    seconds: float = 0.0


async def call(sandbox: Sandbox, source: str, function: str, arguments: Sequence[Json], limits: Limits) -> Returned:
    """Run `source`, then `function` of it on `arguments`, in a fresh process. Whatever the code does is a `Returned`.

    Sets come back as sorted lists, other iterables as lists, fractions, decimals, dates and complex numbers as texts.

    Raises:
        SandboxError: If the sandbox failed, whatever the code does.
    """
    if len(source) > MAX_SOURCE:
        return Returned(reason="too_long", failure=f"the code has more than {MAX_SOURCE} characters")
    request = {"source": source, "function": function, "arguments": list(arguments)}
    program = Program({"call.py": _inside()}, "call.py", stdin=json.dumps(request).encode(), limits=limits)
    async with slots():
        outcome = await sandbox.run(program)
    return _read(outcome, limits)


def _read(outcome: Outcome, limits: Limits) -> Returned:
    seconds = outcome.seconds
    if outcome.timed_out or outcome.killed_by == "cpu":
        return Returned(None, "timeout", f"the code ran longer than {limits.wall_s:g} s", seconds)
    if outcome.killed_by == "memory":
        return Returned(None, "memory", "the code took too much memory", seconds)
    if outcome.killed_by == "output":
        return Returned(None, "output", f"the code wrote more than {limits.output_bytes} bytes", seconds)
    try:
        # The code shares its process with what writes the answer: it may have written anything.
        found = json.loads(outcome.stdout, parse_constant=_refuse)
        if b"\\ud" in outcome.stdout.lower():
            # Halves of characters, which no model can be sent.
            found = json.loads(json.dumps(found, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return Returned(None, "ended", f"the code ended its process (status {outcome.status})", seconds)
    if isinstance(found, Mapping) and "result" in found:
        return Returned(found["result"], seconds=seconds)
    said = found.get("error") if isinstance(found, Mapping) else None
    return Returned(None, "error", str(said or "the code gave no result"), seconds)


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is no JSON")


@cache
def _inside() -> str:
    return (Path(__file__).parent / "inside" / "call.py").read_text(encoding="utf-8")
