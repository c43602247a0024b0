"""Which Python runs inside, and the files that it needs."""

import os
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autoflow.errors import SandboxError

_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/nix/store", "/etc/ld.so.cache")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python that runs this process, without its environment's packages."""

    executable: str
    readable: tuple[str, ...]
    """Files and folders to show: the interpreter, its standard library, shared libraries."""

    hidden: tuple[str, ...]
    """Folders of installed packages below `readable`."""


@cache
def interpreter() -> Interpreter:
    """Find it.

    Raises:
        SandboxError: If this process does not know its own interpreter, as in some embedded ones.
    """
    # Not sys.executable: a virtual environment's is a link, and its packages are none of the program's business.
    known = getattr(sys, "_base_executable", None) or sys.executable
    if not known:
        raise SandboxError("this Python does not say where its executable is, so none can be started")
    executable = os.path.realpath(known)
    base = Path(sys.base_prefix)
    wanted = [executable, sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(base / "lib")]
    wanted += [str(base / "lib64"), *_SYSTEM]
    readable = tuple(dict.fromkeys(path for path in map(os.path.normpath, wanted) if Path(path).exists()))
    hidden = [
        str(Path(path) / name)
        for path in (*readable, "/usr/lib/python3")
        for name in ("site-packages", "dist-packages")
    ]
    return Interpreter(executable, readable, tuple(path for path in dict.fromkeys(hidden) if Path(path).is_dir()))
