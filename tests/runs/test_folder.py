"""A run folder is found by its command, held by one process, and never resumed under another configuration."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from autoflow.core.workflow import Step, Workflow
from autoflow.errors import RunError
from autoflow.runs.folder import RunFolder, default_name, identity, info, list_runs

CONFIG = {"kind": "bench", "settings": {"protocol": "fused", "stop": ["a"]}, "seed": 0, "budget": {"calls": 10}}


def test_same_configuration_names_the_same_folder() -> None:
    name = default_name("improve", "openagi", CONFIG)
    assert name == default_name("improve", "openagi", {**CONFIG, "budget": {"calls": 20}, "command": "x"})
    assert name != default_name("improve", "openagi", {**CONFIG, "seed": 1})
    assert name.startswith("improve-openagi-")
    assert len(name) == len("improve-openagi-") + 8
    assert default_name("bench", "/some/where/My Tasks.yaml", CONFIG).startswith("bench-my-tasks-")


def test_new_folder_holds_the_configuration_and_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run"
    with RunFolder.open(path, CONFIG) as folder:
        assert not folder.resumed
        folder.end("budget")
    assert yaml.safe_load((path / "config.yaml").read_text()) == CONFIG
    with RunFolder.open(path, {**CONFIG, "settings": {"protocol": "fused", "stop": ("a",)}}) as folder:
        assert folder.resumed
        folder.end("complete")
    assert [line.split()[1] for line in (path / "log").read_text().splitlines()] == [
        "started",
        "budget",
        "started",
        "complete",
    ]


def test_other_budget_resumes_and_is_kept(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG):
        pass
    with RunFolder.open(tmp_path / "run", {**CONFIG, "budget": {"calls": 99}}):
        pass
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["budget"] == {"calls": 99}


def test_damaged_configuration_is_told_by_its_place(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG):
        pass
    (tmp_path / "run" / "config.yaml").write_text("kind: bench\nseed: [: x\n")
    with pytest.raises(RunError, match=r"config\.yaml:2:8: cannot be read: .*\n  the run is damaged"):
        RunFolder.open(tmp_path / "run", CONFIG)


def test_folder_of_another_command_is_refused_in_a_line(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG):
        pass
    with pytest.raises(RunError, match="holds a run of autoflow bench, not of autoflow improve") as refused:
        RunFolder.open(tmp_path / "run", {**CONFIG, "kind": "improve", "strategy": "w4s"})
    assert "strategy" not in str(refused.value)


def test_changed_configuration_is_refused_naming_the_keys(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG):
        pass
    with pytest.raises(RunError) as caught:
        RunFolder.open(tmp_path / "run", {**CONFIG, "settings": {"protocol": "core", "stop": ["a"]}, "extra": True})
    message = str(caught.value)
    assert 'settings.protocol: "fused" in the folder, "core" now' in message
    assert "extra: null in the folder, true now" in message
    assert "seed" not in message
    assert "stop" not in message
    # The refusal left the lock free.
    with RunFolder.open(tmp_path / "run", CONFIG):
        pass


def test_one_is_not_true(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", {"flag": 1}):
        pass
    with pytest.raises(RunError, match="flag: 1 in the folder, true now"):
        RunFolder.open(tmp_path / "run", {"flag": True})


_HOLD = """
import sys, time
from pathlib import Path
from autoflow.runs.folder import RunFolder
folder = RunFolder.open(Path(sys.argv[1]), {"seed": 0})
print("held", flush=True)
time.sleep(60)
"""


def test_second_process_is_refused_naming_the_first_and_a_killed_one_frees_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"in use by process {holder.pid}"):
            RunFolder.open(path, {"seed": 0})
        assert info(path).state == "running"
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    assert info(path).state == "killed"
    with RunFolder.open(path, {"seed": 0}) as folder:
        assert folder.resumed


def test_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(RunError, match="no run folder"):
        RunFolder.open(tmp_path, CONFIG)
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(RunError, match="is a file"):
        RunFolder.open(tmp_path / "thesis.tex", CONFIG)
    with pytest.raises(RunError, match="cannot make"):
        RunFolder.open(tmp_path / "thesis.tex" / "run", CONFIG)


def test_folder_begun_by_a_killed_sitting_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    (tmp_path / "config.yaml.new").write_text("half")
    with RunFolder.open(tmp_path, CONFIG) as folder:
        assert not folder.resumed


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "\x00"])
def test_unreadable_configuration_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml"):
        RunFolder.open(tmp_path, CONFIG)


def test_secrets_are_not_written(tmp_path: Path) -> None:
    config = {
        "base_url": "https://user:hunter2@host/v1?api-key=hunter2&x=1",
        "endpoints": {"mine": {"key_env": "MY_KEY", "password": None}},
        "list": ["http://a:hunter2@b"],
    }
    with RunFolder.open(tmp_path / "run", config):
        pass
    with RunFolder.open(tmp_path / "run", config) as folder:
        assert folder.resumed
    for file in (tmp_path / "run").iterdir():
        assert b"hunter2" not in file.read_bytes()
    assert identity(config)["base_url"] == "https://***@host/v1?api-key=***&x=1"
    with pytest.raises(RunError, match=r"secret at models\.api_key"):
        RunFolder.open(tmp_path / "other", {"models": {"api_key": "hunter2"}})
    assert not (tmp_path / "other").exists()


def test_errors_and_interrupts_are_recorded_as_the_end(tmp_path: Path) -> None:
    def leave(error: BaseException) -> None:
        with RunFolder.open(tmp_path / "run", CONFIG):
            raise error

    with pytest.raises(RunError):
        leave(RunError("odd"))
    assert info(tmp_path / "run").state == "failed"
    with pytest.raises(asyncio.CancelledError):
        leave(asyncio.CancelledError())
    assert info(tmp_path / "run").state == "interrupted"


def test_only_ends_end_a_sitting(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG) as folder:
        with pytest.raises(ValueError, match="not running"):
            folder.end("running")
        folder.end("complete")


def test_workflows_are_kept_as_yaml(tmp_path: Path) -> None:
    with RunFolder.open(tmp_path / "run", CONFIG) as folder:
        file = folder.save_workflow("best", Workflow("w", (Step("only", "terminal", "Answer."),)))
    assert file == tmp_path / "run" / "workflows" / "best.yaml"
    assert "name: w" in file.read_text()


def test_runs_are_listed_with_their_states(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent") == []
    now = iter(range(1000))
    for name, end in (("second", "complete"), ("first", "interrupted")):
        with RunFolder.open(tmp_path / name, CONFIG, clock=lambda: float(next(now))) as folder:
            folder.end(end)  # type: ignore[arg-type]
    (tmp_path / "stranger").mkdir()
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "config.yaml").write_text("a: 1")
    empty = tmp_path / "empty"
    RunFolder.open(empty, CONFIG).close()
    (empty / "ledger.sqlite").write_text("x" * 4096)
    runs = list_runs(tmp_path)
    assert [(run.name, run.state) for run in runs] == [
        ("second", "complete"),
        ("first", "interrupted"),
        ("damaged", "damaged"),
        ("empty", "damaged"),
    ]
    assert runs[0].config is not None
    assert runs[0].spend is not None
    assert "ledger" in (runs[2].problem or "")
