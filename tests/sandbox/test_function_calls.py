"""One function of untrusted code, called on JSON values: what comes back, and what cannot."""

import json
from pathlib import Path

import pytest

from autoflow.core.json import Json
from autoflow.errors import SandboxError
from autoflow.sandbox.choose import choose
from autoflow.sandbox.function import Returned, call
from autoflow.sandbox.inside import call as inside
from autoflow.sandbox.program import MIB, Limits, Outcome, Program

CANARY = "canary-4417ab90"
LIMITS = Limits(wall_s=10, memory_bytes=512 * MIB)


async def run(source: str, *arguments: Json, limits: Limits = LIMITS) -> Returned:
    return await call(choose(), source, "f", arguments, limits)


@pytest.mark.parametrize(
    ("source", "arguments", "value"),
    [
        (
            "def f(x): return x",
            ({"a": [1, None, "\u00e9\U0001f600", 1.5, True]},),
            {"a": [1, None, "\u00e9\U0001f600", 1.5, True]},
        ),
        ("def f(): return None", (), None),
        ("def f(a, b): return a + b", (1, 2), 3),
        ("def f(a): return a", (1, 2), 1),
        ("def f(*all): return all", (1, 2), [1, 2]),
        ("f = len", ("abc",), 3),
        (
            "def f(): return {3, 1, 2}, range(2), {'k': (1,)}.keys(), (x for x in 'ab')",
            (),
            [[1, 2, 3], [0, 1], ["k"], ["a", "b"]],
        ),
        ("from fractions import Fraction\ndef f(): return Fraction(1, 3)", (), "1/3"),
        ("from decimal import Decimal\ndef f(): return [Decimal('0.10')]", (), ["0.10"]),
        ("import datetime\ndef f(): return datetime.date(2024, 2, 29)", (), "2024-02-29"),
        ("def f():\n    print('noise')\n    return 1", (), 1),
        ("def f(): return '\\ud800x'", (), "?x"),
        ("def f(): return 10 ** 40", (), 10**40),
    ],
)
async def test_values_go_in_and_come_out(source: str, arguments: tuple[Json, ...], value: Json) -> None:
    found = await run(source, *arguments)
    assert (found.value, found.reason) == (value, None)
    json.dumps(found.value, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    ("source", "reason", "said"),
    [
        ("def f(: pass", "error", "line 1: SyntaxError"),
        ("x = 1\n1 / 0", "error", "line 2: ZeroDivisionError"),
        ("def f():\n    return [1][3]", "error", "line 2: IndexError: list index out of range"),
        ("import json\ndef f():\n    return json.loads('{')", "error", "line 3: JSONDecodeError"),
        ("def g(): pass", "error", "defines no function f()"),
        ("f = 3", "error", "defines no function f()"),
        ("def f(): return object()", "error", "a object is no JSON value"),
        ("def f(): return b'x'", "error", "no JSON value"),
        ("def f(): return float('nan')", "error", "ValueError"),
        ("def f(): return {(1, 2): 3}", "error", "TypeError"),
        ("def f(): return f()", "error", "RecursionError"),
        ("def f():\n    x = []\n    x.append(x)\n    return x", "error", "Circular"),
        ("def f(): raise SystemExit(0)", "error", "SystemExit"),
        ("class E(Exception):\n    def __str__(self): raise E\ndef f(): raise E", "error", "E"),
        ("import os\ndef f(): os._exit(0)", "ended", "ended its process"),
        ("def f(): return 'x' * (2 * 10 ** 6)", "output", "wrote more than"),
        ("def f():\n    while True: print('x' * 1000)", "output", "wrote more than"),
        ("import numpy\ndef f(): pass", "error", "ModuleNotFoundError"),
    ],
)
async def test_what_the_code_does_wrong_is_told_with_its_line(source: str, reason: str, said: str) -> None:
    found = await run(source)
    assert (found.value, found.reason) == (None, reason)
    assert said in found.failure


async def test_endless_and_greedy_code_is_stopped() -> None:
    found = await run("def f():\n    while True: pass", limits=Limits(wall_s=0.3))
    assert (found.reason, found.failure) == ("timeout", "the code ran longer than 0.3 s")
    found = await run("def f(): return len(bytearray(10 ** 9))", limits=Limits(wall_s=10, memory_bytes=256 * MIB))
    assert found.reason in ("memory", "error")
    assert found.value is None
    assert (await run("#" * (MIB + 1))).reason == "too_long"


async def test_code_reaches_no_key_no_file_and_no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    secret = tmp_path / "key"
    secret.write_text(CANARY)
    source = f"""
import os, socket
def attempt(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__
def f():
    return [
        attempt(lambda: dict(os.environ)),
        attempt(lambda: open({str(secret)!r}).read()),
        attempt(lambda: open('/proc/self/environ').read()),
        attempt(lambda: open({str(tmp_path / "written")!r}, 'w')),
        attempt(lambda: socket.create_connection(('127.0.0.1', 9), 1)),
        attempt(lambda: os.fork()),
    ]
"""
    found = await run(source)
    assert isinstance(found.value, list)
    assert len(found.value) == 6
    assert CANARY not in str(found.value)
    assert not (tmp_path / "written").exists()
    assert not str(found.value[5]).isdigit()


@pytest.mark.parametrize(
    "written",
    [
        b"",
        b"null",
        b"[1]",
        b'{"result": NaN}',
        b'{"result": 1} and more',
        b"[" * 100_000,
        b'{"result": ' + b"9" * 5_000 + b"}",
        b"\xff\xfe",
        b'{"error": ["not", "a text"]}',
        b'{"error": ""}',
        b"{}",
    ],
)
async def test_whatever_the_process_writes_is_read_as_data(written: bytes) -> None:
    class Forged:
        name, enforced = "forged", True

        async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
            return Outcome(0, written, b"")

    found = await call(Forged(), "", "f", (), LIMITS)
    assert found.value is None
    assert found.reason in ("ended", "error")
    assert found.failure


async def test_a_broken_sandbox_is_no_failure_of_the_code() -> None:
    class Broken:
        name, enforced = "broken", True

        async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
            raise SandboxError("no namespaces")

    with pytest.raises(SandboxError):
        await call(Broken(), "def f(): return 1", "f", (), LIMITS)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(x): return {x}", {"result": [1]}),
        ("def f(x): return {1, 'a'}", {"result": [1, "a"]}),
        ("def f(x): return 2j", {"result": "2j"}),
        ("def f(x):\n    return x.y", {"error": "line 2: AttributeError: 'int' object has no attribute 'y'"}),
    ],
)
def test_the_inside_answers_in_this_process_as_in_its_own(source: str, expected: dict[str, Json]) -> None:
    found = json.loads(inside.answer(source, "f", [1]))
    if found.get("result") == ["a", 1]:
        found["result"] = [1, "a"]
    assert found == expected
