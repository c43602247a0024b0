"""Score workflows on a split of a benchmark."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.core.json import Json
from autoflow.errors import ThresholdError, UsageError

if TYPE_CHECKING:
    from autoflow.bench import BenchReport
    from autoflow.core.benchmark import Benchmark
    from autoflow.core.workflow import Workflow

app = new_app()


@app.command(
    epilog=examples(
        "autoflow bench openagi --list",
        "autoflow bench openagi --workflow workflows/openagi/manual.yaml --split validation",
        "autoflow bench openagi --workflow a.yaml --workflow b.yaml --split train --limit 5",
        "autoflow bench openagi --interpreter openai/gpt-5-mini --max-cost 0.50 --threshold 0.6",
        "autoflow bench openagi --protocol core --tasks 0-14,105 --split all",
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
    split: Annotated[str, typer.Option("--split", help="Which tasks.")] = "test",
    tasks: Annotated[
        str | None, typer.Option("--tasks", metavar="IDS", help="Of these, by id: 0-14,105. Default: all.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Of these, the first N.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="Print the benchmark's tasks and run nothing.")] = False,
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
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
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", min=0.0, max=1.0, help="End with 3 if a mean score is below this."),
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """Run workflows on a benchmark's tasks and report the mean score with its interval.

    What is recorded in the run folder is not done again: the same command resumes a run that was stopped.
    """
    from autoflow.cli import files, interrupt, opening, reporting
    from autoflow.cli.output import emit, say

    if listing:
        _list(benchmark, options.of_benchmark(data), as_json)
        return 0

    from autoflow.bench import BenchConfig
    from autoflow.bench import bench as measure
    from autoflow.benchmarks import loader

    loaded = loader.load(benchmark, scorer=scorer, options=options.of_benchmark(data))
    found = [files.load(name).workflow for name in workflow or []] or [_baseline(loaded)]
    if run is not None and len(found) > 1:
        raise UsageError("--run names one folder; with several workflows each run has its own", hint="leave --run out")
    _check(found, workflow or [], loaded)
    command = interrupt.command_line(ctx)
    config = BenchConfig(
        benchmark=benchmark,
        interpreter=interpreter,
        split=split,
        tasks=tasks,
        limit=limit,
        epochs=epochs,
        seed=seed,
        settings=opening.interpreter_settings(
            protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
        ),
        scorer=scorer,
        options=options.of_benchmark(data),
        base_url=base_url,
        budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
        concurrency=concurrency,
        command=interrupt.without_secrets(command),
    )
    model_options = opening.model_options(base_url, seed, max_retries)
    open_model = opening.opener(model_options)
    reports: list[BenchReport] = []

    async def _work(stop: asyncio.Event) -> None:
        model = open_model(interpreter)
        try:
            for item in found:
                with reporting.bar(f"{item.name} on {loaded.name} {split}") as progress:
                    report = await measure(
                        config,
                        item,
                        loaded,
                        model,
                        folder=None if run is None else Path(run),
                        open_model=open_model,
                        price=opening.pricer(model_options),
                        on_progress=progress,
                        stop=stop,
                    )
                reports.append(report)
                say(f"run folder: {report.folder}")
                if report.exit_code:
                    break
        finally:
            await model.aclose()

    interrupt.run(_work, command)
    if as_json:
        emit("bench", {"reports": [_document(report) for report in reports]})
    else:
        _print(reports, [item.name for item in found])
    worst = next((report.exit_code for report in reports if report.exit_code), 0)
    if worst:
        reporting.say_how_it_ended(reports[-1].state, command)
        return worst
    if threshold is not None:
        _meet(threshold, reports)
    return 0


def _document(report: "BenchReport") -> dict[str, object]:
    # The report's own version number gives way to the document's.
    return {"folder": str(report.folder), **{key: item for key, item in report.to_json().items() if key != "schema"}}


def _baseline(loaded: "Benchmark") -> "Workflow":
    if loaded.baseline is None:
        raise UsageError(f"{loaded.name} has no hand-written workflow", hint="name one: --workflow FILE")
    return loaded.baseline


def _check(found: list["Workflow"], names: list[str], loaded: "Benchmark") -> None:
    from autoflow.cli import files
    from autoflow.language.lint import check
    from autoflow.operators.library import library

    cards = {name: operator.card for name, operator in {**library(), **loaded.operators}.items()}
    for index, item in enumerate(found):
        check(files.load(names[index]) if names else item, cards)


def _list(benchmark: str, given: dict[str, Json], as_json: bool) -> None:
    from autoflow.benchmarks import held_out

    rows = held_out.list_tasks(benchmark, options=given)
    if as_json:
        from autoflow.cli.output import emit

        emit("tasks", {"benchmark": benchmark, "splits": held_out.splits(benchmark, options=given), "tasks": rows})
        return
    width = max((len(str(row["id"])) for row in rows), default=0)
    for row in rows:
        splits = row["splits"]
        assert isinstance(splits, list)  # noqa: S101
        print(f"{str(row['id']).rjust(width)}  {row['text']}  [{', '.join(map(str, splits))}]")


def _print(reports: list["BenchReport"], names: list[str]) -> None:
    if len(reports) == 1:
        print(reports[0].to_text(), end="")
        return
    from rich.table import Table

    from autoflow.cli import reporting
    from autoflow.cli.output import stdout

    table = Table("workflow", "score", "95 % interval", "n", "unscored", "calls", "tokens", "seconds")
    for name, report in zip(names, reports, strict=False):
        table.add_row(
            name,
            *reporting.cells(report.interval),
            str(report.unscored),
            str(report.spend.calls),
            str(report.spend.tokens),
            f"{report.timing.seconds:.0f}",
        )
    console = stdout()
    if reports:
        console.print(f"{reports[0].label} on {reports[0].config['benchmark']}, split {reports[0].config['split']}")
    console.print(table)


def _meet(threshold: float, reports: list["BenchReport"]) -> None:
    for report in reports:
        mean = None if report.interval is None else report.interval.mean
        if mean is None or mean < threshold:
            shown = "unscored" if mean is None else f"{mean:.3f}"
            raise ThresholdError(
                f"the {report.label} is {shown}, below the threshold {threshold:g}",
                hint="the report says which tasks failed and why",
            )
