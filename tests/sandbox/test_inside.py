"""The two halves of a judgement, face to face in one process: what they say to one another, true or not."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoflow.sandbox.inside import check, serve, wire

TESTS = "def check(candidate):\n    assert candidate([1]) == 2"


@pytest.fixture
def pipes() -> Iterator[tuple[int, int, int, int]]:
    """Calls: reading, writing; answers: reading, writing."""
    found = (*os.pipe(), *os.pipe())
    yield found
    for fd in found:
        with contextlib.suppress(OSError):
            os.close(fd)


def _verdict(
    remote_reading: int, remote_writing: int, tests: str = TESTS, entry: str = "f", setup: str = ""
) -> check.Verdict:
    verdict = check.Verdict()
    with pytest.raises(check.Finished):
        check.judge(check.Remote(remote_reading, remote_writing, verdict), verdict, setup, tests, entry)
    return verdict


@pytest.mark.parametrize(
    ("code", "tests", "reason"),
    [
        ("def f(x):\n    x.append(1)\n    return sum(x)", TESTS, "passed"),
        ("def f(x): return 3", TESTS, "assertion"),
        ("def f(x): return x.y", TESTS, "error"),
        ("def f(x): raise SystemExit", TESTS, "error"),
        ("def f(x): return 'x' * 10 ** 7", TESTS, "unsupported_result"),
        ("def f(x): return 2", "assert g(1) == 2\nf()", "error"),
        ("def f(x): return 2", "import os.path as p\nassert f(p) == sys.maxsize", "assertion"),
        ("def f(x): return 2", "assert f(10 ** 5, y='z') == 2", "error"),
        ("def f(x): return 2", "assert f('x' * 10 ** 7) == 2", "bad_tests"),
        ("def f(x): return 2", "assert f(", "bad_tests"),
        ("def f(x): return 2", "pass", "bad_tests"),
        ("def f(x): return 2", "async def g(): pass\nclass C: pass\ntry: f()\nexcept TypeError as e: pass", "passed"),
        ("def f(x): raise UnicodeDecodeError('utf-8', b'', 0, 1, '')", "try: f(1)\nexcept ValueError: pass", "passed"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\ndef f(x): raise E", TESTS, "error"),
        ("def f(x) 1", TESTS, "syntax"),
        ("\0", TESTS, "syntax"),
        ("1 / 0", TESTS, "load_error"),
        ("g = 1", TESTS, "no_function"),
    ],
)
def test_conversation_ends_in_a_verdict(
    pipes: tuple[int, int, int, int], tmp_path: Path, code: str, tests: str, reason: str
) -> None:
    source = tmp_path / "answer0.py"
    source.write_text(code)
    calls_out, calls_in, answers_out, answers_in = pipes
    server = threading.Thread(target=serve.serve, args=(calls_out, answers_in, "f", [str(source)]))
    server.start()
    assert _verdict(answers_out, calls_in, tests).reason == reason
    os.close(calls_in)
    server.join(10)
    assert not server.is_alive()


def test_second_reading_is_taken_where_the_first_does_not_compile(
    pipes: tuple[int, int, int, int], tmp_path: Path
) -> None:
    first, second = tmp_path / "0.py", tmp_path / "1.py"
    first.write_text("    return 2")
    second.write_text("def f(x):\n    return 2")
    calls_out, calls_in, answers_out, answers_in = pipes
    server = threading.Thread(target=serve.serve, args=(calls_out, answers_in, "f", [str(first), str(second)]))
    server.start()
    assert _verdict(answers_out, calls_in).reason == "passed"
    os.close(calls_in)
    server.join(10)


BEGUN: list[Any] = [("ready",), ("loaded",)]


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([], "sandbox"),
        ([("passed",)], "sandbox"),
        ([("ready",)], "crash"),
        ([("ready",), ("failed", "passed", "x")], "load_error"),
        ([("ready",), ("loaded", 1)], "protocol"),
        (BEGUN, "crash"),
        ([*BEGUN, 5], "protocol"),
        ([*BEGUN, ()], "protocol"),
        ([*BEGUN, ("passed",)], "protocol"),
        ([*BEGUN, ("returned", 2)], "protocol"),
        ([*BEGUN, ("returned", 2, 5)], "protocol"),
        ([*BEGUN, ("returned", 2, [5])], "protocol"),
        ([*BEGUN, ("returned", 2, [(0, {})])], "protocol"),
        ([*BEGUN, ("returned", 2, [(7, [])])], "protocol"),
        ([*BEGUN, ("returned", 2, [(object(), [])])], "protocol"),
        ([*BEGUN, ("raised", [], "x")], "error"),
        ([*BEGUN, ("raised", ["exit", 5, "Exception"], "x")], "error"),
        ([*BEGUN, ("raised", "Exception", "x")], "protocol"),
        ([*BEGUN, ("unsupported", "x")], "unsupported_result"),
        ([*BEGUN, ("returned", 2, [(0, [9])])], "passed"),
    ],
)
def test_nothing_that_the_code_can_say_is_taken_for_a_verdict(
    pipes: tuple[int, int, int, int], messages: list[Any], reason: str
) -> None:
    _, calls_in, answers_out, answers_in = pipes
    for message in messages:
        wire.send(answers_in, message)
    os.close(answers_in)
    assert _verdict(answers_out, calls_in).reason == reason


def test_bytes_of_no_form_and_a_code_that_no_longer_listens_are_failures(pipes: tuple[int, int, int, int]) -> None:
    calls_out, calls_in, answers_out, answers_in = pipes
    for message in BEGUN:
        wire.send(answers_in, message)
    os.write(answers_in, b"\0\0\0\1x")
    assert _verdict(answers_out, calls_in).reason == "protocol"
    for message in BEGUN:
        wire.send(answers_in, message)
    os.close(calls_out)
    assert _verdict(answers_out, calls_in).reason == "crash"


def test_first_verdict_stands_whatever_the_tests_catch(pipes: tuple[int, int, int, int]) -> None:
    _, calls_in, answers_out, answers_in = pipes
    for message in BEGUN:
        wire.send(answers_in, message)
    os.close(answers_in)
    tests = "for _ in range(3):\n    try: f([1])\n    except: pass"
    assert _verdict(answers_out, calls_in, tests).reason == "crash"
