"""The verdict on code: what counts as passing, and whose fault a failure is."""

import asyncio
import os

import pytest

from autoflow.errors import DataError, SandboxError
from autoflow.sandbox.choose import describe
from autoflow.sandbox.judge import Checks, Verdict, judge, processors
from autoflow.sandbox.program import Limits, Outcome, Program, Sandbox

BEST = next((boundary.sandbox for boundary in describe() if boundary.sandbox is not None), None)


async def _judge(code: str, tests: str, entry: str = "f", setup: str = "", *more: str) -> Verdict:
    if BEST is None:
        pytest.skip("no sandbox works on this machine")
    return await judge(BEST, (code, *more), Checks(tests, entry, setup), Limits(wall_s=10))


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def f(x): return x + 1", "assert f(1) == 2\nassert candidate(2) == 3"),
        ("def f(x): return x + 1", "def check(candidate):\n    assert candidate(1) == 2"),
        ("def f(x): return x + 1", "def check():\n    assert f(1) == 2"),
        ("def f(x): return x + 1", "def check(candidate, slack=0):\n    assert candidate(1) == 2\ncheck(f)"),
        ("def f(*, a, b=2): return a - b", "assert f(a=5) == 3"),
        ("f = lambda x: {'a': (x, [None, True, 1.5, b'x'])}", "assert f(1) == {'a': (1, [None, True, 1.5, b'x'])}"),
        ("class f:\n    def __init__(self, x): pass", "assert f(1) is not None"),
        ("import re\ndef f(x): return re.match('a', x)", "assert f('ab')\nassert not f('b')"),
        ("def f(x):\n    x.sort()", "v = [3, 1]\nf(v)\nassert v == [1, 3]"),
        ("def f(x, *, y):\n    x['a'] = y.pop()", "v = {}\nw = {9}\nf(v, y=w)\nassert (v, w) == ({'a': 9}, set())"),
        ("count = 0\ndef f():\n    global count; count += 1; return count", "assert [f(), f(), f()] == [1, 2, 3]"),
        ("def f(x):\n    yield x; yield x", "assert list(f(1)) == [1, 1]\nassert f(1) != [1, 1]"),
        ("def f(x): raise ValueError('no')", "try: f(1)\nexcept ValueError as e: assert e.args == ('no',)"),
        (
            "class Own(KeyError): pass\ndef f(x): raise Own('k')",
            "try: f(1)\nexcept KeyError: pass\nelse: assert False",
        ),
        ("def f(x): return b'\\xff'.decode()", "try: f(1)\nexcept ValueError: pass\nelse: assert False"),
        ("def g(x): return x\ndef f(x): return g(x) * 2", "assert f(g(2)) == 4"),
        ("def f(x): return 1", "import math\nassert f(1) == math.floor(1.5)\nassert f(1) < sys.maxsize"),
        ("def f(x):\n    print('noise' * 10**6)\n    return x", "assert f(1) == 1"),
        ("import dataclasses as d\n@d.dataclass\nclass P:\n    x: int\ndef f(x): return P(x).x", "assert f(1) == 1"),
        ("if __name__ == '__main__':\n    1 / 0\ndef f(x): return x", "assert f(1) == 1"),
        ("def f(x): return 10 ** 5000", "assert f(1) == 10 ** 5000"),
        ("def f(x): return float('nan')", "assert f(1) != f(1)"),
        ("import threading as t\nt.Thread(target=t.Event().wait).start()\ndef f(x): return x", "assert f(1) == 1"),
    ],
)  # fmt: skip
async def test_right_code_passes(code: str, tests: str) -> None:
    verdict = await _judge(code, tests)
    assert verdict.passed, verdict
    assert verdict.reason == ""
    assert verdict.seconds > 0


@pytest.mark.parametrize(
    ("code", "tests", "reason", "detail"),
    [
        ("def f(x): return x", "\nassert f(1) == 2, 'one more'", "assertion", "tests.py:2: AssertionError: one more"),
        ("def f(x): return [1]", "assert f(1) == (1,)", "assertion", "tests.py:1: AssertionError"),
        ("def f(x): return x.y", "assert f(1) == 2", "error", "AttributeError: 'int' object has no attribute 'y'"),
        ("def f(): return 1", "assert f(1) == 2", "error", "TypeError"),
        ("def f(x): return g(x)", "assert f(1) == 2", "error", "NameError"),
        ("def f(x): return 1", "assert h(1) == 2\nf(1)", "error", "name 'h' is not defined"),
        ("def f(x): raise Exception('plain')", "f(1)", "error", "CodeRaisedError: plain"),
        ("def f(x) return 1", "assert f(1)", "syntax", "expected ':'"),
        ("1 / 0", "assert f(1)", "load_error", "division by zero"),
        ("f = 3", "assert f(1)", "no_function", "'f'"),
        ("class E(Exception):\n    def __str__(self): 1 / 0\ndef f(x): raise E", "f(1)", "error", "CodeRaisedError"),
        ("def f(x): raise BaseException", "try: f(1)\nexcept ValueError: pass", "error", "BaseException"),
    ],
)
async def test_wrong_code_fails_and_the_reason_is_told(code: str, tests: str, reason: str, detail: str) -> None:
    verdict = await _judge(code, tests)
    assert (verdict.passed, verdict.reason) == (False, reason)
    assert detail in verdict.detail


async def test_crash_cannot_be_taken_for_an_exception_that_the_tests_await() -> None:
    verdict = await _judge("import os\ndef f(x): os._exit(0)", "try:\n    f(1)\nexcept:\n    pass")
    assert (verdict.passed, verdict.reason) == (False, "crash")


async def test_helpers_of_the_tests_are_the_benchmarks_and_not_the_codes() -> None:
    code = "def encode(x): return x\ndef decode(x): return x"
    tests = "assert decode(encode('ab')) == 'ab'"
    assert (await _judge(code, tests, "decode")).passed
    setup = "def encode(x): return x[::-1]"
    assert not (await _judge(code, tests, "decode", setup)).passed


async def test_first_reading_that_compiles_and_has_the_function_is_taken() -> None:
    whole = "def f(x):\n    return x + 1"
    assert (await _judge("    return x + 1", "assert f(1) == 2", "f", "", whole)).passed
    assert (await _judge("y = 1", "assert f(1) == 2", "f", "", whole)).passed
    assert (await _judge("def f(x): return 2", "assert f(5) == 2", "f", "", whole)).passed
    both = await _judge("(", "assert f(1) == 2", "f", "", ")")
    assert both.reason == "syntax"


async def test_code_without_a_named_function_is_judged_by_what_the_tests_call() -> None:
    assert (await _judge("def anything(x): return x", "assert anything(1) == 1", "")).passed


@pytest.mark.parametrize(
    ("tests", "setup"),
    [
        ("assert f(", ""),
        ("assert f(1) == 1", "1 / 0"),
        ("assert True", ""),
        ("def check(candidate): pass", ""),
        ("assert f('x' * 10**7)", ""),
    ],
)
async def test_tests_that_cannot_judge_are_the_datas_fault(tests: str, setup: str) -> None:
    with pytest.raises(DataError, match="the tests cannot be run"):
        await _judge("def f(x): return x", tests, "f", setup)


class Half:
    """A sandbox that fails, or says it was killed, for one of the two programs."""

    name = "half"
    enforced = True

    def __init__(self, inner: Sandbox, main: str, status: int | None = None, stdout: bytes = b"") -> None:
        self._inner, self._main, self._status, self._stdout = inner, main, status, stdout

    async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
        if program.main != self._main:
            return await self._inner.run(program, fds=fds)
        for fd in fds:
            os.close(fd)
        if self._status is None:
            raise SandboxError("no namespaces")
        return Outcome(self._status, self._stdout, b"Killed")


async def test_fault_of_the_sandbox_is_no_verdict() -> None:
    if BEST is None:
        pytest.skip("no sandbox works on this machine")
    checks = Checks("assert f(1) == 1", "f")
    for main in ("serve.py", "check.py"):
        with pytest.raises(SandboxError, match="no namespaces"):
            await judge(Half(BEST, main), ("def f(x): return x",), checks)
    with pytest.raises(SandboxError, match="broke off before the code began"):
        await judge(Half(BEST, "serve.py", 0), ("def f(x): return x",), checks)
    with pytest.raises(SandboxError, match="killed from outside"):
        await judge(Half(BEST, "check.py", 137), ("def f(x): return x",), checks)
    verdict = await judge(Half(BEST, "check.py", 139), ("def f(x): return x",), checks)
    assert (verdict.reason, verdict.detail) == ("error", "the tests broke off: Killed")


async def test_cancelled_judgement_leaves_nothing_running() -> None:
    if BEST is None:
        pytest.skip("no sandbox works on this machine")
    before = len(asyncio.all_tasks())
    for delay in (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3):
        running = asyncio.create_task(judge(BEST, ("while True: pass",), Checks("f()", "f")))
        await asyncio.sleep(delay)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert len(asyncio.all_tasks()) == before


async def test_many_judgements_at_once_do_not_time_one_another_out() -> None:
    if BEST is None:
        pytest.skip("no sandbox works on this machine")
    checks = Checks("assert f(1) == 1", "f")
    found = await asyncio.gather(*(judge(BEST, ("def f(x): return x",), checks, Limits(wall_s=3)) for _ in range(24)))
    assert all(verdict.passed for verdict in found)


def test_processors_are_counted_where_affinity_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processors() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert processors() == (os.cpu_count() or 1)
