"""Runs the code under test and calls its functions on behalf of the tests, which live in another process.

`python serve.py READ_FD WRITE_FD ENTRY SOURCE...`: the first SOURCE that compiles and names ENTRY is taken. Nothing in
this process decides a verdict: whatever the code does to it, it can only return values.
"""

# pathlib takes longer to import than all of this to run.
# ruff: noqa: PTH123

import os
import sys
from typing import Any

from autoflow.sandbox.inside import wire


def main(arguments: list[str]) -> None:  # pragma: no cover - in a process of its own
    """Load the code, say how that went, then answer calls until the tests hang up."""
    reading, writing = int(arguments[0]), int(arguments[1])
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    serve(reading, writing, arguments[2], arguments[3:])
    os._exit(0)  # threads and exit handlers of the code are not waited for


def serve(reading: int, writing: int, entry: str, paths: list[str]) -> None:
    """The conversation: ready, loaded or failed, then a reply a call."""
    wire.send(writing, ("ready",))
    module = type(sys)("solution")
    sys.modules["solution"] = module
    try:
        exec(_compiled(entry, paths), module.__dict__)  # noqa: S102 - what a sandbox is for
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        reason = "syntax" if isinstance(error, SyntaxError) else "load_error"
        wire.send(writing, ("failed", reason, _said(error)))
        return
    if entry and not callable(module.__dict__.get(entry)):
        wire.send(writing, ("failed", "no_function", f"the code defines no function {entry!r}"))
        return
    wire.send(writing, ("loaded",))
    while True:
        try:
            name, args, kwargs = wire.receive(reading)
        except EOFError:
            return
        _reply(writing, module.__dict__, name, args, kwargs)


def _compiled(entry: str, paths: list[str]) -> Any:
    first: SyntaxError | None = None
    for path in paths:
        with open(path, encoding="utf-8", errors="surrogatepass") as file:
            source = file.read()
        try:
            code = compile(source, path, "exec")
        except (SyntaxError, ValueError) as error:
            first = first or (error if isinstance(error, SyntaxError) else SyntaxError(str(error)))
            continue
        if path == paths[-1] or entry in code.co_names:
            return code
    raise first or SyntaxError("no code")


def _reply(writing: int, names: dict[str, Any], name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    before = {key: wire.dumps(value) for key, value in _changeable(args, kwargs)}
    try:
        if name not in names:
            raise NameError(f"name {name!r} is not defined")
        result = names[name](*args, **kwargs)
        changed = [(key, value) for key, value in _changeable(args, kwargs) if wire.dumps(value) != before[key]]
        wire.send(writing, ("returned", result, changed))
    except wire.WireError as error:
        wire.send(writing, ("unsupported", str(error)))
    except BaseException as error:  # noqa: BLE001 - whatever the code raises is its result
        kinds = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        wire.send(writing, ("raised", kinds, _said(error)))


def _changeable(args: list[Any], kwargs: dict[str, Any]) -> list[tuple[int | str, Any]]:
    given: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    return [(key, value) for key, value in given if isinstance(value, wire.MUTABLE)]


def _said(error: BaseException) -> str:
    try:
        return f"{error}"[:1000]
    except BaseException:  # noqa: BLE001 - __str__ is the code's own
        return ""


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    main(sys.argv[1:])
