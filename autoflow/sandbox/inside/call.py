"""Calls one function of untrusted code on JSON values and writes its result as JSON.

`python call.py`, with `{"source", "function", "arguments"}` on stdin. stdout is one JSON object: `{"result": ...}`, or
`{"error": ...}` with what went wrong. What the code prints goes to stderr. Nothing here is out of the code's reach:
it can answer with whatever JSON it likes, and does nothing else.
"""

import json
import os
import sys
from typing import Any

FILE = "code.py"
"""What the code's lines are counted in."""

_LONGEST = 1000


def main() -> None:  # pragma: no cover - in a process of its own
    """Answer the request on stdin."""
    report = os.dup(1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.buffer.read())
    data = memoryview(answer(request["source"], request["function"], request["arguments"]).encode())
    while data:
        data = data[os.write(report, data) :]
    os._exit(0)  # threads and exit handlers of the code are not waited for


def answer(source: str, function: str, arguments: list[Any]) -> str:
    """The reply as JSON. A function that takes fewer arguments than there are gets the first of them."""
    module = type(sys)("code")
    sys.modules["code"] = module
    try:
        exec(compile(source, FILE, "exec"), module.__dict__)  # noqa: S102 - what a sandbox is for
        found = module.__dict__.get(function)
        if not callable(found):
            return json.dumps({"error": f"the code defines no function {function}()"})
        return json.dumps({"result": found(*_taken(found, arguments))}, default=_plain, allow_nan=False)
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        return json.dumps({"error": _said(error)})


def _taken(function: Any, arguments: list[Any]) -> list[Any]:
    code = getattr(function, "__code__", None)
    takes_rest = 0x04
    return arguments if code is None or code.co_flags & takes_rest else arguments[: code.co_argcount]


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        try:
            return sorted(value)
        except TypeError:
            return list(value)
    if isinstance(value, complex) or type(value).__module__ in ("fractions", "decimal", "datetime"):
        return str(value)
    if hasattr(type(value), "__iter__") and not isinstance(value, bytes | bytearray):
        return list(value)
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _said(error: BaseException) -> str:
    """The exception, after the deepest line of the code that it came through."""
    try:
        said = f"{type(error).__name__}: {error}"[:_LONGEST]
    except BaseException:  # noqa: BLE001 - __str__ is the code's own
        said = type(error).__name__
    if isinstance(error, SyntaxError) and error.filename == FILE:
        return f"line {error.lineno}: {type(error).__name__}: {error.msg}"
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            line = trace.tb_lineno
        trace = trace.tb_next
    return said if line is None else f"line {line}: {said}"


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    main()
