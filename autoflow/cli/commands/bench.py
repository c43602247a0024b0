"""Score workflows on a split of a benchmark."""

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.core.json import Json
from autoflow.errors import ThresholdError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from autoflow.core.task import Task
    from autoflow.lineup import Lineup
    from autoflow.zero_shot import Writing

app = new_app()


@app.command(
    epilog=examples(
        "autoflow bench openagi --list --split validation",
        "autoflow bench openagi --workflow workflows/openagi/manual.yaml --split validation",
        "autoflow bench openagi --workflow a.yaml --workflow b.yaml --split train --limit 5",
        "autoflow bench gsm8k --workflow mine.yaml --baseline io --baseline cot --baseline cot-sc:equal",
        "autoflow bench openagi --interpreter openai/gpt-5-mini --max-cost 0.50 --threshold 0.6",
        "autoflow bench openagi --workers 4 --concurrency 32",
        "autoflow bench openagi --shard 1/2 --run runs/first",
        "autoflow bench openagi --protocol core --tasks 0-14,105 --split all",
        "autoflow bench openagi --generator openai/gpt-5-mini --workflow workflows/openagi/manual.yaml",
        "autoflow bench openagi --generator embedded/smollm2-135m --epochs 5 --generator-temperature 1",
        "autoflow bench openagi --scorer local --limit-samples 4",
    )
)
def bench(
    ctx: typer.Context,
    benchmark: Annotated[
        str, typer.Argument(metavar="BENCHMARK", help="Name, or path of a benchmark's YAML file or folder.")
    ],
    *,
    workflow: Annotated[
        list[str] | None,
        typer.Option("--workflow", metavar="FILE", help="Default: the hand-written one; may be repeated."),
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            "--generator", metavar="MODEL", help="Have this model write a workflow for each task; an epoch is a draft."
        ),
    ] = None,
    generator_temperature: Annotated[
        float | None,
        typer.Option("--generator-temperature", min=0.0, help="Of its drafts; default 0 with one epoch, 1 with more."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--form", metavar="outline|json|yaml", help="How it writes; default: what suits the model."),
    ] = None,
    repairs: Annotated[
        int, typer.Option("--repairs", min=0, metavar="N", help="Times the errors of its draft go back to it.")
    ] = 0,
    baseline: options.Baseline = None,
    split: Annotated[
        str | None,
        typer.Option("--split", help="Which tasks. Default: the split named like the --scorer, else test."),
    ] = None,
    tasks: options.Tasks = None,
    sample_id: options.SampleId = None,
    limit: options.Limit = None,
    shard: options.ShardOf = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Print the tasks, all or those chosen, and run nothing.")
    ] = False,
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 8,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 256,
    max_steps: options.MaxSteps = 20,
    epochs: options.Epochs = 1,
    seed: options.Seed = 0,
    scorer: options.Scorer = None,
    data: options.Data = None,
    benchmark_option: options.BenchmarkOption = None,
    index_mode: options.IndexMode = None,
    vit_metric: options.VitMetric = None,
    limit_samples: options.LimitSamples = None,
    batch_size: options.BatchSize = None,
    retry_errors: options.RetryErrors = True,
    unsafe_local: options.UnsafeLocal = False,
    concurrency: options.Concurrency = 8,
    executor: options.ExecutorName = "local",
    workers: options.Workers = None,
    checkpointer: options.CheckpointerName = None,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0.0, max=1.0, help="End with 3 if a mean score is below this."),
    ] = None,
    quiet: options.Quiet = False,
    estimate: options.EstimateOnly = False,
    as_json: options.AsJson = False,
) -> int:
    """Run workflows on a benchmark's tasks and report the mean score with its interval; with several, each is compared
    with the first, task by task. With --generator, each task is run by a workflow written for it alone.

    What is recorded in the run folder is not done again: the same command resumes a run that was stopped.
    """
    from autoflow.cli import interrupt, lineup, opening, reporting
    from autoflow.cli.output import emit, printable, say, terminal_columns

    given = options.of_benchmark(
        data,
        benchmark_option,
        index_mode=index_mode,
        vit_metric=vit_metric,
        limit_samples=limit_samples,
        batch_size=batch_size,
    )
    if listing:
        from autoflow.bench import select
        from autoflow.benchmarks import held_out
        from autoflow.shard import Shard

        every = held_out.load_split(benchmark, split, options=given)
        shown = select(every, tasks, limit, split or "all", tuple(sample_id or ()))
        _list(benchmark, given, shown if shard is None else Shard.parse(shard).part(shown), as_json)
        return 0

    from autoflow.bench import BenchConfig, split_of, tasks_of
    from autoflow.benchmarks import held_out, loader
    from autoflow.estimate import of_bench
    from autoflow.lineup import line_up

    loaded = loader.load(benchmark, scorer=scorer, options=given)
    writing = _writing(generator, form, repairs, generator_temperature, epochs)
    entries = lineup.entries(workflow or [], baseline or [], loaded, max_steps, writing)
    if run is not None and len(entries) > 1:
        raise UsageError("--run names one folder; with several workflows each run has its own", hint="leave --run out")
    if shard is not None and any(entry.baseline is not None and entry.baseline.equal for entry in entries):
        raise UsageError(
            "with --shard, a baseline of equal calls would draw another number of samples in each shard",
            hint="give the number, for example cot-sc:5",
        )
    command = interrupt.command_line(ctx)
    config = BenchConfig(
        benchmark=benchmark,
        interpreter=interpreter,
        split=split or (scorer if scorer in held_out.splits(benchmark, options=given) else "test"),
        tasks=tasks,
        sample_ids=tuple(sample_id or ()),
        limit=limit,
        shard=shard,
        epochs=epochs,
        seed=seed,
        settings=opening.interpreter_settings(
            protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
        ),
        scorer=scorer,
        options=given,
        base_url=base_url,
        retry_errors=retry_errors,
        budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
        concurrency=concurrency,
        command=interrupt.without_secrets(command),
        checkpointer=opening.checkpointer(checkpointer),
    )
    model_options = opening.model_options(base_url, seed, max_retries)
    price = opening.pricer(model_options)
    everything = split_of(config)
    chosen = tasks_of(config, everything)
    folder = None if run is None else Path(run)
    carried_out = opening.executor(executor, workers, model_options)
    if reporting.estimated(
        of_bench(config, entries, loaded, chosen, price, folder=folder), estimate, as_json, quiet=quiet
    ):
        return 0

    async def _work(stop: asyncio.Event) -> "Lineup":
        async with opening.shared(model_options) as open_model:
            return await line_up(
                config,
                entries,
                loaded,
                open_model(interpreter),
                tasks=everything,
                folder=folder,
                open_model=open_model,
                price=price,
                watch=(lambda _: nullcontext()) if quiet else reporting.bar,
                stop=stop,
                executor=carried_out,
            )

    with opening.unsafe_local(unsafe_local):
        found = interrupt.run(_work, command)
    for row in found.rows if not quiet else ():
        say(f"run folder: {row.report.folder}")
    if as_json:
        emit("bench", found.to_json())
    else:
        print(printable(found.to_text(terminal_columns(sys.stdout)), sys.stdout), end="")
    if found.exit_code:
        reporting.say_how_it_ended(found.state, command)
        return found.exit_code
    if threshold is not None:
        _meet(threshold, found)
    return 0


def _writing(
    generator: str | None, form: str | None, repairs: int, temperature: float | None, epochs: int
) -> "Writing | None":
    from typing import get_args

    from autoflow.generator.draft import Form
    from autoflow.zero_shot import Writing

    if form is not None and form not in get_args(Form):
        raise UnknownNameError("form", form, list(get_args(Form)))
    if generator is None:
        if form is not None or repairs or temperature is not None:
            raise UsageError("--form, --repairs and --generator-temperature are for --generator", hint="name a model")
        return None
    drawn = temperature if temperature is not None else 0.0 if epochs == 1 else 1.0
    return Writing(generator, form, repairs, drawn)  # type: ignore[arg-type]


def _list(benchmark: str, given: dict[str, Json], tasks: "Sequence[Task]", as_json: bool) -> None:
    from autoflow.benchmarks import held_out

    rows = held_out.list_tasks(benchmark, tasks, options=given)
    if as_json:
        from autoflow.cli.output import emit

        emit("tasks", {"benchmark": benchmark, "splits": held_out.splits(benchmark, options=given), "tasks": rows})
        return
    width = max((len(str(row["id"])) for row in rows), default=0)
    for row in rows:
        splits = row["splits"]
        assert isinstance(splits, list)  # noqa: S101
        print(f"{str(row['id']).rjust(width)}  {row['text']}  [{', '.join(map(str, splits))}]")


def _meet(threshold: float, found: "Lineup") -> None:
    """The workflows under test have to; a reference method only where nothing else takes part."""
    for row in [row for row in found.rows if not row.baseline] or found.rows:
        mean = None if row.report.interval is None else row.report.interval.mean
        if mean is None or mean < threshold:
            shown = "unscored" if mean is None else f"{mean:.3f}"
            raise ThresholdError(
                f"the {row.report.label} of {row.label} is {shown}, below the threshold {threshold:g}",
                hint="the report says which tasks failed and why",
            )
