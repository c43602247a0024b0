"""Runs the tests and gives the verdict. The code under test is in another process, behind proxies.

`python check.py READ_FD WRITE_FD ENTRY`, with setup.py and tests.py beside it. stdout is one line with the verdict's
reason, `passed` or why not, then details. This process never runs the code under test and takes only plain data.
"""

# pathlib takes longer to import than all of this to run.
# ruff: noqa: PTH123

import contextlib
import os
import sys
from typing import Any

from autoflow.sandbox.inside import wire

CHECK = "check"
"""A function that HumanEval's tests define: it takes the code under test, or nothing."""


class Finished(BaseException):
    """Ends the tests once there is a verdict. Not an `Exception`, so that tests which catch those let it pass."""


class CodeRaisedError(Exception):
    """The code under test raised an exception of its own making."""


class Verdict:
    """The first reason given stands: tests that swallow every exception cannot change it."""

    def __init__(self) -> None:
        self.reason = ""
        self.detail = ""

    def give(self, reason: str, detail: str = "") -> Finished:
        """Decide. The result is to be raised."""
        if not self.reason:
            self.reason, self.detail = reason, detail[:2000]
        return Finished()


class Remote:
    """The process that runs the code under test."""

    def __init__(self, reading: int, writing: int, verdict: Verdict) -> None:
        self._reading = reading
        self._writing = writing
        self._verdict = verdict
        self.calls = 0

    def load(self) -> None:
        """Wait until the code is loaded."""
        try:
            ready = wire.receive(self._reading)
        except EOFError as error:
            raise self._verdict.give("sandbox", "no word from the process of the code") from error
        if ready != ("ready",):
            raise self._verdict.give("sandbox", "another word than expected from the process of the code")
        self._answer("loaded", 1)

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the code; what it changes in its arguments is changed here too."""
        self.calls += 1
        try:
            wire.send(self._writing, (name, list(args), kwargs))
        except wire.WireError as error:
            raise self._verdict.give("bad_tests", f"an argument of {name} cannot be sent: {error}") from error
        except BrokenPipeError as error:
            raise self._verdict.give("crash", f"the code ended its process before a call of {name}") from error
        _, result, changed = self._answer("returned", 3)
        for key, value in _pairs(changed, self._verdict):
            target = args[key] if isinstance(key, int) and key in range(len(args)) else kwargs.get(str(key))
            if not wire.same_kind(target, value):
                raise self._verdict.give("protocol", "the reply changes an argument into another type")
            wire.overwrite(target, value)
        return result

    def _answer(self, wanted: str, length: int) -> tuple[Any, ...]:
        try:
            message = wire.receive(self._reading)
        except EOFError as error:
            raise self._verdict.give("crash", "the code ended its process") from error
        except wire.WireError as error:
            raise self._verdict.give("protocol", f"the reply cannot be read: {error}") from error
        if not isinstance(message, tuple) or not message or not isinstance(message[0], str):
            raise self._verdict.give("protocol", "the reply has no known form")
        kind = message[0]
        if kind == wanted and len(message) == length:
            return message
        if kind == "failed" and len(message) == 3:
            reason = message[1] if message[1] in ("syntax", "load_error", "no_function") else "load_error"
            raise self._verdict.give(reason, str(message[2]))
        if kind == "unsupported" and len(message) == 2:
            raise self._verdict.give("unsupported_result", str(message[1]))
        if kind == "raised" and len(message) == 3 and isinstance(message[1], list):
            raise _exception(message[1], str(message[2]))
        raise self._verdict.give("protocol", "the reply has no known form")


def _exception(kinds: list[Any], said: str) -> Exception:
    import builtins

    if "Exception" not in kinds:
        return CodeRaisedError(f"{kinds[0] if kinds else 'BaseException'}: {said}")
    for name in kinds:
        kind = getattr(builtins, str(name), None)
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
            try:
                return kind(said)
            except TypeError:  # UnicodeDecodeError and its like want more than a text
                continue
    return CodeRaisedError(said)


def _pairs(changed: Any, verdict: Verdict) -> list[tuple[Any, Any]]:
    if isinstance(changed, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in changed):
        return changed
    raise verdict.give("protocol", "the reply has no known form")


def _proxy(remote: Remote, name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return remote.call(name, args, kwargs)

    call.__name__ = call.__qualname__ = name
    return call


def judge(remote: Remote, verdict: Verdict, setup: str, tests: str, entry: str) -> None:
    """Run the tests to their end or to the first failure.

    Raises:
        Finished: Always; `verdict` then has its reason.
    """
    names: dict[str, Any] = {"__name__": "tests"}
    try:
        exec(compile(setup, "setup.py", "exec"), names)  # noqa: S102 - the benchmark's own code, in a sandbox
        code = compile(tests, "tests.py", "exec")
        read, bound = _names(compile(tests, "tests.py", "exec", 0x400))  # the tree, without the cost of `import ast`
    except Exception as error:
        raise verdict.give("bad_tests", f"{type(error).__name__}: {error}") from error
    remote.load()
    _bind(names, read - bound, remote, entry)
    try:
        exec(code, names)  # noqa: S102 - the benchmark's own code, in a sandbox
        if CHECK in bound and CHECK not in read:  # those that read it call it themselves
            check = names[CHECK]
            takes = check.__code__.co_argcount - len(check.__defaults__ or ())
            check(*([names["candidate"]] * min(takes, 1)))
    except AssertionError as error:
        raise verdict.give("assertion", _where(error)) from error
    except BaseException as error:
        if isinstance(error, Finished):
            raise
        raise verdict.give("error", _where(error)) from error
    if not remote.calls:
        raise verdict.give("bad_tests", "the tests never call the code")
    raise verdict.give("passed")


def _bind(names: dict[str, Any], free: set[str], remote: Remote, entry: str) -> None:
    import builtins

    for name in free - set(names) - set(dir(builtins)):
        # Tests lean on modules that the code under test is known to import, as MBPP's do on sys.
        if name != entry and name in sys.stdlib_module_names and name not in ("this", "antigravity"):
            names[name] = __import__(name)
        else:
            names[name] = _proxy(remote, name)
    if entry:
        names[entry] = _proxy(remote, entry)
        names["candidate"] = names[entry]


def _names(tree: Any) -> tuple[set[str], set[str]]:
    """Names that the tests read, and those that they bind somewhere."""
    read: set[str] = set()
    bound: set[str] = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        kind = type(node).__name__
        if kind == "Name":
            (read if type(node.ctx).__name__ == "Load" else bound).add(node.id)
        elif kind in ("FunctionDef", "AsyncFunctionDef", "ClassDef"):
            bound.add(node.name)
        elif kind == "arg":
            bound.add(node.arg)
        elif kind == "alias":
            bound.add((node.asname or node.name).split(".")[0])
        elif kind == "ExceptHandler" and node.name:
            bound.add(node.name)
        for field in getattr(node, "_fields", ()):
            value = getattr(node, field, None)
            waiting += value if isinstance(value, list) else [value] if hasattr(value, "_fields") else []
    return read, bound


def _where(error: BaseException) -> str:
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "tests.py":
            line = trace.tb_lineno
        trace = trace.tb_next
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return said if line is None else f"tests.py:{line}: {said}"


def main(arguments: list[str]) -> None:  # pragma: no cover - in a process of its own
    """Judge and say so on stdout."""
    report = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1):
        os.dup2(nothing, fd)
    with open("setup.py", encoding="utf-8") as file:
        setup = file.read()
    with open("tests.py", encoding="utf-8") as file:
        tests = file.read()
    verdict = Verdict()
    with contextlib.suppress(Finished):
        judge(Remote(int(arguments[0]), int(arguments[1]), verdict), verdict, setup, tests, arguments[2])
    os.write(report, f"{verdict.reason}\n{verdict.detail}".encode("utf-8", "backslashreplace"))
    os._exit(0)


if __name__ == "__main__":  # pragma: no cover - in a process of its own
    main(sys.argv[1:])
