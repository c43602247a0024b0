"""Keeps the tests that a workflow may see apart from those it is scored by.

`Task.context` may list tests under `public_tests` that a workflow runs its code on. A published set of them (AFlow's
for MBPP) consists of hidden tests: whoever may run those is scored by what it has seen.
"""

import ast
import doctest
from collections.abc import Iterator, Sequence
from dataclasses import replace

from autoflow.core.task import Task

KEY = "public_tests"
"""Of `Task.context`: a list of statements."""


def unseen(public: Sequence[str], hidden: str, entry: str = "") -> list[str]:
    """The public tests that make no call of the hidden ones, in order.

    Two calls are the same where function and arguments are, however written; `candidate` is the function under test.
    Whatever the result is compared with does not count: knowing a hidden call's result from another test is seeing
    it. A test that is no Python, or calls nothing, is left out.
    """
    scored = set(_calls(hidden, entry))
    kept = []
    for test in public:
        calls = set(_calls(test, entry))
        if calls and not calls & scored:
            kept.append(test)
    return kept


def without_scored(task: Task) -> Task:
    """The task without public tests that it is scored by."""
    public, hidden = task.context.get(KEY), task.reference.get("test")
    if not isinstance(public, Sequence) or isinstance(public, str) or hidden is None:
        return task
    source = hidden if isinstance(hidden, str) else "\n".join(map(str, hidden)) if isinstance(hidden, Sequence) else ""
    kept = unseen([str(test) for test in public], source, str(task.reference.get("entry_point", "")))
    return replace(task, context={**task.context, KEY: kept})


def examples(prompt: str, entry: str) -> list[str]:
    """The docstring's `>>>` examples of a prompt as statements: `assert entry(1) == 2`."""
    try:
        nodes = [
            node for node in ast.walk(ast.parse(prompt)) if isinstance(node, ast.FunctionDef) and node.name == entry
        ]
        text = (ast.get_docstring(nodes[0]) or "") if nodes else ""
        found = doctest.DocTestParser().get_examples(text)
    except (SyntaxError, ValueError):
        return []
    statements = []
    for example in found:
        source, want = example.source.strip(), example.want.strip()
        statement = f"assert ({source}) == ({want})"
        if want and set(_calls(source, entry)) and _is_python(statement):
            statements.append(statement)
    return statements


def _calls(source: str, entry: str) -> Iterator[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = "candidate" if node.func.id == entry else node.func.id
            # Without a named function every call counts, but not the tools of a test.
            if name == "candidate" or (not entry and name not in _TOOLS):
                yield f"{name}({ast.dump(ast.Tuple(elts=node.args), annotate_fields=False)}, {_keywords(node)})"


_TOOLS = frozenset({"abs", "all", "any", "isinstance", "len", "list", "round", "set", "sorted", "str", "sum", "tuple"})


def _keywords(node: ast.Call) -> list[str]:
    return sorted(ast.dump(keyword, annotate_fields=False) for keyword in node.keywords)


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True
