"""Prepare OpenAGI's data, fetch its models, run plans, reproduce AutoFlow."""

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from autoflow.cli import options
from autoflow.cli.options import AsJson
from autoflow.cli.table import examples, new_app
from autoflow.core.json import Json

if TYPE_CHECKING:
    from autoflow.bench import BenchReport

app = new_app()

Out = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Where the data is written, a folder a task.")]
Ids = Annotated[str, typer.Option("--tasks", metavar="IDS", help="Which tasks: 0-14,105.")]


@app.callback()
def openagi() -> None:
    """Prepare OpenAGI's data, fetch its models, run plans, reproduce AutoFlow."""


@app.command(
    epilog=examples(
        "autoflow openagi prepare --out data/openagi --source imagenet=~/imagenet/val --tasks 0-14",
        "autoflow openagi prepare --out data/openagi --source coco=~/coco --source sst2=stanfordnlp/sst2 --tasks 116",
        "autoflow bench openagi --scorer paper --data data/openagi --tasks 0-14 --split all",
    )
)
def prepare(
    out: Out,
    *,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=PLACE",
            help="A data set: a folder, a file, or a name on the hub, which reaches the network. Names: imagenet, "
            "coco, cnn_dailymail, sst2, textvqa, squad. May be repeated.",
        ),
    ] = None,
    tasks: Ids = "0-184",
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples a task.")] = 10,
    seed: options.Seed = 0,
    benchmark_option: options.BenchmarkOption = None,
    as_json: AsJson = False,
) -> None:
    """Build the paper's data from the data sets that it was made of, as published. Tasks that are there are kept."""
    from autoflow.cli.output import emit, say
    from autoflow.errors import UsageError

    parts = _Parts(options.of_benchmark(None, benchmark_option))
    making, sources = parts("prepare"), parts("sources")
    places, ids = sources.parse(source or []), _ids(tasks)
    missing = [name for name in making.needed(ids) if name not in places]
    if missing:
        listed = "; ".join(f"{name} is {sources.SOURCES[name].title}" for name in missing)
        hubs = [f"--source {name}={sources.SOURCES[name].hub}" for name in missing if sources.SOURCES[name].hub]
        raise UsageError(
            f"these tasks need more sources: {listed}",
            hint=f"name each with --source NAME=PLACE, for example {hubs[0] if hubs else '--source coco=FOLDER'}",
        )
    translate = parts.translator() if making.german(ids) else None
    records = {name: sources.open_source(name, places[name], samples) for name in making.needed(ids)}
    done = making.prepare(out, records, ids, seed=seed, translate=translate, say=say)
    if as_json:
        emit("openagi-prepare", {"folder": str(out), "made": done.made, "kept": done.kept})
    else:
        print(f"{out}: {len(done.made)} tasks made, {len(done.kept)} kept")


@app.command(
    epilog=examples(
        "autoflow openagi fetch",
        'autoflow openagi fetch google-t5/t5-base --benchmark-option \'revisions={"google-t5/t5-base": "a9723ea"}\'',
    )
)
def fetch(
    repository: Annotated[
        list[str] | None, typer.Argument(metavar="REPOSITORY", help="On the hub. Default: all that are not here.")
    ] = None,
    benchmark_option: options.BenchmarkOption = None,
) -> None:
    """Download the paper's models from the hub, at their revisions. Restormer's and siggraph17's are yours to download:
    autoflow doctor openagi says from where."""
    from autoflow.cli.output import say

    parts = _Parts(options.of_benchmark(None, benchmark_option))
    done = parts("fetch").fetch(repository or [], parts.site, say)
    print(f"{len(done)} fetched")


@app.command(
    epilog=examples(
        "autoflow openagi execute",
        "autoflow openagi execute --plan 'without:Image Denoising' --tasks 8-13",
        "autoflow openagi execute --plan 'Image Deblurring, Image Denoising' --tasks 9 --limit-samples 4",
        "autoflow openagi execute --scorer paper --data data/openagi --split all --tasks 0-14",
    )
)
def execute(
    ctx: typer.Context,
    *,
    plan: Annotated[
        str,
        typer.Option(
            "--plan",
            metavar="reference|reversed|without:MODULE|MODULE, MODULE",
            help="What is run on every task: its derived reference plan, that reversed, that without a module, "
            "or the modules named.",
        ),
    ] = "reference",
    scorer: Annotated[
        str, typer.Option("--scorer", metavar="plan|local|paper", help="What runs and judges.")
    ] = "local",
    split: Annotated[str, typer.Option("--split", help="Which tasks.")] = "local",
    tasks: options.Tasks = None,
    data: options.Data = None,
    benchmark_option: options.BenchmarkOption = None,
    vit_metric: options.VitMetric = None,
    limit_samples: options.LimitSamples = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = 0,
    run: options.RunDir = None,
    as_json: AsJson = False,
) -> int:
    """Run plans, without a language model: what the expert models can do, and what a plan that lacks one loses.

    Reference plans are derived by rule; none is published for these tasks. The report is that of a bench run.
    """
    import json
    import sys
    from dataclasses import replace

    from autoflow.bench import BenchConfig, bench, split_of, tasks_of
    from autoflow.benchmarks import loader
    from autoflow.cli import interrupt, opening, reporting
    from autoflow.cli.output import emit, printable, say
    from autoflow.core.workflow import Step, Workflow
    from autoflow.models.scripted import Rule, Scripted

    given = options.of_benchmark(
        data, benchmark_option, vit_metric=vit_metric, limit_samples=limit_samples, batch_size=batch_size
    )
    parts = _Parts(given)
    plans = parts("planned").plans(plan)
    loaded = loader.load("openagi", scorer=scorer, options=given)
    note = f"No model planned: every task was given its plan ({plan}). Reference plans are derived, not official."
    loaded = replace(loaded, notes=(note, *loaded.notes))
    command = interrupt.command_line(ctx)
    config = BenchConfig(
        benchmark="openagi",
        interpreter=f"scripted/{plan}",
        split=split,
        tasks=tasks,
        seed=seed,
        settings=opening.interpreter_settings("fused", temperature=0.0, max_tokens=None, seed=seed, max_steps=20),
        scorer=scorer,
        options=given,
        command=interrupt.without_secrets(command),
    )
    everything = split_of(config)
    chosen = tasks_of(config, everything)
    # One rule a task: a sentence is in no other, since each begins with "Given" and ends with its question mark.
    rules = [Rule((json.dumps(plans[task.id]),), when=task.text) for task in chosen]

    async def _work(stop: asyncio.Event) -> "BenchReport":
        with reporting.bar(f"{plan} on openagi {split}") as progress:
            return await bench(
                config,
                Workflow("openagi-given-plan", (Step("plan", "terminal", "Output the plan."),)),
                loaded,
                Scripted(rules, name=config.interpreter),
                tasks=everything,
                folder=None if run is None else Path(run),
                on_progress=progress,
                stop=stop,
            )

    report = interrupt.run(_work, command)
    say(f"run folder: {report.folder}")
    if as_json:
        emit("openagi-execute", {key: value for key, value in report.to_json().items() if key != "schema"})
    else:
        print(printable(report.to_text(), sys.stdout), end="")
    return report.exit_code


@app.command(
    epilog=examples(
        "autoflow openagi reproduce --estimate",
        "autoflow openagi reproduce --run runs/reproduce",
        "autoflow openagi reproduce --set generators=openai/gpt-5 --set interpreters=local/mixtral --max-cost 20",
        "autoflow openagi reproduce mine.yaml --set seeds=[0,1,2] --set rounds=10 --set candidates=1",
    )
)
def reproduce(
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Default: the bundled benchmarks/openagi/reproduce.yaml.")
    ] = None,
    *,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the file; may be repeated."),
    ] = None,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 8,
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    estimate: options.EstimateOnly = False,
    as_json: AsJson = False,
) -> int:
    """Run AutoFlow's experiment: generators write workflows, scored on train and chosen on validation; the chosen ones,
    and the hand-written flow and baselines, run on the test split under every interpreter, for every seed.

    The budget is for all seeds. The estimate is of one seed. The same command resumes.
    """
    import sys

    from autoflow import resources
    from autoflow.bench import split_of, tasks_of
    from autoflow.benchmarks import loader
    from autoflow.cli import interrupt, lineup, opening, reporting
    from autoflow.cli.output import emit, printable, say
    from autoflow.estimate import of_matrix
    from autoflow.experiment import ExperimentReport, load, matrix_config, run_path
    from autoflow.experiment import run as repeat

    experiment = load(
        file or resources.folder("benchmarks") / "openagi" / "reproduce.yaml", opening.pairs("--set", change or [])
    )
    loaded = loader.load(experiment.benchmark, scorer=experiment.scorer, options=experiment.benchmark_options)
    entries = lineup.entries(experiment.workflows or (), (), loaded, experiment.max_steps)
    if experiment.baselines:
        entries += lineup.entries((), experiment.baselines, loaded, experiment.max_steps)
    command = interrupt.command_line(ctx)
    limits = opening.budget(max_cost, max_tokens_total, max_calls, max_seconds)
    told = interrupt.without_secrets(command)
    first = matrix_config(
        experiment, entries, experiment.seeds[0], budget=limits, concurrency=concurrency, command=told
    )
    price = opening.pricer(opening.model_options(base_url, experiment.seeds[0], max_retries))
    everything = split_of(first.bench)
    folder = Path(run) if run is not None else run_path(experiment, loaded)
    chosen = tasks_of(first.bench, everything)
    first_folder = folder / f"seed-{experiment.seeds[0]}"
    if len(experiment.seeds) > 1:
        say(f"{len(experiment.seeds)} seeds; the estimate is of the first")
    if reporting.estimated(of_matrix(first, loaded, chosen, price, folder=first_folder), estimate, as_json):
        return 0

    async def _work(stop: asyncio.Event) -> ExperimentReport:
        return await repeat(
            experiment,
            entries,
            loaded,
            lambda seed: opening.shared(opening.model_options(base_url, seed, max_retries)),
            folder=folder,
            tasks=everything,
            budget=limits,
            concurrency=concurrency,
            command=told,
            price=price,
            watch=reporting.bar,
            follow=reporting.events,
            stop=stop,
        )

    report = interrupt.run(_work, command)
    say(f"run folder: {report.folder}")
    if as_json:
        document = {key: item for key, item in report.to_json().items() if key != "schema"}
        emit("experiment", {"folder": str(report.folder), **document})
    else:
        print(printable(report.to_markdown() if as_markdown else report.to_text(), sys.stdout), end="")
    if report.exit_code:
        reporting.say_how_it_ended(report.state, command)
    return report.exit_code


class _Parts:
    """The benchmark's own modules by name, and where its experts run under these options."""

    def __init__(self, given: dict[str, Json]) -> None:
        from autoflow.benchmarks import folder

        opened = folder.open_folder("openagi", given)
        assert opened.code.module is not None  # noqa: S101 - bundled
        self._package = opened.code.module.__name__
        self.options = self("options").read(opened.options)

    def __call__(self, name: str) -> Any:
        return importlib.import_module(f"{self._package}.{name}")

    @property
    def site(self) -> Any:
        return self("scorers").site_of("paper", self.options)

    def translator(self) -> Any:
        """T5-large, for German references."""
        return self("paper.translation").translator(self("fetch").TRANSLATOR, self.site)


def _ids(text: str) -> list[int]:
    """`0-14,105` as numbers, in order.

    Raises:
        UsageError: For what is no task of this benchmark.
    """
    from autoflow.errors import UsageError

    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > 184:
            raise UsageError(f"--tasks takes ids from 0 to 184, such as 0-14,105, not {part!r}")
        found |= set(range(int(first), int(last or first) + 1))
    return sorted(found)
