"""Train the weights of a generator, by demonstrations, rewards or trajectories."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app
from autoflow.core.json import Json
from autoflow.errors import UnknownNameError

if TYPE_CHECKING:
    from autoflow.training.train import TrainReport

app = new_app()


@app.command(
    epilog=examples(
        "autoflow train grpo grpo.yaml",
        "autoflow train grpo --model path/to/weights --benchmark openagi --steps 200",
        "autoflow train sft --model path/to/weights --data path/to/dataset --set trainer.num_train_epochs=2",
        "autoflow train reinforce more.yaml --adapter runs/train-sft-1a2b3c4d/adapter --run runs/mine",
    )
)
def train(
    ctx: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help="sft, reinforce, grpo or rlao.")],
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="A YAML file; every key of it can also be set by --set.")
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option("--model", metavar="BASE", help="Folder of base weights, or a name on the hub.")
    ] = None,
    adapter: Annotated[
        str | None, typer.Option("--adapter", metavar="FOLDER", help="A trained adapter to go on from.")
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        typer.Option("--benchmark", metavar="NAME", help="Score samples on its train tasks; may be repeated."),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="PATH", help="Demonstrations or trajectories to learn from; may be repeated."),
    ] = None,
    interpreter: Annotated[
        str | None, typer.Option("--interpreter", metavar="MODEL", help="The model that runs sampled workflows.")
    ] = None,
    reward: Annotated[str | None, typer.Option("--reward", metavar="NAME", help="What a sample earns.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, metavar="N", help="Updates.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", min=0.0, metavar="RATE", help="Size of an update.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of sampling, order and fresh adapters.")] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any key of the file, dotted; may be repeated."),
    ] = None,
    max_retries: options.MaxRetries = 5,
    max_cost: options.MaxCost = None,
    max_calls: options.MaxCalls = None,
    max_tokens_total: options.MaxTokensTotal = None,
    max_seconds: options.MaxSeconds = None,
    run: options.RunDir = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> int:
    """Train a generator's weights, and leave them in the run folder with what they come from.

    sft learns from demonstrations; reinforce and grpo from the scores of workflows that the generator samples; rlao
    from recorded trajectories. Flags win over the file. The same command resumes a run that was stopped.
    """
    from autoflow.cli import interrupt, opening, reporting
    from autoflow.cli.output import emit, safe, say
    from autoflow.training.config import METHODS, load
    from autoflow.training.train import Collaborators
    from autoflow.training.train import train as drive

    known = next((item for item in METHODS if item == method), None)
    if known is None:
        raise UnknownNameError("method", method, list(METHODS))
    flags: dict[str, Json] = {
        "model": model,
        "adapter": adapter,
        "tasks.benchmarks": benchmark or None,
        "data": data or None,
        "interpreter.model": interpreter,
        "reward.name": reward,
        "trainer.max_steps": steps,
        "trainer.learning_rate": learning_rate,
        "seed": seed,
    }
    changes = {key: value for key, value in flags.items() if value is not None}
    settings = load(config, known, {**changes, **opening.pairs("--set", change or [])})
    command = interrupt.command_line(ctx)
    model_options = opening.model_options(settings.interpreter.base_url, settings.seed, max_retries)
    open_model = opening.opener(model_options)

    async def _work(stop: asyncio.Event) -> "TrainReport":
        given = Collaborators(
            open_model=open_model,
            price=opening.pricer(model_options),
            on_event=None if quiet else lambda event: say(safe(event.message)),
            stop=stop,
        )
        return await drive(
            settings,
            given,
            budget=opening.budget(max_cost, max_tokens_total, max_calls, max_seconds),
            command=interrupt.without_secrets(command),
            folder=None if run is None else Path(run),
        )

    report = interrupt.run(_work, command)
    if as_json:
        emit("train", {"folder": str(report.folder), **report.to_json()})
    else:
        print(report.to_text(), end="")
        print(f"run folder: {report.folder}")
    if report.exit_code:
        reporting.say_how_it_ended(report.state, command)
    return report.exit_code
