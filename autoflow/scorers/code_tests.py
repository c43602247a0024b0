"""`code_tests`: 1 if the answer, Python code, passes the task's tests, else 0. Code and tests run in sandboxes.

The rule is METHODS' for HumanEval and MBPP: the prompt's imports and helper functions, then the answer, then the tests.
"""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

from autoflow.core.json import Json
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.errors import ConfigError, DataError, UnknownNameError
from autoflow.sandbox.choose import choose
from autoflow.sandbox.judge import Checks, judge
from autoflow.sandbox.program import MIB, Limits, Sandbox


@dataclass(frozen=True, slots=True)
class CodeTests:
    """Reads from `Task.reference`:

    - `test`: source of the tests, or a list of statements. See `autoflow.sandbox.judge.Checks`.
    - `entry_point`: the function that the answer must define; optional.
    - `prompt`: Python that the answer continues or repeats; optional.
    - `setup`: source, or a list of statements, that precedes both answer and tests; optional.
    """

    timeout_s: float = 15.0
    """Wall-clock limit for all tests of one answer, in seconds."""

    memory_mb: float = 1024.0
    """Of the answer's process and of the tests', each, in MiB."""

    label: str = "pass@1"
    sandbox: Sandbox | None = field(default=None, compare=False)
    """`None`: the best there is here."""

    async def score(self, task: Task, trace: Trace) -> Score:
        """Judge the answer.

        Raises:
            DataError: If the task has no tests, or tests that cannot be run.
            SandboxError: If there is no sandbox, or it failed.
        """
        reference = task.reference
        source = _source(task, "test")
        if not source.strip():
            raise DataError(f"task {task.id}: its reference has no tests under 'test'")
        entry = reference.get("entry_point", "")
        if not isinstance(entry, str):
            raise DataError(f"task {task.id}: entry_point must be a name, not {entry!r}")
        setup, prompt = _source(task, "setup"), _source(task, "prompt")
        try:
            before = helpers(prompt, entry)
        except DataError as error:
            raise DataError(f"task {task.id}: {error.message}") from error
        before = "\n".join(part for part in (setup, before) if part)
        answer = trace.answer
        if answer is None or (isinstance(answer, str) and not answer.strip()):
            return Score(0.0, "empty_answer")
        if not isinstance(answer, str):
            return Score(0.0, "no_text")
        code = extract(answer, entry)
        readings = [f"{before}\n{code}\n"]
        if prompt and code.lstrip("\n\r")[:1] in (" ", "\t"):  # the body alone
            readings.append(f"{setup}\n{prompt}{code}\n")
        sandbox = self.sandbox if self.sandbox is not None else choose()
        limits = Limits(wall_s=self.timeout_s, memory_bytes=int(self.memory_mb * MIB))
        try:
            verdict = await judge(sandbox, tuple(readings), Checks(source, entry, before), limits)
        except DataError as error:
            raise DataError(f"task {task.id}: {error.message}", hint=error.hint) from error
        if verdict.passed:
            return Score(1.0)
        return Score(0.0, verdict.reason, {"detail": verdict.detail})


_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = frozenset({"", "python", "python3", "py"})


def extract(answer: str, entry: str = "") -> str:
    """The code in an answer: of its fenced blocks the last that defines `entry`, else all of them; else the whole.

    A block that is fenced as another language is left out. White space before the first line is kept: an answer may
    be the body of a function.
    """
    blocks = [body for tag, body in _FENCE.findall(answer) if tag.lower() in _PYTHON]
    if not blocks:
        return answer
    defines = re.compile(rf"^(?:async[ ]+def|def|class)[ ]+{re.escape(entry)}\b|^{re.escape(entry)}[ ]*=", re.MULTILINE)
    fitting = [block for block in blocks if entry and defines.search(block)]
    return fitting[-1] if fitting else "\n".join(blocks)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate of the chance that one of `k` answers passes, from `n` answers of which `c` passed.

    1 - C(n-c, k) / C(n, k). Source: Codex (arXiv:2107.03374), equation 1.

    Raises:
        ValueError: Unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {c} in {n} does not exist")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)


def _source(task: Task, name: str) -> str:
    value = task.reference.get(name)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(line, str) for line in value):
        return "\n".join(str(line) for line in value)
    raise DataError(f"task {task.id}: {name!r} in its reference must be source or a list of statements, not {value!r}")


def helpers(prompt: str, entry: str) -> str:
    """What a prompt has besides the function to write: imports and auxiliary functions.

    Raises:
        DataError: If it is no Python.
    """
    try:
        tree = ast.parse(prompt)
    except (SyntaxError, ValueError) as error:
        raise DataError(f"its prompt is not Python: {error}") from error
    tree.body = [node for node in tree.body if getattr(node, "name", None) != entry]
    return ast.unparse(tree)


class _Settings(TypedDict, total=False):
    timeout_s: float
    memory_mb: float


def _make(parameters: Mapping[str, Json]) -> CodeTests:
    known = list(_Settings.__annotations__)
    found = _Settings()
    for name, value in parameters.items():
        if name not in known:
            raise UnknownNameError("parameter of scorer 'code-tests'", name, known)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ConfigError(f"scorer 'code-tests': {name} must be a positive number, not {value!r}")
        found["timeout_s" if name == "timeout_s" else "memory_mb"] = float(value)
    return CodeTests(**found)


PLUGIN = _make
