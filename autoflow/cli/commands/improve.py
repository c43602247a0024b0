"""Write workflows for a benchmark, run them, score them, keep the best."""

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app

if TYPE_CHECKING:
    from autoflow.improve import ImproveReport

app = new_app()


@app.command(
    epilog=examples(
        "autoflow improve openagi",
        "autoflow improve openagi --rounds 3 --candidates 4 --run runs/mine",
        "autoflow improve openagi --generator openai/gpt-5-mini --interpreter embedded/smollm2-135m --max-cost 1",
        "autoflow improve path/to/benchmark --strategy in-context --option history=5 --train-limit 10",
    )
)
def improve(
    ctx: typer.Context,
    benchmark: options.Benchmark,
    *,
    strategy: options.Strategy = "in-context",
    option: options.StrategyOption = None,
    generator: options.Generator = options.DEFAULT_MODEL,
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 8,
    rounds: options.Rounds = None,
    candidates: options.Candidates = None,
    epochs: options.Epochs = 1,
    seed: options.Seed = 0,
    train_limit: options.TrainLimit = None,
    validation_limit: options.ValidationLimit = None,
    test_limit: Annotated[
        int | None, typer.Option("--test-limit", min=1, metavar="N", help="Only the first N test tasks.")
    ] = None,
    gate: options.Gate = "all",
    race: options.Race = True,
    objective: Annotated[
        str,
        typer.Option(
            "--objective",
            metavar="score|score-cost|pareto",
            help="Choose the best score, the cheapest that validation cannot tell from the best, or the whole front.",
        ),
    ] = "score",
    shortlist: Annotated[
        int, typer.Option("--shortlist", min=0, metavar="N", help="Candidates run on test at the end; 0 reads no test.")
    ] = 1,
    references: Annotated[
        bool,
        typer.Option(
            "--references/--no-references",
            help="Run on test, too, what a workflow must beat: io, cot, and cot-sc with as many calls as the best.",
        ),
    ] = True,
    paraphrases: Annotated[
        int,
        typer.Option(
            "--paraphrases",
            min=0,
            metavar="N",
            help="Tell the task in other words N times, and report how stable the drafted workflow and its score are.",
        ),
    ] = 0,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 256,
    max_steps: options.MaxSteps = 20,
    operators: options.OperatorSet = None,
    scorer: options.Scorer = None,
    data: options.Data = None,
    benchmark_option: options.BenchmarkOption = None,
    unsafe_local: options.UnsafeLocal = False,
    concurrency: options.Concurrency = 8,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    quiet: options.Quiet = False,
    estimate: options.EstimateOnly = False,
    as_json: options.AsJson = False,
) -> int:
    """Improve workflows for a benchmark: the generator writes them, the interpreter runs them on train and validation
    tasks, the score goes back to the generator, and the best on validation is run once on the test split.

    What is recorded in the run folder is not done again: the same command resumes a run that was stopped.
    """
    from autoflow.benchmarks import held_out, loader
    from autoflow.cli import interrupt, opening, reporting
    from autoflow.cli.output import emit
    from autoflow.estimate import of_improve
    from autoflow.improve import Collaborators, ImproveConfig
    from autoflow.improve import improve as drive

    command = interrupt.command_line(ctx)
    config = ImproveConfig(
        benchmark=benchmark,
        generator=generator,
        interpreter=interpreter,
        strategy=strategy,
        strategy_options=opening.pairs("--option", option or []),
        rounds=rounds,
        candidates=candidates,
        epochs=epochs,
        seed=seed,
        settings=opening.interpreter_settings(
            protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
        ),
        scorer=scorer,
        options=options.of_benchmark(data, benchmark_option),
        operators=operators,
        train_limit=train_limit,
        validation_limit=validation_limit,
        test_limit=test_limit,
        gate=opening.gate(gate),
        race=race,
        objective=opening.objective(objective),
        shortlist=shortlist,
        references=references,
        paraphrases=paraphrases,
        base_url=base_url,
        budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
        concurrency=concurrency,
        command=interrupt.without_secrets(command),
    )
    model_options = opening.model_options(base_url, seed, max_retries)
    price = opening.pricer(model_options)
    folder = None if run is None else Path(run)
    loaded = loader.load(benchmark, scorer=scorer, options=config.options)
    tested = min(held_out.splits(benchmark, options=config.options).get("test", 0), test_limit or sys.maxsize)
    if reporting.estimated(of_improve(config, loaded, tested, price, folder=folder), estimate, as_json, quiet=quiet):
        return 0

    async def _work(stop: asyncio.Event) -> "ImproveReport":
        # Lent: each pass over the test split closes the models that it opens, and the next asks for the same.
        async with opening.shared(model_options) as open_model:
            with nullcontext() if quiet else reporting.events() as on_event:
                given = Collaborators(
                    benchmark=loaded, open_model=open_model, price=price, on_event=on_event, stop=stop
                )
                return await drive(config, given, folder=folder)

    with opening.unsafe_local(unsafe_local):
        report = interrupt.run(_work, command)
    if as_json:
        emit("improve", {"folder": str(report.folder), **_document(report)})
    else:
        _print(report)
    if report.exit_code:
        reporting.say_how_it_ended(report.state, command)
    return report.exit_code


def _document(report: "ImproveReport") -> dict[str, object]:
    # The report's own version number gives way to the document's.
    return {key: value for key, value in report.to_json().items() if key != "schema"}


def _print(report: "ImproveReport") -> None:
    from autoflow.cli.output import printable, terminal_columns
    from autoflow.language.dump import dump

    print(printable(report.to_text(terminal_columns(sys.stdout)), sys.stdout), end="")
    print(f"\nrun folder: {report.folder}")
    if report.workflow is not None:
        print(f"\n# {report.best}\n{dump(report.workflow)}", end="")
