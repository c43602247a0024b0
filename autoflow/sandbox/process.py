"""Starts one process, feeds it, drains it, stops it in time: what every boundary shares."""

import asyncio
import contextlib
import marshal
import math
import os
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autoflow.errors import SandboxError
from autoflow.sandbox.program import Killer, Outcome, Program

START_S = 30.0
"""How long a boundary and Python may take to start, apart from the program's own time; a busy machine is slow."""

ENVIRONMENT: Mapping[str, str] = {"LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
"""All that a program finds in its environment. A fixed hash seed lets the same code have the same verdict."""

_STOP_S = 10.0
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Start:
    """How to start Python behind a boundary."""

    command: Sequence[str]
    """What comes before Python's own arguments, the interpreter included."""

    folder: Path | None = None
    """Working directory outside; `None` where the command makes its own."""

    fds: tuple[int, ...] = ()
    """Descriptors for the boundary itself; the caller closes them."""

    confine: tuple[list[str], bytes, int] | None = None
    """Arguments of the stage's own confinement."""


@cache
def _stage() -> str:
    return (Path(__file__).parent / "inside" / "stage.py").read_text(encoding="utf-8")


class Handover:
    """Descriptors that a program inherits: closed here once it has them, or at the end of a `with` if it never did."""

    def __init__(self, fds: tuple[int, ...]) -> None:
        self.fds = fds

    def close(self) -> None:
        """Safe to call twice: by then the numbers may be another's."""
        fds, self.fds = self.fds, ()
        for fd in fds:
            os.close(fd)

    def __enter__(self) -> "Handover":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


async def execute(start: Start, program: Program, inherited: Handover) -> Outcome:
    """Run `program` in a new process; see `Sandbox.run`."""
    status, writing = os.pipe()
    arguments = ["-S", "-s", "-P", "-c", _stage(), str(writing)]
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *start.command,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Not cleared by the boundary alone: /proc/1/environ would still show what it was started with.
            env=dict(ENVIRONMENT),
            cwd=start.folder,
            pass_fds=(*inherited.fds, *start.fds, writing),
            start_new_session=True,
        )
    )
    try:
        try:
            await asyncio.wait((starting,))
        except asyncio.CancelledError:
            # asyncio never returns from a start that is cancelled (CPython 3.11 to 3.13): let it finish, then kill.
            await asyncio.wait((starting,))
            if starting.exception() is None:
                await _Watch(starting.result(), program).stop()
            raise
        finally:
            os.close(writing)
            inherited.close()
        try:
            watch = _Watch(starting.result(), program)
        except OSError as error:
            raise SandboxError(f"cannot start {start.command[0]}: {error}") from error
        return await watch.follow(status, _plan(start, program))
    finally:
        os.close(status)


def _plan(start: Start, program: Program) -> bytes:
    limits = program.limits
    cpu_s = limits.cpu_s if limits.cpu_s is not None else math.ceil(limits.wall_s)
    bounds = [
        (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),
        (resource.RLIMIT_AS, limits.memory_bytes, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, limits.file_bytes, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files, limits.open_files),
        (resource.RLIMIT_CORE, 0, 0),
    ]
    plan = marshal.dumps(
        {
            "files": dict(program.files),
            "main": program.main,
            "argv": list(program.argv),
            "limits": bounds,
            "confine": start.confine,
        }
    )
    return len(plan).to_bytes(8, "big") + plan + program.stdin


class _Watch:
    """One running process."""

    def __init__(self, process: asyncio.subprocess.Process, program: Program) -> None:
        self._process = process
        self._limits = program.limits
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._flooded = False

    async def follow(self, status: int, payload: bytes) -> Outcome:
        """Feed and drain the process until it ends or must be stopped."""
        process = self._process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise SandboxError("the process was started without pipes")  # for the type checker: they are asked for
        drains = [
            asyncio.create_task(self._drain(process.stdout, self._stdout)),
            asyncio.create_task(self._drain(process.stderr, self._stderr)),
        ]
        feed = asyncio.create_task(_feed(process.stdin, payload))
        ended = asyncio.create_task(process.wait())
        timed_out = False
        try:
            if not await _began(status):
                await self.stop()
                await asyncio.wait(drains, timeout=_STOP_S)
                said = self._stderr.decode("utf-8", "replace").strip()[-2000:]
                raise SandboxError(f"the sandbox did not start: {said or 'no message'}")
            began = time.perf_counter()
            # The pipes end only with the last process that holds them.
            _, pending = await asyncio.wait((ended, *drains), timeout=self._limits.wall_s)
            if pending:
                timed_out = True
                self._kill()
            seconds = time.perf_counter() - began
        finally:
            # Before the drains end: asyncio sees the end of a process only once its pipes are read to theirs.
            await self.stop()
            for task in (*drains, feed, ended):
                task.cancel()
            await asyncio.gather(*drains, feed, ended, return_exceptions=True)
        raw = process.returncode if process.returncode is not None else -signal.SIGKILL
        code = raw if raw >= 0 else 128 - raw
        killer = None if timed_out else self._killer(code, seconds)
        return Outcome(code, bytes(self._stdout), bytes(self._stderr), timed_out, killer, seconds)

    async def _drain(self, stream: asyncio.StreamReader, kept: bytearray) -> None:
        while part := await stream.read(_CHUNK):
            room = self._limits.output_bytes - len(kept)
            kept += part[:room]
            if len(part) > room and not self._flooded:
                self._flooded = True
                self._kill()

    def _killer(self, code: int, seconds: float) -> Killer | None:
        if self._flooded:
            return "output"
        if code == 128 + signal.SIGXCPU:
            return "cpu"
        if code == 128 + signal.SIGKILL:
            # The hard limit on processor time and a machine out of memory both kill.
            limit = self._limits.cpu_s if self._limits.cpu_s is not None else self._limits.wall_s
            return "cpu" if seconds >= limit else "memory"
        if code == 1 and self._stderr.rstrip().rsplit(b"\n", 1)[-1].startswith(b"MemoryError"):
            return "memory"
        return None

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    async def stop(self) -> None:
        """Kill what still runs and wait for it. Safe to call twice."""
        if self._process.returncode is None:
            self._kill()
            try:
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
            except TimeoutError:
                raise SandboxError(f"process {self._process.pid} could not be stopped") from None


async def _began(status: int) -> bool:
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(status, readable.set)
    try:
        # Not wait_for: in 3.11 it drops a cancellation that arrives together with the event.
        async with asyncio.timeout(START_S):
            await readable.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(status)
    return os.read(status, 1) == b"1"


async def _feed(stdin: asyncio.StreamWriter, payload: bytes) -> None:
    # A program need not read its stdin.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        try:
            stdin.write(payload)
            await stdin.drain()
        finally:
            stdin.close()
