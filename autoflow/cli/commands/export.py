"""Export a workflow as a LangGraph app."""

from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError, UsageError

FORMATS = ("langgraph",)

app = new_app()


@app.command(
    epilog=examples(
        "autoflow export workflows/chain_of_thought.yaml -o chain --interpreter openai/gpt-5-mini",
        "autoflow export workflows/openagi/manual.yaml -o planner --temperature 0.7 --seed 1",
        "autoflow export plan.yaml -o app --operators openagi --overwrite",
    )
)
def export(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Workflow file; - is stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where the app is written.")],
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="langgraph", help="For Open Agent Spec: autoflow convert --to agent-spec.")
    ] = "langgraph",
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    max_steps: options.MaxSteps = 50,
    operators: options.Operators = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the app's files; .env is kept.")] = False,
) -> None:
    """Write a folder that a LangGraph server runs (`langgraph dev`): a node a step, carried out as in `autoflow run`.

    The model and how it draws stand in the folder's .env and can be changed there; keys come from the environment.
    """
    from autoflow.cli import files, opening
    from autoflow.cli.output import say
    from autoflow.export.langgraph import write
    from autoflow.language.lint import check
    from autoflow.runs.folder import public

    if to not in FORMATS:
        raise UnknownNameError("format", to, list(FORMATS), hint="Open Agent Spec: autoflow convert --to agent-spec")
    benchmarks = [*files.implied(workflow), *(operators or [])]
    paths = [name for name in benchmarks if not _bundled(name)]
    if paths:
        raise UsageError(
            f"the operators of {paths[0]} are not part of the app: only a bundled benchmark's come with autoflow",
            hint="publish your operators as a package with the entry point autoflow.operators, and name it in "
            "requirements.txt",
        )
    program = check(files.load(workflow), files.cards_of(workflow, operators or []))
    # Says now what the app would only say when it starts.
    opening.interpreter_settings(
        protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
    )
    given = {
        "AUTOFLOW_INTERPRETER": interpreter,
        "AUTOFLOW_BASE_URL": base_url,
        "AUTOFLOW_PROTOCOL": protocol,
        "AUTOFLOW_TEMPERATURE": temperature,
        "AUTOFLOW_MAX_TOKENS": max_tokens,
        "AUTOFLOW_SEED": seed,
        "AUTOFLOW_MAX_STEPS": max_steps,
    }
    environment = {name: str(value) for name, value in given.items() if value is not None}
    if public(environment) != environment:
        raise UsageError("the server's address holds a secret, which would be written down", hint="leave it out")
    for path in write(output, program, benchmarks=benchmarks, environment=environment, overwrite=overwrite):
        say(f"wrote {path}")


def _bundled(benchmark: str) -> bool:
    from autoflow.benchmarks import loader

    return benchmark in loader.names()
