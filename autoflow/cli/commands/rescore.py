"""Judge the recorded traces of a run by another scorer."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.errors import UnknownNameError

if TYPE_CHECKING:
    from autoflow.bench import BenchReport

ROOT = "runs"

app = new_app()


@app.command(
    epilog=examples(
        "autoflow rescore bench-gsm-hard-1a2b3c4d --scorer numeric",
        "autoflow rescore runs/mine --scorer my_scorer:judge",
        "autoflow rescore runs/mine --scorer llm-judge --scorer-option model=openai/gpt-5-mini "
        '--scorer-option rubric="It is right." --max-cost 1',
        "autoflow rescore improve-openagi-1a2b3c4d --trial r1c1 --split validation --scorer overlap",
    )
)
def rescore(
    ctx: typer.Context,
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="A run's name, or its folder.")],
    *,
    scorer: Annotated[
        str | None,
        typer.Option("--scorer", metavar="NAME", help="A scorer, or module:function. Default: the benchmark's own."),
    ] = None,
    scorer_option: Annotated[
        list[str] | None,
        typer.Option("--scorer-option", metavar="KEY=VALUE", help="A parameter of the scorer; may be repeated."),
    ] = None,
    trial: Annotated[
        str | None, typer.Option("--trial", metavar="ID", help="Of an improving run: whose traces.")
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="train|validation", help="Of an improving run: on which tasks.")
    ] = "validation",
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark", metavar="PATH", help="The benchmark, where it is no longer where the run found it."
        ),
    ] = None,
    data: options.Data = None,
    root: Annotated[Path, typer.Option("--root", metavar="FOLDER", help="The folder that holds the runs.")] = Path(
        ROOT
    ),
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 8,
    unsafe_local: options.UnsafeLocal = False,
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    as_json: options.AsJson = False,
) -> int:
    """Judge the recorded traces of a run by another scorer. No workflow is run and no model is asked, unless the scorer
    is one: the calls of an LLM judge are metered, and the budget is its.

    The report goes into a run folder of its own; the run that is judged stays as it is.
    """
    from autoflow.cli import interrupt, opening, reporting
    from autoflow.cli.output import emit
    from autoflow.rescore import RescoreConfig
    from autoflow.rescore import rescore as judge
    from autoflow.runs.folder import list_runs

    source = next((path for path in (root / run_name, Path(run_name)) if (path / "config.yaml").is_file()), None)
    if source is None:
        raise UnknownNameError(
            "run", run_name, [known.name for known in list_runs(root)], hint="see: autoflow runs list"
        )
    command = interrupt.command_line(ctx)
    config = RescoreConfig(
        run=source,
        scorer=scorer,
        scorer_options=opening.pairs("--scorer-option", scorer_option or []),
        trial=trial,
        split=split,
        benchmark=benchmark,
        data=data,
        budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
        concurrency=concurrency,
        command=interrupt.without_secrets(command),
    )
    # The judge draws at temperature 0: no seed of its own is needed.
    model_options = opening.model_options(base_url, 0, max_retries)

    async def _work(stop: asyncio.Event) -> "BenchReport":
        with reporting.bar(f"judging {source.name}") as progress:
            return await judge(
                config,
                runs=root,
                folder=None if run is None else Path(run),
                open_model=opening.opener(model_options),
                price=opening.pricer(model_options),
                on_progress=progress,
                stop=stop,
            )

    with opening.unsafe_local(unsafe_local):
        report = interrupt.run(_work, command)
    if as_json:
        document = {key: item for key, item in report.to_json().items() if key != "schema"}
        emit("bench", {"reports": [{"folder": str(report.folder), **document}]})
    else:
        print(report.to_text(), end="")
        print(f"\nrun folder: {report.folder}")
    if report.exit_code:
        reporting.say_how_it_ended(report.state, command)
    return report.exit_code
