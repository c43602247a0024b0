"""Write a workflow for a benchmark or a description."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import UsageError, WorkflowError

if TYPE_CHECKING:
    from autoflow.core.benchmark import Benchmark
    from autoflow.core.operator import Card
    from autoflow.generator.draft import Draft

app = new_app()


@app.command(
    epilog=examples(
        'autoflow generate "Answer a customer\'s complaint politely and offer one remedy."',
        "autoflow generate --benchmark openagi --generator openai/gpt-5-mini --output plan.yaml",
        "autoflow generate --benchmark gsm8k --operators aflow-maths",
        'autoflow generate "Plan a trip." --example "Three days in Lisbon with a child" --temperature 0',
    )
)
def generate(
    description: Annotated[
        str | None, typer.Argument(metavar="DESCRIPTION", help="What the workflow is for, in words.")
    ] = None,
    *,
    benchmark: Annotated[
        str | None,
        typer.Option("--benchmark", metavar="NAME", help="Take description, examples and operators from a benchmark."),
    ] = None,
    example: Annotated[
        list[str] | None, typer.Option("--example", metavar="TASK", help="An example task; may be repeated.")
    ] = None,
    generator: options.Generator = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 5,
    temperature: options.Temperature = 1.0,
    max_tokens: options.MaxTokens = 2000,
    seed: options.Seed = 0,
    repairs: Annotated[
        int, typer.Option("--repairs", min=0, metavar="N", help="Times the errors of a draft go back to the model.")
    ] = 3,
    operators: Annotated[
        str | None,
        typer.Option(
            "--operators",
            metavar="SET",
            help="The operators to write with: a set's name (see autoflow operators), a YAML file with a list of "
            "names, or a benchmark's name for its own. Default: the benchmark's, else all of the library.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; default: stdout.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output file if it exists.")] = False,
    as_json: options.AsJson = False,
) -> int:
    """Write one workflow. What the model writes is parsed and linted; errors go back to it.

    Ends with 4 if the last draft still had errors; they are printed.
    """
    import asyncio

    from autoflow.cli import opening
    from autoflow.cli.output import emit, say
    from autoflow.core.model import Sampling
    from autoflow.generator.draft import DraftRequest, draft
    from autoflow.language.dump import dump

    if (description is None) == (benchmark is None):
        raise UsageError("give a description or --benchmark, one of the two")
    if output is not None and output.exists() and not overwrite:
        raise UsageError(f"{output} exists", hint="name another file, or add --overwrite")
    shown, loaded = list(example or []), None
    if benchmark is not None:
        from autoflow.benchmarks import loader

        loaded = loader.load(benchmark)
        description = loaded.description
        shown += [task.text for task in (*loaded.train[:1], *loaded.train[-1:])]
    cards = _cards(operators, loaded)
    request = DraftRequest(
        description=description or "",
        cards=cards,
        examples=tuple(shown),
        sampling=Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed),
    )
    model = opening.opener(opening.model_options(base_url, seed, max_retries))(generator)

    async def _work() -> "Draft":
        try:
            return await draft(model, request, repairs=repairs)
        finally:
            await model.aclose()

    found = asyncio.run(_work())
    text = None if found.workflow is None else dump(found.workflow)
    if as_json:
        emit("draft", {"workflow": text, "text": found.text, "errors": found.errors, "repairs": found.repairs})
    if text is None:
        for line in found.errors:
            say(line)
        say(f"error[workflow]: {generator} wrote no valid workflow, also after {found.repairs} repairs")
        return WorkflowError.exit_code
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8", newline="")
        except OSError:
            # It was paid for.
            sys.stdout.write(text)
            raise
        say(f"{output}: written")
    elif not as_json:
        sys.stdout.write(text)
    return 0


def _cards(wanted: str | None, benchmark: "Benchmark | None") -> "tuple[Card, ...]":
    """The operators that the flags choose."""
    from autoflow.benchmarks import loader, operator_sets
    from autoflow.operators.library import library

    if wanted in loader.names() and wanted not in operator_sets.names():
        if benchmark is None or benchmark.name != wanted:
            benchmark = loader.load(wanted)
        wanted = None
    own = {} if benchmark is None else benchmark.operators
    cards = {name: operator.card for name, operator in {**library(), **own}.items()}
    if wanted is not None:
        return operator_sets.chosen(cards, operator_sets.load(wanted, cards))
    return operator_sets.chosen(cards, None if benchmark is None else benchmark.operator_set)
