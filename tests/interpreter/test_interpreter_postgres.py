"""Checkpoints in PostgreSQL: a killed run goes on after its last finished step, and the address is nowhere written."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import postgres_server
import pytest
from openai_server import Server, serve

from autoflow.cli.main import main
from autoflow.interpreter.checkpoint import DSN

pytest.importorskip("psycopg", reason="needs the extra `postgres`")
pytest.importorskip("langgraph.checkpoint.postgres", reason="needs the extra `postgres`")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(postgres_server.programs() is None, reason="needs the programs of Debian's package postgresql"),
]

STEPS = 6
FLOW = (
    "autoflow: 1\nname: long\nsteps:\n"
    + "".join(
        f"  - {{name: s{number}, type: process, instruction: Step {number}., next: s{number + 1}}}\n"
        for number in range(STEPS - 1)
    )
    + f"  - {{name: s{STEPS - 1}, type: terminal, instruction: Answer.}}\n"
)

# A step of code leaves no model call behind: only a checkpoint knows that it has run.
CODE = """\
autoflow: 1
name: coded
steps:
  - {name: s0, type: process, instruction: Think., next: s1}
  - name: s1
    type: process
    operator: python
    parameters: {code: "def run(results, task): import time; return 'time-%d' % time.time_ns()"}
    instruction: Take the time.
    next: s2
  - {name: s2, type: process, instruction: Think on., next: s3}
  - {name: s3, type: terminal, instruction: Answer.}
"""

BENCHMARK = """\
name: long
description: Long tasks.
data: {jsonl: tasks.jsonl, fields: {id: id, text: text, reference: {answer: text}}}
scorer: contains
baseline: flow.yaml
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with postgres_server.serve() as address:
        yield address


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flow.yaml").write_text(FLOW)
    (tmp_path / "benchmark.yaml").write_text(BENCHMARK)
    rows = "".join(f'{{"id": "t{number}", "text": "task {number}"}}\n' for number in range(4))
    (tmp_path / "tasks.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(DSN, address)


def _killed(server: Server, command: list[str], calls: int) -> None:
    """Start the command and kill it once so many calls were answered."""
    program = subprocess.Popen(
        [sys.executable, "-m", "autoflow", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while server.answered < calls:
        assert program.poll() is None
        time.sleep(0.01)
    program.send_signal(signal.SIGKILL)
    program.wait()


def test_a_killed_run_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    with serve(replies=["fine"], latency_s=0.3) as server:
        run = ["run", "flow.yaml", "Do it.", "--interpreter", "openai/m", "--base-url", server.url]
        run += ["--checkpointer", "postgres"]
        _killed(server, run, 3)
        time.sleep(0.5)
        before, server.latency_s = server.calls, 0.0
        assert main(run) == 0
        # The call that was in flight is made again; at least two steps are not.
        assert server.calls - before <= STEPS - 2
        shown = capsys.readouterr()
        assert "resuming from the database" in shown.err
        assert shown.out.strip() == "fine"
        calls = server.calls
        assert main(run) == 0
        assert server.calls == calls


@pytest.mark.parametrize("workers", [[], ["--workers", "2"]])
def test_a_killed_bench_goes_on_in_mid_task(workers: list[str], address: str) -> None:
    Path("flow.yaml").write_text(CODE)
    with serve(replies=[lambda body: f"took {len(str(body))}"], latency_s=0.3) as server:
        bench = ["bench", "benchmark.yaml", "--interpreter", "openai/m", "--base-url", server.url, "--run", "runs/one"]
        bench += ["--checkpointer", "postgres", *workers]
        others = _threads(address)
        _killed(server, bench, 6)
        kept = _times(address)
        assert kept
        server.latency_s = 0.0
        assert main(bench) == 0
        traces = _traces(Path("runs/one"))
        # What the code gave before the kill is what the traces have: it was not run again.
        assert kept <= traces
        assert _threads(address) == others
    secret = os.environ[DSN].split(":")[2].split("@")[0]
    for file in Path("runs").rglob("*"):
        assert not file.is_file() or (
            secret.encode() not in file.read_bytes() and address.encode() not in file.read_bytes()
        )


def _times(address: str) -> set[str]:
    """The results of the step of code that are in the database."""
    import asyncio
    import re

    from autoflow.interpreter.checkpoint import open_postgres

    async def read() -> set[str]:
        async with open_postgres(make=False) as saver:
            found = [item.checkpoint["channel_values"] async for item in saver.alist(None)]
        return set(re.findall(r"time-\d+", str(found)))

    return asyncio.run(read())


def _traces(folder: Path) -> set[str]:
    import re
    import sqlite3

    rows = sqlite3.connect(folder / "ledger.sqlite").execute("SELECT trace FROM traces").fetchall()
    return set(re.findall(r"time-\d+", str(rows)))


def _threads(address: str) -> set[str]:
    import psycopg

    with psycopg.connect(address) as database:
        if database.execute("SELECT to_regclass('checkpoints')").fetchone() == (None,):
            return set()
        return {row[0] for row in database.execute("SELECT thread_id FROM checkpoints")}


def test_an_address_that_does_not_answer_is_told_without_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["run", "flow.yaml", "Do it.", "--interpreter", "openai/m", "--checkpointer", "postgres"]
    with serve(replies=["fine"]) as server:
        run += ["--base-url", server.url]
        monkeypatch.setenv(DSN, "postgresql://tester:hunter2hunter2@127.0.0.1:1/none")
        assert main(run) == 2
        monkeypatch.delenv(DSN)
        assert main(run) == 2
        assert main([*run, "--checkpoint", "file.sqlite"]) == 2
        assert server.calls == 0
    shown = capsys.readouterr().err
    assert "hunter2" not in shown
    assert "cannot be reached" in shown
    assert "AUTOFLOW_POSTGRES_DSN is not set" in shown
    assert "--checkpoint names a file, and --checkpointer postgres keeps no file" in shown
