"""Shows each step of a run on stderr as it happens."""

import json
from typing import TYPE_CHECKING

from autoflow.cli.output import safe, stderr
from autoflow.core.json import Json

if TYPE_CHECKING:
    from autoflow.interpreter.events import Event

LONGEST = 600
"""Characters of a result that are shown; `--json` has all of it."""


class Steps:
    """A listener for `Interpreter.run`."""

    def __init__(self) -> None:
        self._console = stderr()

    def __call__(self, event: "Event") -> None:
        """Print one event."""
        from rich.text import Text

        from autoflow.interpreter.events import StepFinished, StepStarted

        if isinstance(event, StepStarted):
            visit = "" if event.visit == 1 else f" (visit {event.visit})"
            self._console.print(Text(f"{event.index + 1}. {safe(event.step)}{visit}", style="bold"))
        elif isinstance(event, StepFinished):
            record = event.record
            if record.failure is not None:
                self._console.print(Text(_indented(f"failed: {record.failure.message}"), style="red"))
                return
            self._console.print(Text(_indented(shown(record.result))))
            if record.target is not None:
                label = "" if record.label is None else f"{record.label} "
                calls = f"{len(record.calls)} call{'' if len(record.calls) == 1 else 's'}"
                leads = f"{label}-> {record.target}  ({calls}, {record.seconds:.1f} s)"
                self._console.print(Text(_indented(leads), style="dim"))


def shown(result: Json) -> str:
    """A result as a reader sees it, cut to `LONGEST` characters."""
    text = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(text)} characters)"


def _indented(text: str) -> str:
    return "\n".join(f"   {line}" for line in safe(text).splitlines() or [""])
