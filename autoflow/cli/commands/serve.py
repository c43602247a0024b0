"""Serve a workflow over HTTP."""

import asyncio
import os
import signal
from typing import Annotated

import typer

from autoflow.cli import options
from autoflow.cli.table import examples, new_app

TOKEN = "AUTOFLOW_SERVE_TOKEN"  # noqa: S105  the variable's name

app = new_app()


@app.command(
    epilog=examples(
        "autoflow serve workflows/chain_of_thought.yaml --interpreter openai/gpt-5-mini",
        "curl http://127.0.0.1:8800/run -H 'Content-Type: application/json' -d '{\"task\": \"What is 17 * 23?\"}'",
        f"{TOKEN}=... autoflow serve plan.yaml --host 0.0.0.0 --port 80",
    )
)
def serve(
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Workflow file; - is stdin.")],
    *,
    host: Annotated[
        str, typer.Option("--host", help=f"Address to listen on. Any but loopback needs a token in {TOKEN}.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8800,
    interpreter: options.Interpreter = options.DEFAULT_MODEL,
    base_url: options.BaseUrl = None,
    max_retries: options.MaxRetries = 2,
    protocol: options.Protocol = "fused",
    temperature: options.Temperature = 0.0,
    max_tokens: options.MaxTokens = 512,
    seed: options.Seed = 0,
    max_steps: options.MaxSteps = 50,
    operators: options.Operators = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="S", help="Longest time for one request.")
    ] = 300.0,
    max_body: Annotated[int, typer.Option("--max-body", min=1, metavar="BYTES", help="Largest request body.")] = 1
    << 20,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, metavar="N", help="Runs at the same time; others wait.")
    ] = 64,
    queue: Annotated[
        int, typer.Option("--queue", min=0, metavar="N", help="Requests that may wait; one more gets 503.")
    ] = 256,
    grace: Annotated[
        float, typer.Option("--grace", min=0, metavar="S", help="Time for runs in flight once the server is stopped.")
    ] = 30.0,
) -> None:
    """Serve a workflow: POST /run with {"task": ...}, or as a chat model under /v1 for any OpenAI client.

    Ctrl-C or SIGTERM stops it gracefully: what is in flight is finished first.
    """
    from autoflow.cli import files, opening
    from autoflow.cli.output import say
    from autoflow.interpreter.run import Interpreter
    from autoflow.language.lint import check
    from autoflow.serve import ServeConfig, Service, serving
    from autoflow.telemetry import exporting

    config = ServeConfig(host, port, os.environ.get(TOKEN) or None, timeout, max_body, concurrency, queue, grace)
    reachable = files.operators_of(workflow, operators or [])
    program = check(files.load(workflow), {name: operator.card for name, operator in reachable.items()})
    settings = opening.interpreter_settings(
        protocol, temperature=temperature, max_tokens=max_tokens, seed=seed, max_steps=max_steps
    )
    open_model = opening.opener(opening.model_options(base_url, seed, max_retries))

    async def _work() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        model = open_model(interpreter)
        runner = Interpreter(model, reachable, settings, open_model=open_model)
        try:
            service = Service(program, runner, config, say)
            async with serving(service, config) as address:
                say(f"serving {program.name} as {service.model} at {address}")
                await stop.wait()
                say("finishing what is in flight")
        finally:
            await runner.aclose()
            await model.aclose()

    with exporting():
        asyncio.run(_work())
