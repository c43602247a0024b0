"""Code that wants to pass its tests without being right. Each piece is contained and fails."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from autoflow.sandbox.choose import describe
from autoflow.sandbox.judge import Checks, judge
from autoflow.sandbox.program import MIB, Limits, Sandbox

TESTS = Checks("def check(candidate):\n    assert candidate(2) == 4\n    assert candidate(3) == 9\n", entry="f")
LIMITS = Limits(wall_s=10, memory_bytes=256 * MIB)
SHORT = Limits(wall_s=1, memory_bytes=256 * MIB)
"""For what will run into the limit."""

ENFORCED = [boundary.sandbox for boundary in describe() if boundary.sandbox is not None]
NAMES = [boundary.name for boundary in describe() if boundary.sandbox is not None]

EQUAL = """
class Equal{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 1
    def __bool__(self): return True
    def __repr__(self): return "4"
    def __reduce__(self): return (eval, ("4",))
    __lt__ = __gt__ = __le__ = __ge__ = __sub__ = __rsub__ = __abs__ = lambda *_: True
def f(x):
    return Equal({arguments})
"""

# name -> (code, reasons that are right)
HOSTILE = {
    "os._exit(0) before the tests": ("import os\nos._exit(0)\n", {"crash"}),
    "os._exit(0) in the function": ("import os\ndef f(x): os._exit(0)\n", {"crash"}),
    "sys.exit(0) before the tests": ("import sys\nsys.exit(0)\n", {"load_error"}),
    "sys.exit(0) in the function": ("import sys\ndef f(x): sys.exit(0)\n", {"error"}),
    "raises KeyboardInterrupt": ("def f(x): raise KeyboardInterrupt\n", {"error"}),
    "prints passed": ("print('passed')\ndef f(x): print('passed\\n')\n", {"assertion"}),
    "writes passed to every descriptor": (
        "import os\n"
        "def f(x):\n"
        "    for fd in range(64):\n"
        "        try: os.write(fd, b'passed\\n')\n"
        "        except OSError: pass\n",
        {"protocol"},
    ),
    "answers in a frame of its own": (
        "import os\n"
        "from autoflow.sandbox.inside import wire\n"
        "def f(x):\n"
        "    for fd in range(3, 64):\n"
        "        try: wire.send(fd, ('passed',))\n"
        "        except OSError: pass\n",
        {"protocol"},
    ),
    "claims another argument": (
        "import os\n"
        "from autoflow.sandbox.inside import wire\n"
        "def f(x):\n"
        "    for fd in range(3, 64):\n"
        "        try: wire.send(fd, ('returned', 4, [(0, [4])]))\n"
        "        except OSError: pass\n",
        {"protocol"},
    ),
    "hangs up": ("import os\nos.closerange(0, 64)\ndef f(x): return 4\n", {"crash"}),
    "hangs up and stays": ("import os\nos.closerange(0, 64)\nwhile True: pass\n", {"crash", "timeout"}),
    "patches the checker": (
        "import builtins, sys\n"
        "builtins.AssertionError = builtins.Exception = type('E', (BaseException,), {})\n"
        "builtins.isinstance = lambda *_: True\n"
        "sys.exit = sys.excepthook = lambda *_: None\n"
        "import autoflow.sandbox.inside.wire as wire\n"
        "wire.loads = wire.receive = lambda *_: ('f', [2], {})\n"
        "def f(x): return None\n",
        {"assertion", "crash", "protocol", "error"},
    ),
    "patches the unittest module and assert": (
        "import unittest\nunittest.TestCase.assertEqual = lambda *_: None\n__debug__2 = False\ndef f(x): return 0\n",
        {"assertion"},
    ),
    "sends a pickle": (
        "import pickle\n"
        "class P:\n"
        "    def __reduce__(self): return (exec, ('import os; os._exit(0)',))\n"
        "def f(x): return pickle.dumps(P())\n",
        {"assertion"},
    ),
    "returns an object that can be pickled": (
        "class P:\n    def __reduce__(self): return (exec, ('import os; os._exit(0)',))\ndef f(x): return P()\n",
        {"assertion"},
    ),
    "is equal to everything": (EQUAL.format(base="", arguments=""), {"assertion"}),
    "is an int equal to everything": (EQUAL.format(base="(int)", arguments="5"), {"assertion"}),
    "is a str equal to everything": (EQUAL.format(base="(str)", arguments="'5'"), {"assertion"}),
    "is a list equal to everything": (EQUAL.format(base="(list)", arguments=""), {"assertion"}),
    "lies about its class": (
        "class L:\n    __class__ = int\n    def __int__(self): return 0\n    def __eq__(self, o): return True\n"
        "def f(x): return L()\n",
        {"assertion", "error"},
    ),
    "has a hostile repr": (
        "import os\nclass R:\n    def __repr__(self): os._exit(0)\n    __str__ = __bool__ = __repr__\n"
        "def f(x): return R()\n",
        {"crash"},
    ),
    "reads the tests": (
        "import gc, glob, os, sys\n"
        "def f(x):\n"
        "    texts = []\n"
        "    for name in glob.glob('**', recursive=True) + glob.glob('/work/**', recursive=True):\n"
        "        if os.path.isfile(name): texts.append(open(name).read())\n"
        "    frame = sys._getframe()\n"
        "    while frame: texts.append(str(frame.f_locals) + str(list(frame.f_globals))); frame = frame.f_back\n"
        "    texts += [o for o in gc.get_objects() if isinstance(o, str)]\n"
        # Joined, or the code would find its own source.
        "    needle = ''.join(['candidate', '(3) =='])\n"
        "    return x * x if any(needle in text for text in texts) else None\n",
        {"assertion"},
    ),
    "reads the other process": (
        "import os\ndef f(x):\n"
        "    return 4 if any(os.path.exists(f'/proc/{pid}/fd') and os.listdir(f'/proc/{pid}/fd')"
        " for pid in range(1, 99)) else 0\n",
        {"assertion", "error"},
    ),
    "kills the parent": (
        "import os, signal\n"
        "def f(x):\n"
        "    for pid in (os.getppid(), 1, -1, 0):\n"
        "        try: os.kill(pid, signal.SIGKILL)\n"
        "        except OSError: pass\n",
        {"assertion"},
    ),
    "forks and carries on": (
        "import os\ndef f(x):\n    if os.fork() == 0:\n        while True: pass\n    os._exit(0)\n",
        {"error"},
    ),
    "fork bomb": ("import os\nwhile True:\n    os.fork()\n", {"load_error"}),
    "memory bomb": (
        "def f(x):\n    a = []\n    while True: a.append(bytearray(1 << 24))\n",
        {"error", "memory", "crash"},
    ),
    "memory bomb when read": ("x = [0] * (1 << 40)\n", {"load_error"}),
    "infinite loop": ("def f(x):\n    while True: pass\n", {"timeout"}),
    "infinite loop when read": ("while True: pass\n", {"timeout"}),
    "sleeps": ("import time\ndef f(x): time.sleep(99)\n", {"timeout"}),
    "ignores the limit on processor time": (
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\ndef f(x):\n    while True: pass\n",
        {"timeout"},
    ),
    "infinite output": ("def f(x):\n    while True: print('x' * 65536)\n", {"timeout"}),
    "infinite output to stderr": (
        "import sys\ndef f(x):\n    while True: sys.stderr.write('x' * 65536)\n",
        {"timeout"},
    ),
    "infinite output to the tests": (
        "import os\nwhile True:\n    for fd in range(3, 64):\n"
        "        try: os.write(fd, b'x' * 65536)\n        except OSError: pass\n",
        {"protocol"},
    ),
    "sockets": ("import socket\ndef f(x): return socket.socket()\n", {"error"}),
    "threads left running": (
        "import threading\n"
        "def loop():\n    while True: pass\n"
        "for _ in range(3): threading.Thread(target=loop).start()\n"
        "def f(x): return 0\n",
        {"assertion", "timeout"},
    ),
    "exit handler": ("import atexit, os\natexit.register(lambda: os._exit(0))\ndef f(x): return 0\n", {"assertion"}),
    "recursion without a limit": (
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef g(x): return g(x) + 1\ndef f(x): return g(x)\n",
        {"crash", "error", "memory", "timeout"},
    ),
    "no recursion at all": (
        "import sys\ndef f(x):\n    sys.setrecursionlimit(30)\n    return [[[[[]]]]]\n",
        {"assertion", "error"},
    ),
    "segmentation fault": ("import ctypes\ndef f(x): return ctypes.string_at(0)\n", {"crash"}),
    "deletes files": ("import shutil\nshutil.rmtree('/', ignore_errors=True)\ndef f(x): return 0\n", {"assertion"}),
    "huge value": ("def f(x): return 'x' * (1 << 24)\n", {"unsupported_result"}),
    "huge list": ("def f(x): return [0] * (1 << 22)\n", {"unsupported_result", "error"}),
    "huge number": ("def f(x): return 1 << (1 << 26)\n", {"unsupported_result"}),
    "deep value": (
        "def f(x):\n    value = []\n    for _ in range(10 ** 5): value = [value]\n    return value\n",
        {"unsupported_result"},
    ),
    "value within itself": (
        "def f(x):\n    value = []\n    value.append(value)\n    return value\n",
        {"unsupported_result"},
    ),
    "value that doubles": (
        "def f(x):\n    value = []\n    for _ in range(60): value = [value, value]\n    return value\n",
        {"unsupported_result"},
    ),
    "endless iterator": ("import itertools\ndef f(x): return itertools.count()\n", {"unsupported_result"}),
    "deep bytes on the wire": (
        "import os\ndef f(x):\n"
        "    body = b'l1:' * 100000\n"
        "    for fd in range(3, 64):\n"
        "        try: os.write(fd, len(body).to_bytes(4, 'big') + body)\n"
        "        except OSError: pass\n",
        {"protocol"},
    ),
    "false length on the wire": (
        "import os\ndef f(x):\n"
        "    for fd in range(3, 64):\n"
        "        try: os.write(fd, b'\\xff\\xff\\xff\\xff')\n"
        "        except OSError: pass\n",
        {"protocol"},
    ),
    "null bytes": ("def f(x): return x * x\n\0", {"syntax"}),
    "lone surrogate": ("def f(x): return '\ud800'\n", {"assertion", "syntax"}),
    "source that exhausts the compiler": ("(" * 100_000, {"syntax", "load_error", "crash"}),
    "source that exhausts the compiler with unary signs": (
        "x = " + "-" * 500_000 + "1",
        {"syntax", "load_error", "crash"},
    ),
    "no function": ("g = 1\n", {"no_function"}),
    "empty": ("", {"no_function"}),
    "too long": ("#" * (2 * MIB), {"too_long"}),
}


@pytest.fixture(params=ENFORCED or [None], ids=NAMES or ["none"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param is None:
        pytest.skip("no sandbox works on this machine")
    return request.param  # type: ignore[no-any-return]


# The verdict is made in the same way behind every boundary: the others need only show those that touch the kernel.
TOUCHING = (
    "os._exit(0) before the tests",
    "writes passed to every descriptor",
    "kills the parent",
    "fork bomb",
    "sockets",
)
CASES = [
    pytest.param(boundary, name, id=f"{label}-{name}")
    for number, (boundary, label) in enumerate(zip(ENFORCED, NAMES, strict=True))
    for name in HOSTILE
    if number == 0 or name in TOUCHING
]


@pytest.mark.parametrize(("boundary", "name"), CASES)
async def test_hostile_answer_fails(boundary: Sandbox, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-77e1a0"
    monkeypatch.setenv("OPENAI_API_KEY", canary)
    code, reasons = HOSTILE[name]
    began = time.monotonic()
    verdict = await judge(boundary, (code,), TESTS, SHORT if "timeout" in reasons else LIMITS)
    assert not verdict.passed
    assert verdict.reason in reasons, verdict
    assert canary not in verdict.detail
    assert time.monotonic() - began < 25
    assert Path(os.__file__).exists()


async def test_right_answer_passes_where_hostile_ones_fail(sandbox: Sandbox) -> None:
    verdict = await judge(sandbox, ("def f(x): return x * x\n",), TESTS, LIMITS)
    assert verdict.passed, verdict


async def test_hostile_answer_leaves_no_descriptor_behind(sandbox: Sandbox) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    await judge(sandbox, ("import os\nos._exit(0)\n",), TESTS, LIMITS)
    before = count()
    for name in ("os._exit(0) before the tests", "infinite loop", "prints passed"):
        await judge(sandbox, (HOSTILE[name][0],), TESTS, Limits(wall_s=0.5))
    # The loop closes the pipes of a killed child in a later turn, much later on a busy machine.
    for _ in range(100):
        if count() <= before:
            break
        await asyncio.sleep(0.1)
    assert count() <= before
