"""The synchronous door for scripts and notebooks: load, lint, run, bench, improve. No logic of its own.

    from autoflow import api

    workflow = api.load("workflows/chain_of_thought.yaml")
    trace = api.run(workflow, "What is 17 * 23?", interpreter="openai/gpt-5-mini")
    print(trace.answer or trace.failure)

Each function runs an event loop to its end; inside a running loop, await what it calls instead.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow

if TYPE_CHECKING:
    from autoflow.bench import BenchConfig, BenchReport
    from autoflow.core.operator import Operator
    from autoflow.improve import ImproveConfig, ImproveReport
    from autoflow.interpreter.settings import Settings
    from autoflow.language.findings import Finding
    from autoflow.models.options import ModelOptions


def load(path: str | Path) -> Workflow:
    """Read a workflow file.

    Raises:
        WorkflowError: With file, line and column.
    """
    from autoflow.language import document

    return document.load(Path(path)).workflow


def lint(path: str | Path, operators: "Mapping[str, Operator] | None" = None) -> "list[Finding]":
    """Check a workflow file; `operators` are in reach besides the library's.

    Raises:
        WorkflowError: If the file cannot be read as a workflow.
    """
    from autoflow.language import document
    from autoflow.language import lint as rules
    from autoflow.operators.library import library

    cards = {name: operator.card for name, operator in {**library(), **(operators or {})}.items()}
    return rules.lint(document.load(Path(path)), cards)


def run(
    workflow: Workflow,
    task: str | Task,
    *,
    interpreter: str,
    operators: "Mapping[str, Operator] | None" = None,
    settings: "Settings | None" = None,
    options: "ModelOptions | None" = None,
) -> Trace:
    """Run a workflow on a task. Whatever goes wrong with the run is the trace's `failure`.

    Raises:
        WorkflowError: If the workflow is not sound.
        AutoflowError: If the model cannot be opened.
    """
    from autoflow.interpreter.run import Interpreter
    from autoflow.interpreter.settings import Settings
    from autoflow.language.lint import check
    from autoflow.models.factory import open_model
    from autoflow.operators.library import library

    reachable = {**library(), **(operators or {})}
    check(workflow, {name: operator.card for name, operator in reachable.items()})

    async def _run() -> Trace:
        model = open_model(interpreter, options)
        runner = Interpreter(
            model, reachable, settings or Settings(), open_model=lambda spec: open_model(spec, options)
        )
        try:
            return await runner.run(workflow, task if isinstance(task, Task) else Task("task", task))
        finally:
            await runner.aclose()
            await model.aclose()

    return asyncio.run(_run())


def bench(
    config: "BenchConfig", workflow: Workflow, *, folder: Path | None = None, options: "ModelOptions | None" = None
) -> "BenchReport":
    """Score a workflow on a split. The same call resumes a run that was stopped.

    Raises:
        AutoflowError: For misuse; a run that was stopped reports its state instead.
    """
    from autoflow.bench import bench as measure
    from autoflow.benchmarks import loader
    from autoflow.models.factory import open_model

    benchmark = loader.load(config.benchmark, scorer=config.scorer, options=config.options)

    async def _bench() -> "BenchReport":
        model = open_model(config.interpreter, options)
        try:
            return await measure(
                config, workflow, benchmark, model, folder=folder, open_model=lambda spec: open_model(spec, options)
            )
        finally:
            await model.aclose()

    return asyncio.run(_bench())


def improve(
    config: "ImproveConfig", *, folder: Path | None = None, options: "ModelOptions | None" = None
) -> "ImproveReport":
    """Improve workflows for a benchmark. The same call resumes a run that was stopped.

    Raises:
        AutoflowError: For misuse; a run that was stopped reports its state instead.
    """
    from autoflow.improve import Collaborators
    from autoflow.improve import improve as drive
    from autoflow.models.factory import open_model

    given = Collaborators(open_model=lambda spec: open_model(spec, options))
    return asyncio.run(drive(config, given, folder=folder))
