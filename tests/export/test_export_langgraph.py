"""A workflow exported as a LangGraph app does what it does under autoflow's own interpreter."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from improvised import Improvised, timeless
from langgraph.checkpoint.memory import InMemorySaver

from autoflow import resources
from autoflow.benchmarks import loader
from autoflow.cli.main import main
from autoflow.core.model import Reply, Request
from autoflow.core.operator import Operator
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import ConfigError, ProviderError, RunError, UsageError
from autoflow.export.app import VARIABLES, app
from autoflow.interpreter.plain import failure_from_plain, record_from_plain
from autoflow.interpreter.run import Interpreter
from autoflow.interpreter.settings import ProtocolName, Settings
from autoflow.interpreter.standalone import TASK_ID, standalone
from autoflow.language import document
from autoflow.models.scripted import Rule, Scripted
from autoflow.operators.library import library

FOLDER = resources.folder("workflows")
FILES = sorted(FOLDER.rglob("*.yaml"))
OPERATORS: Mapping[str, Operator] = {**library(), **loader.load("openagi").operators}
CONTEXT: dict[str, Any] = {"documents": ["Tea is hot.", "Ice is cold."], "public_tests": ["assert so() == 42"]}
TEXT = "What is 17 * 23?"


def trace_of(workflow: Workflow, left: Mapping[str, Any]) -> Trace:
    """The trace that a graph's output holds."""
    records = tuple(record_from_plain(record) for record in left["records"])
    return Trace(workflow.fingerprint(), TASK_ID, records, left["answer"], failure_from_plain(left["failure"]))


def interpreter(seed: int, protocol: ProtocolName = "fused") -> Interpreter:
    return Interpreter(Improvised(seed), OPERATORS, Settings(protocol=protocol, seed=seed))


async def test_graph_gives_the_trace_of_the_interpreter_for_every_bundled_workflow() -> None:
    ended, visits, labels, mapped = set(), 0, set(), 0
    for file in FILES:
        workflow = document.load(file).workflow
        for seed in range(2):
            ours = await interpreter(seed).run(workflow, Task(TASK_ID, TEXT, CONTEXT))
            left = await standalone(workflow, interpreter(seed)).ainvoke({"task": TEXT, "context": CONTEXT})
            assert timeless(trace_of(workflow, left)) == timeless(ours), file
            ended.add("answered" if ours.failure is None else ours.failure.reason)
            visits = max([visits, *(record.visit for record in ours.steps)])
            labels |= {(workflow.name, record.label) for record in ours.steps if record.label}
            mapped += sum(workflow.step(record.step).for_each is not None for record in ours.steps)
    # It would show little if every run ended at its first step.
    assert {"answered"} < ended
    assert visits >= 3
    assert len(labels) >= 6
    assert mapped >= 2


@pytest.mark.parametrize("protocol", ["segment", "core"])
@pytest.mark.parametrize(
    "name", ["openagi/manual", "triage_support_message", "generate_review_revise", "summarise_document"]
)
async def test_graph_keeps_to_the_protocol(name: str, protocol: ProtocolName) -> None:
    workflow = document.load(FOLDER / f"{name}.yaml").workflow
    ours = await interpreter(0, protocol).run(workflow, Task(TASK_ID, TEXT))
    left = await standalone(workflow, interpreter(0, protocol)).ainvoke({"task": TEXT})
    assert timeless(trace_of(workflow, left)) == timeless(ours)


def export(folder: Path, workflow: str, *flags: str) -> Path:
    assert main(["export", workflow, "-o", str(folder), *flags]) == 0
    return folder


SCRIPT = [
    Rule(("a draft", "another"), when="Write a complete answer"),
    Rule(
        (json.dumps({"points": ["Too short."], "accept": False}), json.dumps({"points": [], "accept": True})), when=""
    ),
]


def script(path: Path) -> Path:
    rules = [{"replies": list(rule.replies), "when": rule.when} for rule in SCRIPT]
    path.write_text(json.dumps(rules))
    return path


async def test_exported_folder_runs_in_a_process_of_its_own(tmp_path: Path) -> None:
    model = script(tmp_path / "script.yaml")
    folder = export(tmp_path / "app", "workflows/review_until_accepted.yaml", "--interpreter", f"scripted/{model}")
    settings = json.loads((folder / "langgraph.json").read_text())
    assert settings["graphs"] == {"review-until-accepted": "./graph.py:graph"}
    assert settings["dependencies"] == ["."]
    environment = dict(
        line.split("=", 1) for line in (folder / ".env").read_text().splitlines() if not line.startswith("#")
    )
    assert set(environment) <= set(VARIABLES)
    program = (
        "import asyncio, json, runpy\n"
        "graph = runpy.run_path('graph.py')['graph']\n"
        f"print(json.dumps(asyncio.run(graph.ainvoke({{'task': {TEXT!r}}}))))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    workflow = document.load(folder / "workflow.yaml").workflow
    assert workflow == document.load(FOLDER / "review_until_accepted.yaml").workflow
    ours = await Interpreter(Scripted(SCRIPT, name=f"scripted/{model}"), OPERATORS, Settings(seed=0)).run(
        workflow, Task(TASK_ID, TEXT)
    )
    left = json.loads(done.stdout)
    assert left["answer"] == ours.answer
    assert [record["step"] for record in left["records"]] == [record.step for record in ours.steps]
    assert [record["result"] for record in left["records"]] == [record.result for record in ours.steps]


def test_operators_of_a_bundled_benchmark_come_with_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = export(tmp_path / "app", "workflows/openagi/manual.yaml")
    assert "benchmarks=('openagi',)" in (folder / "graph.py").read_text()
    monkeypatch.setenv("AUTOFLOW_INTERPRETER", f"scripted/{script(tmp_path / 'script.yaml')}")
    graph = app(folder / "workflow.yaml", benchmarks=("openagi",))
    assert {"step select models", "step check types"} <= set(graph.get_graph().nodes)


def test_operators_of_a_folder_of_ones_own_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["export", "workflows/chain_of_thought.yaml", "-o", str(tmp_path / "app"), "--operators", "mine.yaml"]
    assert main(given) == 2
    assert "mine.yaml are not part of the app" in capsys.readouterr().err
    assert not (tmp_path / "app").exists()


def test_second_export_asks_before_it_replaces_and_keeps_the_environment(tmp_path: Path) -> None:
    folder = export(tmp_path / "app", "workflows/chain_of_thought.yaml", "--interpreter", "openai/a")
    (folder / ".env").write_text("OPENAI_API_KEY=mine\n")
    again = ["export", "workflows/plan_and_solve.yaml", "-o", str(folder), "--interpreter", "openai/b"]
    assert main(again) == 2
    assert main([*again, "--overwrite"]) == 0
    assert document.load(folder / "workflow.yaml").workflow.name == "plan-and-solve"
    assert (folder / ".env").read_text() == "OPENAI_API_KEY=mine\n"


@pytest.mark.parametrize(
    ("name", "value"), [("AUTOFLOW_INTERPRETER", ""), ("AUTOFLOW_SEED", "x"), ("AUTOFLOW_PROTOCOL", "fast")]
)
def test_environment_that_does_not_fit_is_named(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOFLOW_INTERPRETER", f"scripted/{script(tmp_path / 'script.yaml')}")
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        app(FOLDER / "chain_of_thought.yaml")


THINK = document.load(FOLDER / "chain_of_thought.yaml").workflow


async def test_thread_takes_one_task_after_another() -> None:
    graph = standalone(THINK, interpreter(0))
    kept: Any = graph.copy({"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "a"}}
    first = await kept.ainvoke({"task": TEXT}, config)
    second = await kept.ainvoke({"task": "And 2 + 2?"}, config)
    assert len(second["records"]) == len(first["records"]) == len(THINK.steps)
    assert second["records"][0]["calls"][0][0] != first["records"][0]["calls"][0][0]


async def test_fault_is_raised_and_the_thread_goes_on_after_its_last_step() -> None:
    rules = [Rule(("391",), when="Think")]
    broken = Interpreter(Scripted(rules), OPERATORS, Settings())
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "a"}}
    graph: Any = standalone(THINK, broken).copy({"checkpointer": saver})
    with pytest.raises(ProviderError, match="no rule fits"):
        await graph.ainvoke({"task": TEXT}, config)
    model = Scripted([Rule(("391",), when="State the final answer")])
    graph = standalone(THINK, Interpreter(model, OPERATORS, Settings())).copy({"checkpointer": saver})
    left = await graph.ainvoke(None, config)
    assert left["answer"] == "391"
    assert len(model.requests) == 1


async def test_thread_of_another_workflow_is_refused() -> None:
    saver = InMemorySaver()
    config: Any = {"configurable": {"thread_id": "a"}}
    broken = Interpreter(Scripted([Rule(("391",), when="Think")]), OPERATORS, Settings())
    graph: Any = standalone(THINK, broken).copy({"checkpointer": saver})
    with pytest.raises(ProviderError):
        await graph.ainvoke({"task": TEXT}, config)
    other = standalone(THINK, Interpreter(Improvised(0), OPERATORS, Settings()))
    with pytest.raises(RunError, match="model"):
        await other.copy({"checkpointer": saver}).ainvoke(None, config)


async def test_input_without_a_task_is_refused() -> None:
    with pytest.raises(UsageError, match="no task"):
        await standalone(THINK, interpreter(0)).ainvoke({"task": " "})


class Bound(Improvised):
    """Like a model with connections: at home on one loop."""

    loops: set[asyncio.AbstractEventLoop]

    async def complete(self, request: Request) -> Reply:
        self.loops.add(asyncio.get_running_loop())
        return await super().complete(request)


def test_models_stay_on_one_loop_whatever_loops_the_server_uses() -> None:
    model = Bound(0)
    model.loops = set()
    graph = standalone(THINK, Interpreter(model, OPERATORS, Settings()))
    left = [asyncio.run(graph.ainvoke({"task": TEXT})) for _ in range(2)]
    assert left[0]["answer"] == left[1]["answer"]
    assert len(model.loops) == 1
