"""Flags that several commands share, with one wording."""

from collections.abc import Sequence
from typing import Annotated

import typer

from autoflow.core.json import Json

DEFAULT_MODEL = "embedded/smollm2-135m"

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
EstimateOnly = Annotated[
    bool, typer.Option("--estimate", help="Print what is still to do and what it may cost, and run nothing.")
]
Operators = Annotated[
    list[str] | None,
    typer.Option(
        "--operators",
        metavar="BENCHMARK",
        help="Add a benchmark's operators to the library's; may be repeated. A bundled workflow in a folder named "
        "after a benchmark gets that benchmark's by itself.",
    ),
]
OperatorSet = Annotated[
    str | None,
    typer.Option(
        "--operators",
        metavar="SET",
        help="The operators that the generator may use: a set's name (see autoflow operators), or a YAML file with a "
        "list of names. Default: the benchmark's own set, else all.",
    ),
]
Interpreter = Annotated[
    str, typer.Option("--interpreter", metavar="MODEL", help="The model that runs workflows: provider/model.")
]
Generator = Annotated[
    str, typer.Option("--generator", metavar="MODEL", help="The model that writes workflows: provider/model.")
]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server, for openai/... models."),
]
MaxRetries = Annotated[
    int,
    typer.Option("--max-retries", min=0, metavar="N", help="Times that a failed call is tried again."),
]
Protocol = Annotated[
    str,
    typer.Option(
        "--protocol",
        metavar="fused|segment|core",
        help="fused: one model call a step. segment: one for a straight run of steps. core: the published protocol.",
    ),
]
Temperature = Annotated[float, typer.Option("--temperature", min=0.0, help="0 draws the likeliest text.")]
MaxTokens = Annotated[
    int | None, typer.Option("--max-tokens", min=1, metavar="N", help="Longest reply of one model call, in tokens.")
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of sampling and of every shuffle and interval.")]
MaxSteps = Annotated[int, typer.Option("--max-steps", min=1, metavar="N", help="Most steps of one task.")]
Epochs = Annotated[int, typer.Option("--epochs", min=1, metavar="N", help="Times each task is run and averaged.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, metavar="N", help="Tasks run at the same time.")]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        metavar="local|ray",
        help="Where tasks are run: on this machine, or on a Ray cluster (extra `ray`).",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Processes that run tasks. Default: local, none but this; ray, one for each CPU of the cluster.",
    ),
]
CheckpointerName = Annotated[
    str | None,
    typer.Option(
        "--checkpointer",
        metavar="sqlite|postgres",
        help="Keep the state of what is under way after each step, and resume there: in a file, or in the PostgreSQL "
        "database of AUTOFLOW_POSTGRES_DSN (extra `postgres`).",
    ),
]
MaxCost = Annotated[
    float | None,
    typer.Option("--max-cost", metavar="USD", help="Stop before the calls cost more; needs a model of known price."),
]
MaxCalls = Annotated[
    int | None, typer.Option("--max-calls", min=1, metavar="N", help="Stop before more model calls than this.")
]
MaxTokensTotal = Annotated[
    int | None,
    typer.Option("--max-tokens-total", min=1, metavar="N", help="Stop before more tokens, in and out, than this."),
]
MaxSeconds = Annotated[
    float | None,
    typer.Option("--max-seconds", metavar="S", help="Stop after this much time, earlier sittings included."),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors, and how to resume what was stopped.")
]
RunDir = Annotated[
    str | None,
    typer.Option("--run", metavar="FOLDER", help="The run folder; the same command with the same folder resumes it."),
]
Benchmark = Annotated[
    str, typer.Argument(metavar="BENCHMARK", help="Name, or path of a benchmark's YAML file or folder.")
]
Split = Annotated[str, typer.Option("--split", help="Which tasks.")]
Tasks = Annotated[str | None, typer.Option("--tasks", metavar="IDS", help="Of these, by id: 0-14,105. Default: all.")]
SampleId = Annotated[
    list[str] | None,
    typer.Option(
        "--sample-id",
        metavar="ID",
        help="One of these, by its id as it is, commas and dashes included; may be repeated, also beside --tasks.",
    ),
]
RetryErrors = Annotated[
    bool,
    typer.Option(
        "--retry-errors/--no-retry-errors",
        help="Try again what an earlier sitting lost to the provider or the sandbox; without, report it as it stands.",
    ),
]
UnsafeLocal = Annotated[
    bool,
    typer.Option(
        "--unsafe-local", help="Where no sandbox works, run generated code all the same, with all of your rights."
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Of these, the first N.")]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard", metavar="i/n", help="Of these, the i-th of n parts; autoflow runs merge makes one run of all parts."
    ),
]
Baseline = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        metavar="NAME",
        help="Compare with a reference method: io, cot, cot-sc:N, manual, or one that the benchmark brings. "
        "cot-sc:equal draws as many samples as the first workflow takes calls. May be repeated.",
    ),
]
Strategy = Annotated[str, typer.Option("--strategy", metavar="NAME", help="How the generator is improved.")]
StrategyOption = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the strategy; may be repeated."),
]
Rounds = Annotated[int | None, typer.Option("--rounds", min=1, metavar="N", help="Times the generator is asked.")]
Candidates = Annotated[
    int | None, typer.Option("--candidates", min=1, metavar="N", help="Workflows written in a round.")
]
TrainLimit = Annotated[
    int | None, typer.Option("--train-limit", min=1, metavar="N", help="Only the first N train tasks.")
]
ValidationLimit = Annotated[
    int | None, typer.Option("--validation-limit", min=1, metavar="N", help="Only the first N validation tasks.")
]
Gate = Annotated[
    str,
    typer.Option(
        "--gate", metavar="all|parent", help="Run on validation: all, or what does as well as its parent on train."
    ),
]
Race = Annotated[
    bool,
    typer.Option("--race/--no-race", help="Stop running a candidate on validation once it is statistically beaten."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        "--data-dir",
        metavar="PATH",
        help="File or folder with the benchmark's data; instead of AUTOFLOW_DATA.",
    ),
]
Scorer = Annotated[str | None, typer.Option("--scorer", help="Which of the benchmark's scorers judges the answers.")]


BenchmarkOption = Annotated[
    list[str] | None,
    typer.Option(
        "--benchmark-option",
        metavar="KEY=VALUE",
        help="An option that the benchmark declares; may be repeated. autoflow doctor BENCHMARK lists them.",
    ),
]
IndexMode = Annotated[
    str | None,
    typer.Option("--index-mode", metavar="aligned|paper-offset", help="The benchmark option index_mode (openagi)."),
]
VitMetric = Annotated[
    str | None,
    typer.Option("--vit-metric", metavar="cosine|paper-distance", help="The benchmark option vit_metric (openagi)."),
]
LimitSamples = Annotated[
    int | None,
    typer.Option("--limit-samples", min=1, metavar="N", help="The benchmark option limit_samples (openagi)."),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", min=1, metavar="N", help="The benchmark option batch_size (openagi).")
]


def of_benchmark(data: str | None, given: Sequence[str] | None = None, **aliases: Json) -> dict[str, Json]:
    """The options of a benchmark that flags set: `KEY=VALUE` pairs, over them flags of their own where one is set.

    Raises:
        UsageError: For a pair that is none.
    """
    from autoflow.cli import opening

    flags = {"data": data, **aliases}
    set_by_flags = {key: value for key, value in flags.items() if value is not None}
    return {**opening.pairs("--benchmark-option", given or []), **set_by_flags}
