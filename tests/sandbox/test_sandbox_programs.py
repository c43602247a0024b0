"""What every way to run a program has in common, the unsafe one included."""

import os
from pathlib import Path

import pytest

from autoflow.errors import SandboxError
from autoflow.sandbox.bubblewrap import Bubblewrap
from autoflow.sandbox.choose import describe
from autoflow.sandbox.program import MIB, Limits, Program, Sandbox
from autoflow.sandbox.unsafe import Unsafe

ALL: list[Sandbox] = [*(boundary.sandbox for boundary in describe() if boundary.sandbox is not None), Unsafe()]


@pytest.fixture(params=ALL, ids=[sandbox.name for sandbox in ALL])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return request.param  # type: ignore[no-any-return]


async def test_program_has_its_files_arguments_and_stdin(sandbox: Sandbox) -> None:
    files = {
        "main.py": "import sys\nfrom tools.twice import twice\nprint(twice(sys.stdin.read()), sys.argv, __name__)\n",
        "tools/twice.py": "def twice(x): return x + x\n",
    }
    outcome = await sandbox.run(Program(files, argv=("a", "b c"), stdin="h\u00e9".encode()))
    assert outcome.stdout.decode() == "h\u00e9h\u00e9 ['main.py', 'a', 'b c'] __main__\n"
    assert (outcome.status, outcome.stderr, outcome.timed_out, outcome.killed_by) == (0, b"", False, None)
    assert 0 < outcome.seconds < 15


async def test_large_stdin_and_output_do_not_block_each_other(sandbox: Sandbox) -> None:
    code = "import sys\nfor line in sys.stdin:\n    sys.stdout.write(line); sys.stderr.write(line)\n"
    text = (b"x" * 99 + b"\n") * 9000
    outcome = await sandbox.run(Program({"main.py": code}, stdin=text))
    assert outcome.stdout == outcome.stderr == text


async def test_stdin_need_not_be_read(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(Program({"main.py": "print('done')"}, stdin=b"x" * (8 * MIB)))
    assert outcome.stdout == b"done\n"


@pytest.mark.parametrize(
    ("code", "status", "stderr"),
    [
        ("raise SystemExit(7)", 7, b""),
        ("1 / 0", 1, b"ZeroDivisionError"),
        ("def f(:", 1, b"SyntaxError"),
        ("import os; os._exit(3)", 3, b""),
        ("import ctypes; ctypes.string_at(0)", 139, b""),
    ],
)
async def test_exit_status_is_the_programs(sandbox: Sandbox, code: str, status: int, stderr: bytes) -> None:
    outcome = await sandbox.run(Program({"main.py": code}))
    assert outcome.status == status
    assert stderr in outcome.stderr


async def test_wall_clock_stops_a_program_and_keeps_what_it_said(sandbox: Sandbox) -> None:
    code = "import time\nprint('begun', flush=True)\ntime.sleep(60)\n"
    outcome = await sandbox.run(Program({"main.py": code}, limits=Limits(wall_s=0.5)))
    assert outcome.timed_out
    assert outcome.killed_by is None
    assert outcome.stdout == b"begun\n"
    assert 0.4 < outcome.seconds < 5


async def test_processor_time_is_limited(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(Program({"main.py": "while True: pass"}, limits=Limits(wall_s=20, cpu_s=1)))
    assert outcome.killed_by == "cpu"
    ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass\n"
    outcome = await sandbox.run(Program({"main.py": ignoring}, limits=Limits(wall_s=20, cpu_s=1)))
    assert outcome.killed_by == "cpu"


async def test_memory_is_limited(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(Program({"main.py": "x = bytearray(1 << 30)"}, limits=Limits(memory_bytes=128 * MIB)))
    assert outcome.status == 1
    assert outcome.killed_by == "memory"


async def test_inherited_descriptors_are_closed_here_in_every_case(sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    code = "import os, sys\nos.write(int(sys.argv[1]), b'hello')\n"
    await sandbox.run(Program({"main.py": code}, argv=(str(writing),)), fds=(writing,))
    assert os.read(reading, 9) == b"hello"
    assert os.read(reading, 9) == b""
    os.close(reading)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writing)


async def test_hash_seed_is_fixed_so_that_the_same_program_says_the_same(sandbox: Sandbox) -> None:
    program = Program({"main.py": "print(list({'a', 'b', 'c', 'd', 'e'}), hash('x'))"})
    assert (await sandbox.run(program)).stdout == (await sandbox.run(program)).stdout


async def test_boundary_that_cannot_start_is_no_verdict(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with pytest.raises(SandboxError, match="cannot start /nowhere/bwrap"):
        await Bubblewrap("/nowhere/bwrap").run(Program({"main.py": ""}), fds=(writing,))
    assert os.read(reading, 1) == b""
    os.close(reading)
    broken = tmp_path / "bwrap"
    broken.write_text("#!/bin/sh\necho 'no permission to make namespaces' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxError, match="did not start: no permission to make namespaces"):
        await Bubblewrap(str(broken)).run(Program({"main.py": ""}))


async def test_boundary_that_hangs_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoflow.sandbox.process.START_S", 0.3)
    hanging = tmp_path / "bwrap"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    with pytest.raises(SandboxError, match="did not start: no message"):
        await Bubblewrap(str(hanging)).run(Program({"main.py": ""}))


async def test_too_little_memory_for_python_is_the_sandboxs_fault(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="did not start"):
        await sandbox.run(Program({"main.py": "", "x" * 300: ""}))


def test_program_names_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match=r"no file 'main.py' to run; there are: a.py"):
        Program({"a.py": ""})
    for name in ("/etc/x", "../x", "a/../../x", "a\0"):
        with pytest.raises(ValueError, match="not inside the program's folder"):
            Program({"main.py": "", name: ""})
    with pytest.raises(ValueError, match="limit wall_s must be positive, not 0"):
        Limits(wall_s=0)
