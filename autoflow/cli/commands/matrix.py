"""Measure workflows, or what generators write, under several interpreters."""

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app

if TYPE_CHECKING:
    from autoflow.lineup import Entry
    from autoflow.matrix import MatrixReport

app = new_app()


@app.command(
    epilog=examples(
        "autoflow matrix gsm8k --workflows a.yaml --workflows b.yaml --interpreters local/8b --interpreters local/32b",
        "autoflow matrix openagi --workflows openagi/manual --baseline zero --baseline cot-sc:equal --limit 5",
        "autoflow matrix openagi --generators local/32b --interpreters local/8b --rounds 5 --max-cost 4",
    )
)
def matrix(
    ctx: typer.Context,
    benchmark: options.Benchmark,
    *,
    workflows: Annotated[
        list[str] | None,
        typer.Option("--workflows", metavar="FILE", help="A row; may be repeated. Default: the hand-written workflow."),
    ] = None,
    baseline: options.Baseline = None,
    generators: Annotated[
        list[str] | None,
        typer.Option(
            "--generators",
            metavar="MODEL",
            help="A row: the best workflow that this model writes for each interpreter. May be repeated.",
        ),
    ] = None,
    interpreters: Annotated[
        list[str] | None,
        typer.Option(
            "--interpreters", metavar="MODEL", help=f"A column; may be repeated. Default: {options.DEFAULT_MODEL}."
        ),
    ] = None,
    split: options.Split = "test",
    tasks: options.Tasks = None,
    sample_id: options.SampleId = None,
    limit: options.Limit = None,
    strategy: options.Strategy = "in-context",
    option: options.StrategyOption = None,
    rounds: options.Rounds = None,
    candidates: options.Candidates = None,
    train_limit: options.TrainLimit = None,
    validation_limit: options.ValidationLimit = None,
    gate: options.Gate = "all",
    race: options.Race = True,
    operators: options.OperatorSet = None,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 5,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 256,
    max_steps: options.MaxSteps = 20,
    epochs: options.Epochs = 1,
    seed: options.Seed = 0,
    scorer: options.Scorer = None,
    data: options.Data = None,
    benchmark_option: options.BenchmarkOption = None,
    retry_errors: options.RetryErrors = True,
    unsafe_local: options.UnsafeLocal = False,
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    quiet: options.Quiet = False,
    estimate: options.EstimateOnly = False,
    as_json: options.AsJson = False,
) -> int:
    """Fill a table: a row for each workflow and generator, a column for each interpreter. In a generator's cell it
    writes workflows as in `improve`, and the best of them is measured on the split like every other row.

    The budget is for the whole table. What is recorded is not done again: the same command resumes.
    """
    from autoflow.bench import BenchConfig, split_of, tasks_of
    from autoflow.benchmarks import loader
    from autoflow.cli import interrupt, lineup, opening, reporting
    from autoflow.cli.output import emit, printable, say, terminal_columns
    from autoflow.estimate import of_matrix
    from autoflow.improve import ImproveConfig
    from autoflow.matrix import MatrixConfig
    from autoflow.matrix import matrix as fill

    given = options.of_benchmark(data, benchmark_option)
    loaded = loader.load(benchmark, scorer=scorer, options=given)
    command = interrupt.command_line(ctx)
    settings = opening.interpreter_settings(
        protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
    )
    columns = tuple(interpreters or [options.DEFAULT_MODEL])
    entries: list[Entry] = []
    # With generators alone a benchmark without a hand-written workflow still has rows.
    if workflows or baseline or not generators or loaded.baseline is not None:
        entries = lineup.entries(workflows or [], baseline or [], loaded, max_steps)
    config = MatrixConfig(
        bench=BenchConfig(
            benchmark=benchmark,
            interpreter=columns[0],
            split=split,
            tasks=tasks,
            sample_ids=tuple(sample_id or ()),
            limit=limit,
            epochs=epochs,
            seed=seed,
            settings=settings,
            scorer=scorer,
            options=given,
            base_url=base_url,
            retry_errors=retry_errors,
            budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
            concurrency=concurrency,
            command=interrupt.without_secrets(command),
        ),
        interpreters=columns,
        entries=tuple(entries),
        improve=tuple(
            ImproveConfig(
                benchmark=benchmark,
                generator=generator,
                interpreter=columns[0],
                strategy=strategy,
                strategy_options=opening.pairs("--option", option or []),
                rounds=rounds,
                candidates=candidates,
                epochs=epochs,
                seed=seed,
                settings=settings,
                scorer=scorer,
                options=given,
                train_limit=train_limit,
                validation_limit=validation_limit,
                gate=opening.gate(gate),
                race=race,
                operators=operators,
                shortlist=0,
                base_url=base_url,
                concurrency=concurrency,
                command=interrupt.without_secrets(command),
            )
            for generator in generators or []
        ),
    )
    model_options = opening.model_options(base_url, seed, max_retries)
    price = opening.pricer(model_options)
    everything = split_of(config.bench)
    chosen = tasks_of(config.bench, everything)
    folder = None if run is None else Path(run)
    if reporting.estimated(of_matrix(config, loaded, chosen, price, folder=folder), estimate, as_json, quiet=quiet):
        return 0

    async def _work(stop: asyncio.Event) -> "MatrixReport":
        async with opening.shared(model_options) as open_model:
            return await fill(
                config,
                loaded,
                open_model,
                tasks=everything,
                folder=folder,
                price=price,
                watch=(lambda _: nullcontext()) if quiet else reporting.bar,
                follow=nullcontext if quiet else reporting.events,
                stop=stop,
            )

    with opening.unsafe_local(unsafe_local):
        report = interrupt.run(_work, command)
    if not quiet:
        say(f"run folder: {report.folder}")
    if as_json:
        # The report's own version number gives way to the document's.
        document = {key: item for key, item in report.to_json().items() if key != "schema"}
        emit("matrix", {"folder": str(report.folder), **document})
    else:
        print(
            printable(
                report.to_markdown() if as_markdown else report.to_text(terminal_columns(sys.stdout)), sys.stdout
            ),
            end="",
        )
    if report.exit_code:
        reporting.say_how_it_ended(report.state, command)
    return report.exit_code
