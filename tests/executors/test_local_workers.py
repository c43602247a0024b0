"""A run whose tasks other processes carry out reports what it would alone, whatever becomes of those processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from openai_server import SERVER_ERROR, Server, serve
from workers_helpers import TASKS, answer, command, make, report, text, write_tasks

from autoflow.cli.main import main
from autoflow.executors.pool import Pool
from autoflow.runs.ledger import Ledger


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_workers_report_what_one_process_does() -> None:
    refuse = lambda body: SERVER_ERROR if "thing 7" in str(body["messages"]) else None  # noqa: E731
    with serve(replies=[answer], refuse=refuse) as server:
        assert main(command(server, "runs/one", "--epochs", "2", "--max-retries", "0")) == 0
        alone = server.calls
        Path("judges").unlink()
        assert main(command(server, "runs/two", "--epochs", "2", "--max-retries", "0", "--workers", "2")) == 0
        assert server.calls == 2 * alone
    assert report("runs/one") == report("runs/two")
    assert text("runs/one") == text("runs/two")
    assert report("runs/two")["reasons"]["provider"] == 1
    judges = set(Path("judges").read_text().split())
    # On a busy machine the first may have done everything before the second is ready.
    assert 1 <= len(judges) <= 2
    assert str(os.getpid()) not in judges
    _gone(judges)


def _gone(pids: set[str]) -> None:
    deadline = time.monotonic() + 20
    while any(Path("/proc", pid).exists() for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


@pytest.mark.slow
def test_equal_calls_of_several_workers_are_one() -> None:
    write_tasks(["the same thing"] * TASKS)
    with serve(replies=["blue"], latency_s=0.2) as server:
        assert main(command(server, "runs/one", "--workers", "2", "--concurrency", str(TASKS))) == 0
        assert server.calls == 2
    assert report("runs/one")["spend"]["calls"] == 2


@pytest.mark.slow
def test_one_budget_holds_for_all_workers(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(replies=[answer], latency_s=0.01) as server:
        assert main(command(server, "runs/one", "--workers", "2", "--max-calls", "17")) == 6
        assert server.calls == 17
        assert main(command(server, "runs/one", "--workers", "2")) == 0
        assert server.calls == 2 * TASKS
        assert main(command(server, "runs/whole")) == 0
        tokens = report("runs/whole")["spend"]["input_tokens"]
        bound = ["--workers", "2", "--max-tokens-total", str(tokens // 2), "--max-tokens", "4"]
        assert main(command(server, "runs/tokens", *bound)) == 6
        spend = report("runs/tokens")["spend"]
        assert spend["input_tokens"] + spend["output_tokens"] <= tokens // 2
    assert report("runs/one") == report("runs/whole")
    assert "budget" in capsys.readouterr().err


def test_a_worker_killed_in_mid_run_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A child process may take as long to start as the machine needs, at first and later.
    monkeypatch.setitem(Pool.__init__.__kwdefaults__, "patience_s", 0.0)
    with serve(replies=[answer], latency_s=0.01) as server:
        assert main(command(server, "runs/whole")) == 0
        whole = server.calls
        Path("fatal").write_text("t11")
        assert main(command(server, "runs/one", "--workers", "2")) == 0
        # What was in flight in the lost process was asked again, and nothing else.
        assert whole <= server.calls - whole <= whole + 8
    assert report("runs/one") == report("runs/whole")
    assert "a worker was lost" in capsys.readouterr().err


@pytest.mark.slow
def test_a_task_that_takes_its_workers_down_is_a_fault_and_tried_again_on_resume() -> None:
    with serve(replies=[answer]) as server:
        assert main(command(server, "runs/whole")) == 0
        Path("fatal").write_text("t11")
        Path("always").touch()
        assert main(command(server, "runs/one", "--workers", "2", "--concurrency", "2")) == 0
        found = report("runs/one")
        assert "worker" in found["reasons"]
        assert next(row for row in found["rows"] if row["id"] == "t11")["score"] is None
        assert len(Path("pids").read_text().split()) == 3
        Path("fatal").unlink()
        assert main(command(server, "runs/one", "--workers", "2")) == 0
    assert report("runs/one") == report("runs/whole")


@pytest.mark.slow
def test_workers_that_always_die_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fatal").write_text(" ".join(f"t{number}" for number in range(TASKS)))
    Path("always").touch()
    with serve(replies=["blue"]) as server:
        assert main(command(server, "runs/one", "--workers", "2")) == 2
    assert "in a row were lost without a task done" in capsys.readouterr().err


def _started(server: Server, run: str) -> "subprocess.Popen[bytes]":
    arguments = [sys.executable, "-m", "autoflow", *command(server, run, "--workers", "2", "--concurrency", "4")]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_a_driver_that_is_killed_or_interrupted_leaves_no_worker_and_resumes(end: signal.Signals) -> None:
    with serve(replies=[answer], latency_s=0.1) as server:
        driver = _started(server, "runs/one")
        while server.answered < 20:
            assert driver.poll() is None
            time.sleep(0.02)
        driver.send_signal(end)
        assert driver.wait(30) == (130 if end == signal.SIGINT else -9)
        _gone(set(Path("judges").read_text().split()))
        with Ledger.reading(Path("runs/one/ledger.sqlite")) as ledger:
            recorded = ledger.spend().calls
        before, server.latency_s = server.calls, 0.0
        assert recorded >= 16
        assert main(command(server, "runs/one", "--workers", "2")) == 0
        assert server.calls - before == 2 * TASKS - recorded
        assert main(command(server, "runs/whole")) == 0
    assert report("runs/one") == report("runs/whole")


@pytest.mark.slow
def test_a_limit_of_the_server_is_met_by_all_workers_together() -> None:
    with serve(replies=[answer], latency_s=0.02, max_in_flight=3) as server:
        assert main(command(server, "runs/one", "--workers", "2", "--concurrency", "16")) == 0
        refused = server.calls - 2 * TASKS
    assert report("runs/one")["unscored"] == 0
    # Each worker alone would begin with all its calls at once, and learn the limit by itself.
    assert refused < 2 * TASKS


@pytest.mark.slow
def test_no_secret_of_the_environment_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hunter2-hunter2-hunter2")
    with serve(replies=["it is hunter2-hunter2-hunter2"]) as server:
        assert main(command(server, "runs/one", "--workers", "2")) == 0
    for file in Path("runs").rglob("*"):
        assert not file.is_file() or b"hunter2-hunter2" not in file.read_bytes()
    assert report("runs/one")["rows"][0]["answer"] == "it is ***"


@pytest.mark.slow
def test_workflows_written_for_each_task_come_home() -> None:
    draft = "autoflow: 1\nname: d\nsteps:\n- {name: answer, type: terminal, instruction: Name it.}\n"
    writes = ["--generator", "openai/g", "--form", "yaml"]
    with serve(replies=[draft]) as server:
        assert main(command(server, "runs/one", *writes)) == 0
        assert main(command(server, "runs/two", *writes, "--workers", "2")) == 0
    assert report("runs/one") == report("runs/two")
    found = [sorted(item.name for item in Path(run, "workflows").iterdir()) for run in ("runs/one", "runs/two")]
    assert found[0] == found[1]
    assert found[0]
