"""Ctrl-C: once finishes what is in flight and records it, twice stops at once."""

import asyncio
import shlex
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import typer

from autoflow.cli.output import say

T = TypeVar("T")


def command_line(context: typer.Context) -> str:
    """The command as it was given, to be pasted into a shell."""
    root = context.find_root()
    return shlex.join(["autoflow", *root.obj])


def without_secrets(command: str) -> str:
    """The command as it may be written down: a password in a `--base-url` is blotted out."""
    from autoflow.runs.folder import public

    return str(public({"command": command})["command"])


def run(work: Callable[[asyncio.Event], Awaitable[T]], resume: str, *, at_once: bool = False) -> T:
    """Run `work(stop)` to its end. The first Ctrl-C sets `stop`; the second cancels the work.

    Args:
        resume: The command that goes on where a cancelled run stopped.
        at_once: Nothing is recorded and nothing can be resumed: the first Ctrl-C cancels.

    Raises:
        KeyboardInterrupt: After the work was cancelled.
    """

    async def _main() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work(stop))

        def interrupted() -> None:
            if at_once or stop.is_set():
                task.cancel()
                return
            stop.set()
            say("finishing what is in flight; Ctrl-C again stops at once")

        loop.add_signal_handler(signal.SIGINT, interrupted)
        try:
            return await task
        except asyncio.CancelledError:
            if not at_once:
                say(f"resume: {resume}")
            raise KeyboardInterrupt from None
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    from autoflow.telemetry import exporting

    with exporting():
        return asyncio.run(_main())
