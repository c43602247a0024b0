"""Run a workflow on a task, showing each step as it happens."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import BudgetExhaustedError, ProviderError, UsageError, WorkflowError

if TYPE_CHECKING:
    from autoflow.core.task import Task
    from autoflow.core.trace import Failure, Trace
    from autoflow.core.workflow import Workflow
    from autoflow.interpreter.approval import Pause, Verdict
    from autoflow.interpreter.checkpoint import Checkpointer
    from autoflow.interpreter.run import Interpreter

INTERRUPTED = 130

app = new_app()


@app.command(
    epilog=examples(
        'autoflow run workflows/chain_of_thought.yaml "A train leaves at 9:40 and takes 95 minutes. When is it there?"',
        'autoflow run workflows/openagi/manual.yaml "Given noisy image, how to return the caption in German?"',
        "autoflow run plan.yaml --task-file task.txt --interpreter openai/gpt-5-mini",
        'autoflow run plan.yaml "..." --interpreter openai/qwen3-8b --base-url http://127.0.0.1:8000/v1',
        'autoflow run plan.yaml "..." --checkpoint plan.sqlite --step',
    )
)
def run(
    ctx: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Workflow file; - is stdin.")],
    task: Annotated[str | None, typer.Argument(metavar="TASK", help="The task, in words.")] = None,
    *,
    task_file: Annotated[str | None, typer.Option("--task-file", help="Read the task from a file; - is stdin.")] = None,
    context: Annotated[
        list[str] | None,
        typer.Option("--context", metavar="KEY=VALUE", help="More that steps may read; may be repeated."),
    ] = None,
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 5,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    max_steps: options.MaxSteps = 50,
    operators: options.Operators = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="FILE", help="Keep the run in a file: the same command resumes it."),
    ] = None,
    checkpointer: options.CheckpointerName = None,
    step: Annotated[
        bool, typer.Option("--step", help="Wait before each step: approve, edit, redirect, replace or stop.")
    ] = False,
    unsafe_local: options.UnsafeLocal = False,
    as_json: options.AsJson = False,
) -> int:
    """Run a workflow on a task. The answer goes to stdout, the steps to stderr.

    Ends with 4 if the workflow came to no answer, 5 if a model could not be asked.
    """
    from autoflow.cli import files, interrupt, opening
    from autoflow.language.lint import check

    given = _task(task, task_file, context or [], workflow, step)
    reachable = files.operators_of(workflow, operators or [])
    program = check(files.load(workflow), {name: operator.card for name, operator in reachable.items()})
    settings = opening.interpreter_settings(
        protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
    )
    place = _place(checkpoint, opening.checkpointer(checkpointer))
    if place is not None:
        # A person's run is kept before each step, not at the end.
        settings = replace(settings, durability="sync")
    open_model = opening.opener(opening.model_options(base_url, seed, max_retries))
    command = interrupt.command_line(ctx)

    async def _work(stop: asyncio.Event) -> "Trace":
        from autoflow.interpreter.run import Interpreter

        model = open_model(interpreter)
        runner = Interpreter(model, reachable, settings, open_model=open_model)
        try:
            if step:
                from autoflow.cli.steering import Steering

                return await _carry_out(runner, program, given, place, Steering(program))
            return await _carry_out(runner, program, given, place, _until(stop) if place else None)
        finally:
            await runner.aclose()
            await model.aclose()

    with opening.unsafe_local(unsafe_local):
        trace = interrupt.run(_work, command, at_once=place is None)
    _report(trace, program, interpreter, as_json)
    if trace.failure is None:
        return 0
    return _failed(trace.failure, command if place else None)


def _place(file: Path | None, kind: "Checkpointer | None") -> "tuple[Checkpointer, Path] | None":
    """Where the run is kept; the file matters for SQLite alone."""
    if kind == "postgres":
        if file is not None:
            raise UsageError(
                "--checkpoint names a file, and --checkpointer postgres keeps no file", hint="leave one out"
            )
        return kind, Path()
    if file is None:
        if kind is not None:
            raise UsageError("--checkpointer sqlite needs a file", hint="--checkpoint FILE")
        return None
    return "sqlite", file


def _task(text: str | None, file: str | None, pairs: list[str], workflow: str, step: bool) -> "Task":
    from autoflow.cli import opening
    from autoflow.cli.files import STDIN
    from autoflow.core.json import digest
    from autoflow.core.task import Task

    if (text is None) == (file is None):
        raise UsageError("give the task as an argument or with --task-file, one of the two")
    if [workflow, file].count(STDIN) + step > 1:
        raise UsageError("stdin can serve one of the workflow, the task and --step")
    if file == STDIN:
        text = sys.stdin.read()
    elif file is not None:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{file}: the task cannot be read: {error}") from error
    found = (text or "").strip()
    if not found:
        raise UsageError("the task is empty")
    context = opening.pairs("--context", pairs)
    return Task(id=digest([found, context])[:16], text=found, context=context)


def _until(stop: asyncio.Event) -> "Callable[[Pause], Awaitable[Verdict]]":
    """Approves every step until `stop` is set: the run then waits in its checkpoint."""

    async def approve(_: "Pause") -> "Verdict":
        from autoflow.interpreter.approval import Verdict

        return Verdict("stop" if stop.is_set() else "approve")

    return approve


async def _carry_out(
    runner: "Interpreter",
    program: "Workflow",
    task: "Task",
    place: "tuple[Checkpointer, Path] | None",
    approve: "Callable[[Pause], Awaitable[Verdict]] | None",
) -> "Trace":
    from autoflow.cli.steps import Steps
    from autoflow.core.json import digest

    if place is None:
        return await runner.run(program, task, on_event=Steps(), approve=approve)
    from autoflow.cli.output import say
    from autoflow.interpreter.checkpoint import opener, thread_status

    # Everything that makes it this run: another task, model or protocol in the same file is another run.
    thread = digest([program.fingerprint(), task.id, runner.model.name, runner.settings.protocol])[:16]
    kind, file = place
    name = "the database" if kind == "postgres" else str(file)
    async with opener(kind, file) as saver:
        status = await thread_status(saver, thread)
        if status == "unfinished":
            say(f"resuming from {name}")
        elif status == "finished":
            say(f"this run ended before; its answer is in {name}")
        return await runner.run(program, task, on_event=Steps(), thread=thread, checkpointer=saver, approve=approve)


def _report(trace: "Trace", program: "Workflow", interpreter: str, as_json: bool) -> None:
    from autoflow.cli.output import emit, printable, say
    from autoflow.core.budget import Spend

    spend = Spend()
    for call in trace.calls:
        if call.error is None:
            spend = spend.plus(call.usage, cached=call.cached)
    cost = "" if spend.usd == 0 else f", ${spend.usd:.4f}"
    counted = "" if not spend.uncounted else f" ({spend.uncounted} calls uncounted)"
    steps, calls = (
        f"{count} {name}{'' if count == 1 else 's'}"
        for name, count in (("step", len(trace.steps)), ("call", len(trace.calls)))
    )
    say(f"{steps}, {calls}, {spend.tokens} tokens{counted}, {trace.seconds:.1f} s{cost}")
    if as_json:
        from dataclasses import asdict

        emit(
            "run",
            {
                "answer": trace.answer,
                "failure": None if trace.failure is None else asdict(trace.failure),
                "workflow": {"name": program.name, "fingerprint": trace.workflow},
                "interpreter": interpreter,
                "seconds": trace.seconds,
                "spend": asdict(spend),
                "steps": [asdict(step) for step in trace.steps],
            },
        )
    elif trace.failure is None:
        print(printable(trace.answer, sys.stdout))


def _failed(failure: "Failure", resume: str | None) -> int:
    from autoflow.cli.output import say

    place = "" if failure.step is None else f" at step {failure.step!r}"
    if failure.reason == "cancelled":
        say(f"stopped{place}" if resume is None else f"stopped{place}; resume: {resume}")
        return INTERRUPTED
    say(f"error[{failure.reason}]: no answer{place}: {failure.message}")
    if resume is not None and failure.kind == "fault":
        say(f"resume: {resume}")
    if failure.reason == "budget":
        return BudgetExhaustedError.exit_code
    if failure.kind == "fault" or failure.reason == "reply":
        return ProviderError.exit_code
    return WorkflowError.exit_code
