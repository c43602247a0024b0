"""MBPP's rows as tasks. What benchmark.yaml cannot say."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from autoflow.core.task import Task
from autoflow.errors import DataError

ASK = "Write this Python function. Answer with the whole function, imports included, and nothing else."


def task(row: Mapping[str, Any], index: int, file: str) -> Task:
    """A row of the sanitized file, or of AFlow's splits, which add the function's first line to the prompt: without it
    nobody could know the name that the tests call."""
    tests = row["test_list"]
    entry = row.get("entry_point") or _entry(row["code"], tests)
    prompt = row["prompt"].strip()
    if "entry_point" not in row:
        prompt += f"\n\n{_first_lines(row['code'], entry)}"
    return Task(
        id=str(row["task_id"]),
        text=f"{ASK}\n\n{prompt}",
        context={"entry_point": entry},
        reference={"test": tests, "setup": row["test_imports"], "entry_point": entry},
    )


def _entry(code: str, tests: Sequence[str]) -> str:
    defined = {node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(ast.parse("\n".join(tests))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in defined:
            return node.func.id
    raise DataError("no test calls a function that the solution defines")


def _first_lines(code: str, entry: str) -> str:
    """The line of the solution that names the function and its parameters."""
    node = next(node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef) and node.name == entry)
    return f"def {entry}({ast.unparse(node.args)}):"
