"""What is wrong with Python code in a workflow file, in one line. The code is parsed and never run."""

import ast
import warnings

MAX_CHARS = 100_000
"""Longer code is refused: its parsing would take memory out of proportion."""


def fault_of_code(code: str, function: str = "") -> str | None:
    """Why `code` is no Python, or defines no `function` at its top level; `None` where it is and does.

    A name that is bound otherwise (`run = ...`, an import) counts too.
    """
    if len(code) > MAX_CHARS:
        return f"it has {len(code)} characters; at most {MAX_CHARS} are read"
    try:
        with warnings.catch_warnings():
            # An odd escape in a string is the author's business.
            warnings.simplefilter("ignore")
            tree = ast.parse(code)
    except SyntaxError as error:
        return error.msg if error.lineno is None else f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"it cannot be read as Python: {str(error) or type(error).__name__}"
    return None if not function or function in _bound(tree) else f"it defines no function {function}()"


def _bound(tree: ast.Module) -> set[str]:
    """Names that the top level binds, also inside `if`, `try`, `with` and loops."""
    found: set[str] = set()
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif not isinstance(node, ast.Lambda | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)
    return found
