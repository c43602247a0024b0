"""Make workflows for a generator to learn from."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

if TYPE_CHECKING:
    from autoflow.synthesis.run import Made

app = new_app()


@app.command(
    epilog=examples(
        "autoflow synthesize data/plans",
        "autoflow synthesize data/plans --domains 1000 --tasks 8 --seed 1 --avoid openagi",
        "autoflow synthesize data/openagi --domains 0 --validation-domains 0 --test-domains 0 --benchmark openagi",
        "autoflow synthesize data/maths --domains 0 --validation-domains 0 --test-domains 0 --benchmark gsm8k "
        "--scope benchmark --teacher openai/gpt-5 --samples 20 --interpreter openai/gpt-5-mini --keep 0.8 --max-cost 5",
    )
)
def synthesize(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the data set is written; new or empty.")],
    *,
    domains: Annotated[int, typer.Option("--domains", min=0, metavar="N", help="Made-up domains to learn from.")] = 400,
    validation_domains: Annotated[
        int, typer.Option("--validation-domains", min=0, metavar="N", help="Held out, with concepts of their own.")
    ] = 40,
    test_domains: Annotated[
        int, typer.Option("--test-domains", min=0, metavar="N", help="Likewise, for the last measurement.")
    ] = 40,
    tasks: Annotated[int, typer.Option("--tasks", min=1, metavar="N", help="Tasks over each domain.")] = 8,
    decisions: Annotated[
        int, typer.Option("--decisions", min=0, metavar="N", help="Labelled decisions over each, for interpreters.")
    ] = 0,
    decided: Annotated[
        int | None,
        typer.Option("--decision-domains", min=0, metavar="N", help="Over the first so many domains of a split alone."),
    ] = None,
    repair_share: Annotated[
        float,
        typer.Option("--repair-share", min=0.0, max=1.0, help="Share of tasks over a domain that only repair."),
    ] = 0.13,
    pair_share: Annotated[
        float,
        typer.Option("--pair-share", min=0.0, max=1.0, help="Of those that make something, from two inputs."),
    ] = 0.4,
    signatures: Annotated[
        bool,
        typer.Option("--signatures", help="Have each step's reason say what its operator takes and gives."),
    ] = False,
    benchmark: Annotated[
        list[str] | None,
        typer.Option("--benchmark", metavar="NAME", help="Add a benchmark's train tasks; may be repeated."),
    ] = None,
    practice: Annotated[
        list[str] | None,
        typer.Option(
            "--practice",
            metavar="NAME",
            help="Add --tasks tasks over a benchmark's operators, none of them its own.",
        ),
    ] = None,
    worded: Annotated[
        list[str] | None,
        typer.Option("--worded", metavar="NAME", help="Add --tasks wordings of a benchmark's train tasks."),
    ] = None,
    scope: Annotated[
        str, typer.Option("--scope", metavar="task|benchmark", help="A workflow for each train task, or for them all.")
    ] = "task",
    teacher: Annotated[
        str, typer.Option("--teacher", metavar="MODEL", help="search, which needs no model, or provider/model.")
    ] = "search",
    samples: Annotated[
        int, typer.Option("--samples", min=1, metavar="N", help="Drafts of a teacher that is a model, for each prompt.")
    ] = 1,
    repairs: Annotated[
        int, typer.Option("--repairs", min=0, metavar="N", help="Times the errors of a draft go back to the teacher.")
    ] = 3,
    interpreter: Annotated[
        str | None,
        typer.Option(
            "--interpreter", metavar="MODEL", help="Runs steps that ask a model; without it they are refused."
        ),
    ] = None,
    keep: Annotated[
        float, typer.Option("--keep", min=0.0, max=1.0, help="Least score of a workflow that is kept.")
    ] = 1.0,
    form: Annotated[
        str, typer.Option("--form", metavar="outline|json|yaml", help="How the generator will write.")
    ] = "outline",
    avoid: Annotated[
        list[str] | None,
        typer.Option(
            "--avoid", metavar="BENCHMARK", help="Keep no row that names one of its operators; may be repeated."
        ),
    ] = None,
    seed: options.Seed = 0,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 5,
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 256,
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    as_json: options.AsJson = False,
) -> int:
    """Write a data set of workflows: tasks over made-up operators, and the train tasks of benchmarks.

    A teacher writes; what lints, runs and scores is kept, once each. Held-out splits share no operator with the
    train split. No test task of any benchmark is read. A run with a paid teacher that was stopped goes on unpaid.
    """
    from autoflow.cli import interrupt, opening
    from autoflow.cli.output import emit, say
    from autoflow.generator.draft import Form, Scope
    from autoflow.synthesis.run import SynthesisConfig
    from autoflow.synthesis.run import run as make
    from autoflow.synthesis.synthesize import DomainPlan, Terms
    from autoflow.synthesis.tasks import Mix

    for kind, value, known in (("form", form, get_args(Form)), ("scope", scope, get_args(Scope))):
        if value not in known:
            raise UnknownNameError(kind, value, list(known))
    command = interrupt.command_line(ctx)
    settings = opening.interpreter_settings(
        "fused", temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=20
    )
    config = SynthesisConfig(
        domains=DomainPlan(
            seed,
            domains,
            validation_domains,
            test_domains,
            tasks,
            decisions=decisions,
            decided=decided,
            mix=Mix(repairs=repair_share, pairs=pair_share),
            signatures=signatures,
        ),
        benchmarks=tuple(benchmark or ()),
        practice=tuple(practice or ()),
        worded=tuple(worded or ()),
        scope="benchmark" if scope == "benchmark" else "task",
        teacher=teacher,
        samples=samples,
        repairs=repairs,
        interpreter=interpreter,
        avoid=tuple(avoid or ()),
        terms=Terms(form=form, keep=keep, settings=settings, concurrency=concurrency),  # type: ignore[arg-type]
        budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
        command=interrupt.without_secrets(command),
    )
    model_options = opening.model_options(base_url, seed, max_retries)
    told = -1

    def tell(done: int, total: int, kept: int) -> None:
        nonlocal told
        if 5 * done // total != told:
            told = 5 * done // total
            say(f"{done}/{total} exercises, {kept} rows")

    async def _work(stop: asyncio.Event) -> "Made":
        return await make(
            config,
            folder,
            open_model=opening.opener(model_options),
            price=opening.pricer(model_options),
            on_progress=tell,
        )

    made = interrupt.run(_work, command, at_once=True)
    counts = {
        split: sum(row.split == split for row in made.kept.rows)
        for split in dict.fromkeys(r.split for r in made.kept.rows)
    }
    if as_json:
        emit("synthesize", {"folder": str(folder), "rows": counts, "refused": dict(made.kept.refused)})
        return 0
    for split, count in counts.items():
        print(f"{split}: {count} rows")
    if made.kept.refused:
        print("refused: " + ", ".join(f"{reason} {count}" for reason, count in made.kept.refused.items()))
    say(f"{folder}: written; its README.md is the data set's card")
    return 0
