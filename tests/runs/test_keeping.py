"""Runs are passed on whole and cleared away only when somebody says so."""

import shutil
import zipfile
from pathlib import Path

import pytest

from autoflow.cli.main import main
from autoflow.runs.folder import RunFolder, list_runs
from autoflow.runs.keeping import export, prunable
from autoflow.runs.ledger import Ledger

DAY = 86_400.0


def _run(path: Path, *, end: bool = True, began: float = 0.0, command: str = "autoflow runs list") -> Path:
    with RunFolder.open(path, {"kind": "bench", "command": command}, clock=lambda: began) as run:
        run.write("report.txt", "all is well")
        if end:
            run.end("complete")
    return path


def test_an_exported_run_is_a_run_elsewhere_also_while_it_goes_on(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "runs" / "a", {"kind": "bench", "command": ""}) as running:
        running.event("in the middle")
        file = export(tmp_path / "runs" / "a", tmp_path / "a.zip")
    shutil.rmtree(tmp_path / "runs")
    with zipfile.ZipFile(file) as packed:
        assert "a/lock" not in packed.namelist()
        packed.extractall(tmp_path / "elsewhere")
    (found,) = list_runs(tmp_path / "elsewhere")
    assert found.state == "killed"
    with Ledger.reading(found.path / "ledger.sqlite") as ledger:
        assert [event.kind for event in ledger.events()] == ["started", "in the middle"]


def test_old_runs_are_listed_and_deleted_only_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    old = _run(tmp_path / "runs" / "old")
    assert main(["runs", "prune", "--older-than", "1"]) == 0
    assert "would delete runs/old" in capsys.readouterr().out
    assert old.is_dir()
    assert main(["runs", "prune", "--older-than", "1", "--state", "killed", "--yes"]) == 0
    assert old.is_dir()
    assert main(["runs", "prune", "--older-than", "1", "--yes"]) == 0
    assert not old.exists()
    assert main(["runs", "prune", "--older-than", "1", "--state", "tired"]) == 2


def test_young_and_running_runs_stay(tmp_path: Path) -> None:
    _run(tmp_path / "old", began=0.0)
    _run(tmp_path / "young", began=9.5 * DAY)
    with RunFolder.open(tmp_path / "running", {"kind": "bench"}, clock=lambda: 0.0):
        found = prunable(tmp_path, ["complete", "running", "killed"], DAY, 10 * DAY)
    assert [run.name for run in found] == ["old"]


def test_resume_gives_the_command_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _run(tmp_path / "runs" / "a")
    assert main(["runs", "resume", "a"]) == 0
    assert capsys.readouterr().err.startswith("resuming: autoflow runs list\n")
    _run(tmp_path / "runs" / "b", command="autoflow bench x --base-url http://***@host")
    assert main(["runs", "resume", "b"]) == 2
    assert "secret" in capsys.readouterr().err
