"""What a hostile program can reach from inside: nothing of the machine."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoflow.sandbox.choose import describe
from autoflow.sandbox.program import MIB, Limits, Program, Sandbox

LIMITS = Limits(wall_s=10)
CANARY = "canary-9f3b61d7c2"

ENFORCED = [boundary.sandbox for boundary in describe() if boundary.sandbox is not None]
NAMES = [boundary.name for boundary in describe() if boundary.sandbox is not None]

# Each attempt is an expression; what it leads to is reported, never raised.
PRELUDE = """
import json, os, sys
def attempt(name, action):
    try:
        found[name] = ["got", repr(action())[:20000]]
    except BaseException as error:
        found[name] = ["refused", type(error).__name__]
found = {}
"""
EPILOGUE = "\nprint(json.dumps(found))\n"


@pytest.fixture(params=ENFORCED or [None], ids=NAMES or ["none"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param is None:
        pytest.skip("no sandbox works on this machine")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def _planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key file in the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "credentials"
    file.write_text(CANARY)
    return file


async def _attempts(sandbox: Sandbox, body: str, *argv: str, limits: Limits = LIMITS) -> dict[str, list[str]]:
    outcome = await sandbox.run(Program({"main.py": PRELUDE + body + EPILOGUE}, argv=argv, limits=limits))
    assert CANARY.encode() not in outcome.stdout + outcome.stderr
    assert outcome.status == 0, outcome
    found: dict[str, list[str]] = json.loads(outcome.stdout)
    return found


def _all_refused(found: dict[str, list[str]]) -> None:
    assert found
    assert {name: result for name, result in found.items() if result[0] != "refused"} == {}


async def test_keys_are_out_of_reach(sandbox: Sandbox, secret: Path) -> None:
    found = await _attempts(
        sandbox,
        """
home = sys.argv[1]
found["environment"] = ["refused" if set(os.environ) <= {"LANG", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PWD"}
                        else "got", str(dict(os.environ))]
attempt("file", lambda: open(home).read())
attempt("link", lambda: (os.symlink(home, "link"), open("link").read()))
attempt("hard link", lambda: (os.link(home, "hard"), open("hard").read()))
attempt("home", lambda: os.listdir(os.path.dirname(home)))
for path in ("/etc/shadow", "/etc/passwd", "/etc/hosts", "/root/.ssh", "/root/.bashrc", "/var/log", "/run", "/sys"):
    attempt(path, lambda: open(path).read() if not os.path.isdir(path) else os.listdir(path))
for who in ("self", "1", str(os.getppid()), "thread-self"):
    for what in ("environ", "mem", "cmdline", "maps", "root", "fd", "cwd/.."):
        path = f"/proc/{who}/{what}"
        attempt(path, lambda: open(path, "rb").read() if what not in ("root", "fd", "cwd/..") else os.listdir(path))
attempt("root by /proc", lambda: open("/proc/self/root" + home).read())
attempt("up", lambda: open("../" * 20 + home.lstrip("/")).read())
attempt("block device", lambda: open("/dev/sda", "rb").read(1) + open("/dev/vda", "rb").read(1))
attempt("terminal", lambda: open("/dev/tty"))
""",
        str(secret),
    )
    _all_refused(found)


async def test_nothing_is_written_outside(sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    mode = kept.stat().st_mode
    found = await _attempts(
        sandbox,
        """
import shutil
folder, kept = sys.argv[1:3]
attempt("write", lambda: open(folder + "/written", "w").write("x"))
attempt("overwrite", lambda: open(kept, "w"))
attempt("append", lambda: open(kept, "a"))
attempt("truncate", lambda: os.truncate(kept, 0))
attempt("remove", lambda: os.remove(kept))
attempt("rename", lambda: os.rename(kept, kept + "2"))
attempt("chmod", lambda: os.chmod(kept, 0o777))
attempt("chown", lambda: os.chown(kept, 0, 0))
attempt("touch", lambda: os.utime(kept))
attempt("xattr", lambda: os.setxattr(kept, "user.x", b"x"))
attempt("folder", lambda: os.mkdir(folder + "/new"))
attempt("link out", lambda: (os.symlink(folder, "out"), open("out/written", "w")))
attempt("root", lambda: open("/written", "w"))
attempt("python", lambda: open(os.__file__, "a"))
attempt("dev", lambda: open("/dev/written", "w"))
attempt("shm", lambda: open("/dev/shm/written", "w"))
attempt("tmp", lambda: open("/tmp/written", "w"))
attempt("node", lambda: os.mknod(folder + "/node"))
attempt("rmtree", lambda: shutil.rmtree(folder))
shutil.rmtree("/", ignore_errors=True)
shutil.rmtree(".", ignore_errors=True)
""",
        str(tmp_path),
        str(kept),
    )
    _all_refused(found)
    assert not target.exists()
    assert kept.read_text() == "as it was"
    assert kept.stat().st_mode == mode
    assert Path(os.__file__).exists()


@pytest.fixture
def servers() -> Iterator[tuple[int, str]]:
    """A server on the loopback interface and one on an abstract Unix socket; both count who comes."""
    with socket.create_server(("127.0.0.1", 0)) as inet, socket.socket(socket.AF_UNIX) as unix:
        name = f"autoflow-test-{os.getpid()}"
        unix.bind("\0" + name)
        unix.listen()
        yield inet.getsockname()[1], name


async def test_there_is_no_network(sandbox: Sandbox, servers: tuple[int, str]) -> None:
    port, name = servers
    found = await _attempts(
        sandbox,
        """
import socket
def connect(family, address):
    with socket.socket(family) as found:
        found.settimeout(2)
        found.connect(address)
        return "connected"
attempt("tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))))
attempt("outside", lambda: connect(socket.AF_INET, ("1.1.1.1", 53)))
attempt("tcp6", lambda: connect(socket.AF_INET6, ("::1", int(sys.argv[1]))))
attempt("abstract", lambda: connect(socket.AF_UNIX, "\\0" + sys.argv[2]))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 53)))
attempt("raw", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("alg", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
attempt("names", lambda: socket.getaddrinfo("example.com", 80))
""",
        str(port),
        name,
    )
    _all_refused(found)


async def test_a_program_is_one_process(sandbox: Sandbox) -> None:
    found = await _attempts(
        sandbox,
        """
import ctypes, signal, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def syscall(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    if number in (56, 57, 58, 435) and result == 0:
        os._exit(7)
    return result
attempt("fork", os.fork)
attempt("forkpty", os.forkpty)
attempt("spawn", lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", "1"], {}))
attempt("subprocess", lambda: subprocess.run([sys.executable, "-c", "1"]))
attempt("shell", lambda: subprocess.check_output("echo", shell=True))
if os.uname().machine == "x86_64":
    for name, number in {"fork": 57, "vfork": 58, "clone": 56, "ptrace": 101, "unshare": 272, "memfd": 319,
                         "io_uring": 425, "bpf": 321, "keyctl": 250, "userfaultfd": 323, "perf": 298, "shmget": 29,
                         "process_vm_readv": 310, "pidfd_getfd": 438, "mount": 165, "a later call": 600}.items():
        attempt("syscall " + name, lambda: syscall(number, 17 if number == 56 else 0, 0, 0, 0, 0))
attempt("clone3", lambda: syscall(435, 0, 0))
attempt("outlive the parent", lambda: libc.prctl(1, 0, 0, 0, 0) and 1 / 0)
for pid in (os.getppid(), 1, -1):
    attempt(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL))
attempt("killpg", lambda: os.killpg(0, signal.SIGKILL))
attempt("priority", lambda: os.setpriority(os.PRIO_USER, 0, 5))
import resource
attempt("raise a limit", lambda: resource.setrlimit(resource.RLIMIT_AS, (-1, -1)))
attempt("another's limits", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1)))
attempt("become another", lambda: os.setuid(1 if os.getuid() == 0 else 0))
""",
    )
    _all_refused(found)


async def test_capabilities_are_none(sandbox: Sandbox) -> None:
    found = await _attempts(
        sandbox,
        """
import ctypes
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
ctypes.CDLL(None).capget(header, sets)
found["sets"] = list(sets)
""",
    )
    assert found["sets"] == [0] * 6


async def test_fork_bomb_memory_bomb_and_thread_bomb_end_with_the_program(sandbox: Sandbox) -> None:
    limits = Limits(wall_s=5, memory_bytes=256 * MIB)
    fork = "import os\nwhile True:\n    os.fork()\n"
    outcome = await sandbox.run(Program({"main.py": fork}, limits=limits))
    assert outcome.status == 1
    assert b"PermissionError" in outcome.stderr
    outcome = await sandbox.run(
        Program({"main.py": "x = []\nwhile True:\n    x.append(bytearray(1 << 24))\n"}, limits=limits)
    )
    assert outcome.killed_by == "memory"
    threads = (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    outcome = await sandbox.run(Program({"main.py": threads}, limits=limits))
    assert outcome.status != 0
    assert outcome.seconds < 6


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_flood_of_output_is_cut_and_stopped(sandbox: Sandbox, stream: str) -> None:
    code = f"import sys\nwhile True:\n    sys.{stream}.write('x' * 65536)\n"
    outcome = await sandbox.run(Program({"main.py": code}, limits=Limits(wall_s=20, output_bytes=100_000)))
    assert outcome.killed_by == "output"
    assert not outcome.timed_out
    assert len(getattr(outcome, stream)) == 100_000


async def test_disk_cannot_be_filled(sandbox: Sandbox) -> None:
    found = await _attempts(
        sandbox,
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
def fill():
    for number in range(1000):
        with open(f"file{number}", "wb") as file:
            file.write(bytes(1 << 20))
def one():
    with open("one", "wb") as file:
        for _ in range(1000):
            file.write(bytes(1 << 20))
attempt("one file", one)
attempt("many files", fill)
""",
        limits=Limits(wall_s=10, file_bytes=4 * MIB, folder_bytes=16 * MIB),
    )
    _all_refused(found)


async def test_programs_do_not_meet(sandbox: Sandbox) -> None:
    leave = "try:\n    open('left', 'w').write('x')\n    print('left')\nexcept OSError:\n    pass\n"
    await sandbox.run(Program({"main.py": leave}))
    outcome = await sandbox.run(Program({"main.py": "import os; print(sorted(os.listdir()))"}))
    assert outcome.stdout.strip() == b"['main.py']"


HOST = """
import asyncio, sys
from autoflow.sandbox.choose import describe
from autoflow.sandbox.program import Limits, Program
sandbox = next(b.sandbox for b in describe() if b.name == sys.argv[1])
code = "import os\\nos.write(int(__import__('sys').argv[1]), b'x')\\nwhile True: pass\\n"
fd = int(sys.argv[2])
asyncio.run(sandbox.run(Program({"main.py": code}, argv=(str(fd),), limits=Limits(wall_s=60)), fds=(fd,)))
"""


async def test_program_dies_with_the_process_that_started_it(sandbox: Sandbox, root: Path, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    env = {**os.environ, "TMPDIR": str(tmp_path)}  # a process that is killed leaves its folder
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, sandbox.name, str(writing)], pass_fds=(writing,), cwd=root, env=env
    )
    os.close(writing)
    try:
        assert await asyncio.to_thread(os.read, reading, 1) == b"x"
        host.kill()
        host.wait()
        # The program holds the last copy: the pipe ends when it does.
        assert await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 10) == b""
    finally:
        host.kill()
        os.close(reading)


async def test_cancelled_run_leaves_no_process(sandbox: Sandbox) -> None:
    reading, writing = os.pipe()
    code = "import os\nos.write(int(__import__('sys').argv[1]), b'x')\nwhile True: pass\n"
    running = asyncio.create_task(sandbox.run(Program({"main.py": code}, argv=(str(writing),)), fds=(writing,)))
    try:
        assert await asyncio.to_thread(os.read, reading, 1) == b"x"
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await asyncio.wait_for(asyncio.to_thread(os.read, reading, 1), 10) == b""
    finally:
        os.close(reading)
    assert threading.active_count() < 50
