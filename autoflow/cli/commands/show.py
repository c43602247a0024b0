"""Print a workflow, or what a recorded run did on one task."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

if TYPE_CHECKING:
    from autoflow.core.workflow import Step, Workflow

FORMATS = ("table", "text", "mermaid", "core", "yaml")

app = new_app()


@app.command(
    epilog=examples(
        "autoflow show workflows/openagi/manual.yaml",
        "autoflow show --format mermaid plan.yaml",
        "autoflow show flow.txt --format yaml",
        "autoflow show runs/demo --task 10",
        "autoflow show demo --task 10 --of r1c2 --prompts",
    )
)
def show(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW|RUN", help="Workflow file; - is stdin. Or a run.")],
    *,
    output: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="How the workflow is printed.")
    ] = "table",
    task: Annotated[
        str | None, typer.Option("--task", metavar="ID", help="Of a run: print its traces of this task.")
    ] = None,
    of: Annotated[
        str | None, typer.Option("--of", metavar="NAME", help="With --task: of this workflow of the run alone.")
    ] = None,
    prompts: Annotated[bool, typer.Option("--prompts", help="With --task: every prompt and reply in full.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print a workflow, or with --task what a recorded run did on one task, step by step. Nothing is run."""
    from autoflow.cli import files

    if task is not None:
        _traces(workflow, task, of, prompts, as_json)
        return
    if output not in FORMATS:
        raise UnknownNameError("format", output, list(FORMATS))
    found = files.load(workflow).workflow
    if as_json:
        from autoflow.cli.output import emit

        emit("workflow", _document(found))
    elif output == "table":
        _table(found)
    else:
        text = _rendered(found, output)
        sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def _traces(run: str, task: str, of: str | None, prompts: bool, as_json: bool) -> None:
    from autoflow.cli.output import emit, printable
    from autoflow.report import traces
    from autoflow.report.evidence import Evidence
    from autoflow.runs.folder import find

    with Evidence(find(run)) as evidence:
        found = traces.of_task(evidence, task, of)
        if as_json:
            emit("traces", {"run": str(evidence.folder), "task": task, "traces": [item.to_json() for item in found]})
            return
        for item in found:
            print(printable(item.to_text(prompts=prompts), sys.stdout), end="")


def _rendered(workflow: "Workflow", form: str) -> str:
    if form == "mermaid":
        from autoflow.language.mermaid import mermaid

        return mermaid(workflow)
    if form == "core":
        from autoflow.language.core_text import dump_core

        return dump_core(workflow)
    if form == "yaml":
        from autoflow.language.dump import dump

        return dump(workflow)
    return as_text(workflow)


def exits(step: "Step") -> list[str]:
    """Where the step leads, one line each."""
    lines = [f"-> {step.next}"] if step.next is not None else []
    lines += [f"{label} -> {target}" for label, target in step.branches.items()]
    if step.otherwise is not None:
        bound = "" if step.max_visits is None else f" (after {step.max_visits} visits)"
        lines.append(f"otherwise{bound} -> {step.otherwise}")
    elif step.max_visits is not None:
        lines.append(f"at most {step.max_visits} visits")
    return lines


def _table(workflow: "Workflow") -> None:
    from rich.table import Table

    from autoflow.cli.output import stdout

    console = stdout()
    title = workflow.name if not workflow.description else f"{workflow.name}: {workflow.description}"
    console.print(title)
    table = Table(show_lines=False)
    for heading in ("#", "step", "type", "operator", "instruction", "leads to"):
        table.add_column(heading, no_wrap=heading in {"#", "type"}, overflow="fold")
    for index, step in enumerate(workflow.steps, 1):
        table.add_row(str(index), step.name, step.type, step.operator, step.instruction.strip(), "\n".join(exits(step)))
    console.print(table)


def as_text(workflow: "Workflow") -> str:
    """The workflow in words, a paragraph a step."""
    lines = [workflow.name if not workflow.description else f"{workflow.name}: {workflow.description}", ""]
    for index, step in enumerate(workflow.steps, 1):
        kind = step.type if step.operator == "generate" else f"{step.type}, {step.operator}"
        lines.append(f"{index}. {step.name} ({kind})")
        lines += [f"   {line}" for line in step.instruction.strip().splitlines()]
        lines += [f"   {line}" for line in exits(step)]
    return "\n".join(lines)


def _document(workflow: "Workflow") -> dict[str, object]:
    from dataclasses import asdict

    return {"workflow": asdict(workflow), "fingerprint": workflow.fingerprint()}
