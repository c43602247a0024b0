"""A report that can be trusted: resumed, stopped or killed, it says the same as an uninterrupted one."""

import asyncio
import gc
import json
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoflow.bench import BenchConfig, bench, run_path, select
from autoflow.core.benchmark import Benchmark
from autoflow.core.budget import Budget
from autoflow.core.json import Json
from autoflow.core.model import Feature, Model, Reply, Request, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Step, Workflow
from autoflow.errors import ProviderError, RunError, UnknownNameError, UsageError
from autoflow.executors.local import Processes
from autoflow.models.options import ModelOptions
from autoflow.objective import objective

WORKFLOW = Workflow(
    "two steps",
    (
        Step("think", "process", "Think about it.", next="answer"),
        Step("answer", "terminal", "Answer."),
    ),
)
CONFIG = BenchConfig(benchmark="sums", interpreter="echo/model", seed=3, command="autoflow bench sums")


class Echo:
    """Answers each request by its own text, always alike; counts what it is asked."""

    name = "echo/model"
    features: frozenset[Feature] = frozenset()

    def __init__(self) -> None:
        self.asked = 0
        self.down: set[str] = set()
        self.stop_at: tuple[int, asyncio.Event] | None = None
        self.closed = 0

    async def complete(self, request: Request) -> Reply:
        self.asked += 1
        text = "\n".join(message.text for message in request.messages)
        if self.stop_at is not None and self.asked == self.stop_at[0]:
            self.stop_at[1].set()
        await asyncio.sleep(0)
        for word in self.down:
            if word in text:
                raise ProviderError(f"{word} is down", transient=True)
        return Reply(f"{len(text)} \x1b[31m\ud800", self.name, Usage(len(text), 7, None, 1e-6 * len(text)), 0.1, "stop")

    async def aclose(self) -> None:
        self.closed += 1


class Judge:
    label = "sum score"

    async def score(self, task: Task, trace: Trace) -> Score:
        kind = task.reference["kind"]
        if kind == "uncovered":
            return Score(None, "not_covered")
        return Score(1.0 if kind == "right" else 0.25, "" if kind == "right" else "wrong", {"nan": float("nan")})


KINDS = ("right", "wrong", "right", "uncovered", "right", "wrong", "right", "right", "wrong", "right")
TASKS = tuple(
    Task(str(number), f"task number {number} end", reference={"kind": kind}, category="even" if number % 2 else "odd")
    for number, kind in enumerate(KINDS)
)
BENCHMARK = Benchmark("sums", "Sums.", (), (), Judge(), fingerprint="f1", notes=("Only sums.",))


async def _bench(path: Path, model: Model | None = None, config: BenchConfig = CONFIG, **arguments: Any) -> Any:
    return await bench(config, WORKFLOW, BENCHMARK, model or Echo(), tasks=TASKS, folder=path, **arguments)


def _files(path: Path) -> tuple[bytes, bytes]:
    return (path / "report.json").read_bytes(), (path / "report.txt").read_bytes()


async def test_report_says_all_that_a_reader_needs(tmp_path: Path) -> None:
    report = await _bench(tmp_path / "run")
    written = json.loads((tmp_path / "run" / "report.json").read_text(encoding="ascii"))
    assert written == json.loads(json.dumps(report.to_json()))
    assert (written["schema"], written["kind"], written["state"]) == (1, "bench", "complete")
    assert written["command"] == "autoflow bench sums"
    assert written["score"] == "sum score"
    assert written["notes"] == ["Only sums."]
    assert written["answered"] == ["echo/model"]
    assert written["config"]["seed"] == 3
    assert written["config"]["workflow"]["fingerprint"] == WORKFLOW.fingerprint()
    assert "budget" not in written["config"]
    assert (written["tasks"], written["n"], written["unscored"], written["not_covered"]) == (10, 9, 1, 1)
    assert written["mean"] == pytest.approx(0.75)
    assert written["low"] < 0.75 < written["high"]
    assert written["interval"] == "95 % bootstrap"
    assert written["reasons"] == {"wrong": 3, "not_covered": 1}
    assert [(group["category"], group["n"], group["unscored"]) for group in written["categories"]] == [
        ("odd", 5, 0),
        ("even", 4, 1),
    ]
    assert written["spend"]["calls"] == 20
    assert written["spend"]["usd"] > 0
    row = written["rows"][1]
    assert (row["id"], row["category"], row["score"], row["reason"], row["calls"]) == ("1", "even", 0.25, "wrong", 2)
    assert row["details"] == {"nan": "nan"}
    assert "seconds" not in (tmp_path / "run" / "report.json").read_text()
    timing = json.loads((tmp_path / "run" / "timing.json").read_text())
    assert timing["rows"].keys() == {task.id for task in TASKS}
    assert timing["failed_calls"] == 0


@pytest.mark.parametrize("scorable", [True, False])
async def test_the_report_is_one_document_with_a_line_a_row(tmp_path: Path, scorable: bool) -> None:
    model = Echo()
    model.down = set() if scorable else {"task"}
    report = await _bench(tmp_path / "run", model)
    written = (tmp_path / "run" / "report.json").read_text(encoding="ascii")
    lines = ",\n".join(f"  {json.dumps(row.to_json(), allow_nan=False)}" for row in report.rows)
    head = json.dumps({**report.to_json(), "rows": []}, indent=1, allow_nan=False)
    assert written == head.replace('"rows": []', f'"rows": [\n{lines}\n ]') + "\n"
    assert (tmp_path / "run" / "report.txt").read_text() == report.to_text()
    timing = (tmp_path / "run" / "timing.json").read_text()
    assert timing == json.dumps(json.loads(timing), indent=1) + "\n"
    assert json.loads(timing)["rows"] == dict(report.timing.rows)
    assert len(report.timing.rows) == (10 if scorable else 0)


async def test_results_that_are_read_back_are_those_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _bench(tmp_path / "run")
    monkeypatch.setattr(objective, "AT_HAND", 3)
    await _bench(tmp_path / "other")
    assert _files(tmp_path / "run") == _files(tmp_path / "other")


async def test_the_collector_is_left_as_it_was(tmp_path: Path) -> None:
    before = gc.get_threshold()
    await asyncio.gather(_bench(tmp_path / "a"), _bench(tmp_path / "b", config=replace(CONFIG, limit=1)))
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


async def test_tasks_are_read_one_by_one(tmp_path: Path) -> None:
    class Lazy(Sequence[Task]):
        alive = most = 0

        def __len__(self) -> int:
            return 200

        def __getitem__(self, index: int) -> Task:  # type: ignore[override]
            if not 0 <= index < 200:
                raise IndexError
            return Task(str(index), f"task {index}", reference=Counted(self))

    class Counted(dict[str, Json]):
        def __init__(self, of: Lazy) -> None:
            super().__init__(kind="right")
            of.alive += 1
            of.most = max(of.most, of.alive)
            weakref.finalize(self, lambda: setattr(of, "alive", of.alive - 1))

    tasks = Lazy()
    report = await bench(CONFIG, WORKFLOW, BENCHMARK, Echo(), tasks=tasks, folder=tmp_path / "run")
    assert report.scores.interval is not None
    assert report.scores.interval.n == 200
    assert tasks.most < 40


async def test_text_report_is_plain(tmp_path: Path) -> None:
    text = (await _bench(tmp_path / "run")).to_text()
    assert text.startswith("sum score on sums, split test: 0.750 [")
    assert "n = 9" in text
    assert "unscored 1 of 10, of which not covered 1" in text
    assert "reasons: wrong 3, not_covered 1" in text
    assert "note: Only sums." in text
    assert "3      -  not_covered\n" in text
    assert "\x1b" not in text


async def test_finished_run_is_read_without_a_call(tmp_path: Path) -> None:
    await _bench(tmp_path / "run")
    before = _files(tmp_path / "run")
    model = Echo()
    report = await _bench(tmp_path / "run", model)
    assert model.asked == 0
    assert _files(tmp_path / "run") == before
    assert report.exit_code == 0


async def test_equal_work_gives_equal_reports_whatever_the_concurrency(tmp_path: Path) -> None:
    await _bench(tmp_path / "one", config=replace(CONFIG, concurrency=1, epochs=2))
    await _bench(tmp_path / "many", config=replace(CONFIG, concurrency=7, epochs=2))
    assert _files(tmp_path / "one") == _files(tmp_path / "many")


async def test_budget_stops_and_a_larger_one_resumes_to_the_same_report(tmp_path: Path) -> None:
    await _bench(tmp_path / "whole")
    model = Echo()
    stopped = await _bench(tmp_path / "run", model, replace(CONFIG, budget=Budget(calls=7)))
    assert (stopped.state, stopped.exit_code, model.asked) == ("budget", 6, 7)
    assert stopped.interval is None or stopped.interval.mean > 0
    assert stopped.reasons["not_run"] >= 6
    assert "not complete (budget)" in stopped.to_text()
    resumed = await _bench(tmp_path / "run", model, replace(CONFIG, budget=Budget(calls=20)))
    assert (resumed.state, model.asked) == ("complete", 20)
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")


async def test_interrupted_run_resumes_to_the_same_report(tmp_path: Path) -> None:
    await _bench(tmp_path / "whole")
    model, stop = Echo(), asyncio.Event()
    model.stop_at = (5, stop)
    stopped = await _bench(tmp_path / "run", model, replace(CONFIG, concurrency=2), stop=stop)
    assert (stopped.state, stopped.exit_code) == ("interrupted", 130)
    assert 0 < stopped.spend.calls < 20
    await _bench(tmp_path / "run", model)
    assert model.asked == 20
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")


async def test_outage_is_unscored_and_resumes_to_the_same_report(tmp_path: Path) -> None:
    await _bench(tmp_path / "whole")
    model = Echo()
    model.down = {"number 4 end", "number 7 end"}
    report = await _bench(tmp_path / "run", model)
    assert report.state == "complete"
    assert report.reasons["provider"] == 2
    assert report.unscored == 3
    assert report.interval is not None
    assert report.interval.n == 7
    model.down = set()
    await _bench(tmp_path / "run", model)
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")


async def test_provider_that_is_gone_is_no_score(tmp_path: Path) -> None:
    model = Echo()
    model.down = {"task"}
    report = await _bench(tmp_path / "run", model, replace(CONFIG, limit=3))
    assert (report.state, report.exit_code, report.interval) == ("complete", 5, None)
    assert "no task scored" in report.to_text()
    report = await _bench(tmp_path / "more", model, replace(CONFIG, concurrency=2))
    assert (report.state, report.exit_code) == ("provider", 5)


async def test_changed_configuration_is_refused(tmp_path: Path) -> None:
    await _bench(tmp_path / "run")
    with pytest.raises(RunError, match=r"seed: 3 in the folder, 4 now"):
        await _bench(tmp_path / "run", config=replace(CONFIG, seed=4))
    with pytest.raises(RunError, match=r"settings\.max_steps: 50 in the folder, 9 now"):
        await _bench(tmp_path / "run", config=replace(CONFIG, settings=replace(CONFIG.settings, max_steps=9)))


async def test_same_command_finds_its_run(tmp_path: Path) -> None:
    model = Echo()
    for _ in range(2):
        report = await bench(CONFIG, WORKFLOW, BENCHMARK, model, tasks=TASKS, runs=tmp_path)
    assert report.folder == run_path(CONFIG, WORKFLOW, BENCHMARK, tmp_path)
    assert report.folder.name.startswith("bench-sums-")
    assert model.asked == 20


async def test_no_credential_of_a_url_is_in_any_file(tmp_path: Path) -> None:
    url = "https://me:hunter2@host/v1?api_key=hunter2"
    report = await _bench(tmp_path / "run", config=replace(CONFIG, base_url=url, command=f"bench --base-url {url}"))
    assert report.command == "bench --base-url https://***@host/v1?api_key=***"
    for file in (tmp_path / "run").rglob("*"):
        assert file.is_dir() or b"hunter2" not in file.read_bytes()


async def test_step_with_its_own_model_is_recorded_and_closed(tmp_path: Path) -> None:
    steps = (replace(WORKFLOW.steps[0], model="echo/model"), WORKFLOW.steps[1])
    workflow = Workflow("own", steps)
    own = Echo()
    for _ in range(2):
        report = await bench(
            CONFIG, workflow, BENCHMARK, Echo(), tasks=TASKS, folder=tmp_path / "run", open_model=lambda spec: own
        )
    assert own.asked == 10
    assert own.closed >= 1
    assert report.spend.calls == 20
    with pytest.raises(UsageError, match="echo/model"):
        await bench(CONFIG, workflow, BENCHMARK, Echo(), tasks=TASKS, folder=tmp_path / "none")


async def test_model_without_a_price_is_refused_under_a_dollar_budget(tmp_path: Path) -> None:
    model = Echo()
    with pytest.raises(UsageError, match="echo/model"):
        await _bench(tmp_path / "run", model, replace(CONFIG, budget=Budget(usd=1.0)), price=lambda *_: None)
    assert model.asked == 0


async def test_tasks_are_read_from_the_held_out_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def load_split(name: str, split: str, *, options: Mapping[str, Json]) -> tuple[Task, ...]:
        asked.append((name, split))
        return TASKS

    monkeypatch.setattr("autoflow.benchmarks.held_out.load_split", load_split)
    report = await bench(CONFIG, WORKFLOW, BENCHMARK, Echo(), folder=tmp_path / "run")
    assert asked == [("sums", "test")]
    assert len(report.rows) == 10


def test_tasks_are_selected_by_id() -> None:
    def ids(written: str | None, limit: int | None = None) -> list[str]:
        return [task.id for task in select(TASKS, written, limit, "test")]

    assert ids("7, 0-2,4") == ["0", "1", "2", "4", "7"]
    assert ids("8-999999999999") == ["8", "9"]
    assert ids(None, 2) == ["0", "1"]
    assert ids("3-5", 1) == ["3"]
    with pytest.raises(UnknownNameError, match=r"'77'; there are: 0, 1, 2"):
        ids("77")
    with pytest.raises(UnknownNameError, match=r"'20-30'"):
        ids("20-30")
    with pytest.raises(UsageError, match="no task to run"):
        select((), None, None, "test")
    named = tuple(Task(f"en-{number}", "x") for number in range(30))
    assert [task.id for task in select(named, "en-3", None, "test")] == ["en-3"]
    with pytest.raises(UnknownNameError, match="and 10 more"):
        select(named, "3", None, "test")


_DRIVER = '''
"""Runs a bench over and over, killed at random moments, until it comes to its end. Prints how often."""
import asyncio, hashlib, os, random, signal, sys, time
from pathlib import Path

from autoflow.bench import BenchConfig, bench
from autoflow.core.benchmark import Benchmark
from autoflow.core.model import Reply, Usage
from autoflow.core.score import Score
from autoflow.core.task import Task
from autoflow.core.workflow import Step, Workflow
from autoflow.runs.ledger import Ledger

root, kills = Path(sys.argv[1]), int(sys.argv[2])

class Slow:
    name = "slow/model"
    features = frozenset()

    async def complete(self, request):
        key = request.key(self.name)
        with (root / "asked").open("a") as log:
            log.write(key + "\\n")
        await asyncio.sleep(0.002 + int(key[:2], 16) / 25_000)
        return Reply(key[:6], self.name, Usage(3, 2, None, int(key[2:6], 16) / 7), 0.1, "stop")

    async def aclose(self):
        pass

class Judge:
    label = "hash score"

    async def score(self, task, trace):
        return Score(int(hashlib.sha256(str(trace.answer).encode()).hexdigest()[:4], 16) / 65535)

steps = tuple(Step(f"s{n}", "process", f"Do {n}.", next=f"s{n + 1}") for n in range(2))
workflow = Workflow("w", (*steps, Step("s2", "terminal", "End.")))
tasks = [Task(str(n), f"task {n}") for n in range(40)]
benchmark = Benchmark("killed", "x", (), (), Judge())

def sit(folder):
    config = BenchConfig("killed", "slow/model", epochs=2, concurrency=6)
    asyncio.run(bench(config, workflow, benchmark, Slow(), tasks=tasks, folder=root / folder))

def recorded():
    path = root / "run" / "ledger.sqlite"
    if not path.exists():
        return set()
    with Ledger(path) as ledger:
        return {row[0] for row in ledger._db.execute("SELECT key FROM replies")}

def asked():
    log = root / "asked"
    return log.read_text().split() if log.exists() else []

# First without a kill: it loads what is loaded late, so that the kills below meet a run at work.
sit("whole")
whole = len(asked())
(root / "asked").unlink()
rng = random.Random(int(sys.argv[3]))
killed = repeated = partial = 0
done = False
while not done:
    known, before = recorded(), len(asked())
    child = os.fork()
    if child == 0:
        sit("run")
        os._exit(0)
    ended, status = 0, 0
    if killed < kills:
        # Counted in calls, not in seconds: a busy machine must not turn all kills into kills at the start.
        wanted = before + rng.randint(0, 25)
        while not ended and len(asked()) <= wanted:
            time.sleep(0.001)
            ended, status = os.waitpid(child, os.WNOHANG)
        if not ended:
            time.sleep(rng.uniform(0, 0.01))
            os.kill(child, signal.SIGKILL)
    if not ended:
        _, status = os.waitpid(child, 0)
    done = os.WIFEXITED(status)
    killed += not done
    partial += not done and len(recorded()) > len(known)
    repeated += len(known & set(asked()[before:]))
print(killed, partial, repeated, whole)
'''


@pytest.mark.parametrize("seed", [1])
def test_run_killed_at_random_moments_repeats_no_recorded_call_and_reports_the_same(tmp_path: Path, seed: int) -> None:
    script = tmp_path / "driver.py"
    script.write_text(_DRIVER)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), "20", str(seed)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed, partial, repeated, whole = map(int, done.stdout.split())
    assert repeated == 0
    assert whole == 240
    # The kills hit a run at work, not only its start.
    assert killed >= 3
    assert partial >= 3
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")


async def test_states_kept_in_a_file_change_nothing_and_are_forgotten(tmp_path: Path) -> None:
    await _bench(tmp_path / "plain")
    kept = replace(CONFIG, checkpointer="sqlite")
    await _bench(tmp_path / "run", config=kept)
    assert _files(tmp_path / "run") == _files(tmp_path / "plain")
    with closing(sqlite3.connect(tmp_path / "run" / "checkpoints.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM checkpoints").fetchone() == (0,)
    # The sittings of one run may differ in it.
    model = Echo()
    await _bench(tmp_path / "run", model)
    assert model.asked == 0
    with pytest.raises(UsageError, match="workers cannot share a checkpoint file"):
        await _bench(tmp_path / "workers", config=kept, executor=Processes(2, ModelOptions()))


async def test_a_task_that_met_a_fault_goes_on_after_its_last_finished_step(tmp_path: Path) -> None:
    kept = replace(CONFIG, checkpointer="sqlite")
    await _bench(tmp_path / "whole")
    model = Echo()
    model.down = {"Answer."}
    report = await _bench(tmp_path / "run", model, config=kept)
    assert report.unscored == 10
    asked = model.asked
    model.down = set()
    await _bench(tmp_path / "run", model, config=kept)
    assert model.asked - asked == 10
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")
