r"""`math-equivalence`: 1 if the answer's formula equals the reference's, else 0.

Source: METHODS section 8. The formula is the last balanced `\boxed{}`, else what follows "answer is", else the last
line that is not empty; formulas are compared by `math-verify`, in a child process with a time limit: 0 when it is
reached. AFlow compares with sympy in its own process, which evaluates the model's text.
"""

import asyncio
import atexit
import contextlib
import importlib.util
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import MissingDependencyError, SandboxError
from autoflow.scorers.parameters import build
from autoflow.scorers.wording import after, boxed, golds, text

START_S = 120.0
"""Limit for starting the child, in seconds: importing sympy on a busy machine is slow, and no fault of an answer."""

LONGEST = 2_000
"""Characters of a formula that are compared; a longer one is wrong."""

Verdict = Literal["equal", "different", "timeout", "crash"]


@dataclass(frozen=True, slots=True)
class MathEquivalence:
    """Formulas that are the same text, spacing aside, are equal without asking the child."""

    field: str = "answer"
    """Key of `Task.reference`: a formula, or a text whose last box holds it; a list holds several right ones."""

    timeout_s: float = 5.0
    """Limit of one comparison in seconds."""

    label: str = "mathematical equivalence"

    def __post_init__(self) -> None:
        if not 0 < self.timeout_s <= 600:
            raise ValueError(f"timeout_s must lie between 0 and 600 seconds, not {self.timeout_s}")

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no such reference.
            SandboxError: If the child process cannot be started.
        """
        found = formula(text(trace.answer))
        right = [boxed(text(gold)) or text(gold) for gold in golds(task, self.field)]
        details = {"predicted": found[:LONGEST], "gold": right[0]}
        if not plain(found):
            return Score(0.0, "no_answer", {"gold": right[0]})
        if any(plain(found) == plain(gold) for gold in right):
            return Score(1.0, "", details)
        if len(found) > LONGEST:
            return Score(0.0, "too_long", details)
        verdict: Verdict = "different"
        for gold in right:
            verdict = await compare(gold, found, self.timeout_s)
            if verdict == "equal":
                return Score(1.0, "", details)
        return Score(0.0, "mismatch" if verdict == "different" else verdict, details)


def formula(answer: str) -> str:
    """The formula that an answer states."""
    found = boxed(answer)
    if found is not None:
        return found.strip()
    found = after(answer, "answer is")
    if found is not None:
        answer = found.strip().split("\n")[0].lstrip(" :")
    lines = [line.strip() for line in answer.split("\n") if line.strip()]
    return lines[-1].strip("*").rstrip(".").strip() if lines else ""


def plain(formula: str) -> str:
    """The formula without what only sets it."""
    bare = re.sub(r"\\(?:left|right|displaystyle)(?![A-Za-z])|\\[,!;: ]|\$|~|\s", "", formula)
    return re.sub(r"\\[dt]frac(?![A-Za-z])", r"\\frac", bare).rstrip(".")


async def compare(gold: str, found: str, timeout_s: float = 5.0) -> Verdict:
    """Compare two formulas in the child process, started where there is none; killed where it takes too long.

    Raises:
        SandboxError: If it cannot be started.
    """
    # One thread: the child answers one question at a time, and the time limit must not run while a question waits.
    return await asyncio.get_running_loop().run_in_executor(_thread(), _child.ask, gold, found, timeout_s)


class _Child:
    """One warm process for the life of ours."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._rest = b""

    def ask(self, gold: str, found: str, timeout_s: float) -> Verdict:
        process = self._started()
        assert process.stdin is not None  # noqa: S101 - opened as a pipe
        try:
            process.stdin.write(json.dumps([gold, found]).encode() + b"\n")
            process.stdin.flush()
            line = self._line(process, timeout_s)
        except BrokenPipeError:
            line = b""
        if line is None:
            self.stop()
            return "timeout"
        if line not in {b"true", b"false"}:
            self.stop()
            return "crash"
        return "equal" if line == b"true" else "different"

    def _started(self) -> "subprocess.Popen[bytes]":
        # After a fork the parent's child is not ours to ask.
        if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
            return self._process
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                # -I: neither the environment nor the current folder decides what is imported.
                [sys.executable, "-I", "-X", "utf8", "-m", "autoflow.scorers.math_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={},
                start_new_session=True,
            )
        except OSError as error:
            raise SandboxError(f"the process that compares formulas cannot be started: {error}") from error
        self._owner = os.getpid()
        if self._line(self._process, START_S) != b"ready":
            self.stop()
            raise SandboxError(
                "the process that compares formulas did not start",
                hint=f"try: {sys.executable} -I -m autoflow.scorers.math_child",
            )
        return self._process

    def _line(self, process: "subprocess.Popen[bytes]", timeout_s: float) -> bytes | None:
        """The next line, empty at the end of the stream, `None` when the time is over."""
        assert process.stdout is not None  # noqa: S101 - opened as a pipe
        end = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return None
            part = os.read(process.stdout.fileno(), 65_536)
            if not part:
                return b""
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                # Some of a question may not have been written when the process went.
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


_child = _Child()
_threads: dict[int, ThreadPoolExecutor] = {}
_guard = threading.Lock()
atexit.register(_child.stop)


def _thread() -> ThreadPoolExecutor:
    with _guard:
        if os.getpid() not in _threads:
            _threads[os.getpid()] = ThreadPoolExecutor(1, thread_name_prefix="math-equivalence")
        return _threads[os.getpid()]


def _make(parameters: Mapping[str, Json]) -> MathEquivalence:
    if importlib.util.find_spec("math_verify") is None:
        raise MissingDependencyError(
            "the scorer math-equivalence needs the package math-verify", hint="pip install 'autoflow[math]'"
        )
    return build("math-equivalence", MathEquivalence, parameters)


PLUGIN = _make
