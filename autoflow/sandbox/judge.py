"""Decides whether code passes its tests, with the tests out of the code's reach.

The code runs in one sandbox, the tests in another. Between them go a function's name, its arguments and its result, as
plain data (`inside/wire.py`). So the code cannot end the tests early, print or pickle a verdict, patch `assert`, hand
over an object that is equal to everything, or read what is expected of it: it can only return values.
"""

import asyncio
import os
import signal
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from weakref import WeakKeyDictionary

from autoflow.errors import DataError, SandboxError
from autoflow.sandbox.process import START_S
from autoflow.sandbox.program import MIB, Limits, Outcome, Program, Sandbox

MAX_SOURCE = 1 * MIB
"""Characters of code that are accepted."""

PASSED = "passed"

_GRACE_S = 5.0
_LIMITS = Limits()
_UNCLEAR = (b"crash\n", b"sandbox\n")
_MODULES = ("autoflow/sandbox/inside/wire.py",)


@dataclass(frozen=True, slots=True)
class Checks:
    """What code must do. The source of a benchmark: trusted, though it too runs in a sandbox."""

    source: str
    """Statements with `assert`, or a function `check` that has them and takes the code's function or nothing.
    `candidate` and `entry` name that function; any other name that the source does not bind is the code's too."""

    entry: str = ""
    """The function that the code must define; empty where any will do."""

    setup: str = ""
    """Run before the tests: imports and helpers of the benchmark's own. The code's process does not get it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the code passed, and why not."""

    passed: bool
    reason: str = ""
    """Empty if passed; else "assertion", "error", "timeout", "memory", "crash", "syntax", "load_error", "no_function",
    "unsupported_result", "protocol", "too_long"."""

    detail: str = ""
    """Hostile text: an exception's message, mostly."""

    seconds: float = 0.0


async def judge(sandbox: Sandbox, sources: tuple[str, ...], tests: Checks, limits: Limits = _LIMITS) -> Verdict:
    """Run the tests on code.

    Args:
        sources: Readings of one answer; the first that compiles and names the entry is taken.
        limits: Of each of the two processes. Waiting for a free processor is not counted.

    Raises:
        SandboxError: If the sandbox failed, whatever the code does.
        DataError: If the tests themselves cannot be run, or call nothing.
    """
    if any(len(source) > MAX_SOURCE for source in sources):
        return Verdict(passed=False, reason="too_long", detail=f"more than {MAX_SOURCE} characters")
    async with slots():
        code, checks = await _run(sandbox, sources, tests, limits)
    seconds = checks.seconds
    reason, _, detail = checks.stdout.decode("utf-8", "replace").partition("\n")
    if reason == PASSED:
        return Verdict(passed=True, seconds=seconds)
    if reason == "bad_tests":
        raise DataError(f"the tests cannot be run: {detail}")
    if reason == "sandbox":
        raise SandboxError(f"the sandbox broke off before the code began: {detail}")
    if any(end.timed_out or end.killed_by == "cpu" for end in (code, checks) if end is not None):
        return Verdict(passed=False, reason="timeout", detail=f"no verdict in {limits.wall_s:g} s", seconds=seconds)
    if not reason:
        if checks.status == 128 + signal.SIGKILL:
            # No result can do this to it: the machine ran out of memory, or someone killed it.
            raise SandboxError("the process that runs the tests was killed from outside")
        said = checks.stderr.decode("utf-8", "replace").strip()[-500:]
        return Verdict(passed=False, reason="error", detail=f"the tests broke off: {said}", seconds=seconds)
    if reason == "crash" and code is not None and code.killed_by == "memory":
        reason = "memory"
    return Verdict(passed=False, reason=reason, detail=detail, seconds=seconds)


async def _run(
    sandbox: Sandbox, sources: tuple[str, ...], tests: Checks, limits: Limits
) -> tuple[Outcome | None, Outcome]:
    """How the code's process ended, or `None` where the verdict came first; and how the tests' did."""
    answers_out, answers_in = os.pipe()
    calls_out, calls_in = os.pipe()
    modules = {name: _inside(Path(name).name) for name in _MODULES}
    readings = {f"answer{number}.py": source for number, source in enumerate(sources)}
    code = Program(
        {**modules, **readings, "serve.py": _inside("serve.py")},
        main="serve.py",
        argv=(str(calls_out), str(answers_in), tests.entry, *readings),
        limits=limits,
    )
    checks = Program(
        {**modules, "setup.py": tests.setup, "tests.py": tests.source, "check.py": _inside("check.py")},
        main="check.py",
        argv=(str(answers_out), str(calls_in), tests.entry),
        # The tests wait for the code to start and to be stopped; its limit is the one that counts.
        limits=replace(limits, wall_s=limits.wall_s + _GRACE_S),
    )
    running = asyncio.create_task(sandbox.run(code, fds=(calls_out, answers_in)))
    checking = asyncio.create_task(sandbox.run(checks, fds=(answers_out, calls_in)))
    try:
        await asyncio.sleep(0)  # a task that is cancelled before its first step would never close its descriptors
        verdict = await checking
        if verdict.timed_out or verdict.stdout.startswith(_UNCLEAR):
            # Whether the code broke off or its sandbox did, and why, only its own end can tell.
            await asyncio.wait((running,), timeout=START_S)
        return (running.result() if running.done() else None), verdict
    finally:
        for task in (running, checking):
            task.cancel()
        await asyncio.gather(running, checking, return_exceptions=True)


@cache
def _inside(name: str) -> str:
    return (Path(__file__).parent / "inside" / name).read_text(encoding="utf-8")


_semaphores: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def slots() -> asyncio.Semaphore:
    """As many as there are processors: to be held while untrusted code runs."""
    # More at once would only take processor time, which the wall clock counts, from one another.
    loop = asyncio.get_running_loop()
    if loop not in _semaphores:
        _semaphores[loop] = asyncio.Semaphore(processors())
    return _semaphores[loop]


def processors() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
