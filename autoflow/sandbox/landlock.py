"""Landlock and seccomp: no file but Python's own, no network, no other process; for where namespaces are forbidden.

Needs no program and no privilege, only Linux 5.13. What it leaves open, against bubblewrap: a program can learn that
a path exists, can read installed packages, and can write nowhere.
"""

import ctypes
import os
import platform
import sys
import tempfile
from pathlib import Path

from autoflow.errors import SandboxError
from autoflow.sandbox.process import Handover, Start, execute
from autoflow.sandbox.program import Outcome, Program
from autoflow.sandbox.python import interpreter
from autoflow.sandbox.seccomp import filter_for


class Landlock:
    """One process a program, which gives up its rights before the program begins."""

    name = "landlock"
    enforced = True

    async def run(self, program: Program, *, fds: tuple[int, ...] = ()) -> Outcome:
        """See `Sandbox.run`."""
        with Handover(fds) as inherited, tempfile.TemporaryDirectory(prefix="autoflow-sandbox-") as work:
            python = interpreter()
            code = filter_for(platform.machine(), host_files=True)
            if code is None:
                raise SandboxError(f"no system call filter for {platform.machine()!r}; there are: x86_64, aarch64")
            readable = [*python.readable, os.devnull, "/dev/urandom", work]
            start = Start((python.executable,), folder=Path(work), confine=(readable, code, os.getpid()))
            return await execute(start, program, inherited)


def version() -> int | None:
    """Landlock's own version here; `None` where the kernel lacks it or has it switched off."""
    if sys.platform != "linux":
        return None
    found = ctypes.CDLL(None).syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    return found if found > 0 else None
