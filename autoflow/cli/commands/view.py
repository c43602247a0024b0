"""Look at recorded runs in the browser."""

import asyncio
import signal
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from autoflow.cli.table import examples, new_app
from autoflow.errors import UsageError

app = new_app()


@app.command(epilog=examples("autoflow view", "autoflow view elsewhere/runs --port 0 --no-browser"))
def view(
    root: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder that holds the runs.")] = Path("runs"),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8801,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
) -> None:
    """Serve a folder of runs on this machine alone, until Ctrl-C: the list, and a report of each.

    A run that is still going on is shown as far as it has come; load the page again for more.
    """
    from autoflow.cli.output import say
    from autoflow.report.view import viewing

    if not root.is_dir():
        raise UsageError(f"{root} is no folder", hint="name the folder that holds the runs")

    async def _work() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with viewing(root, port) as address:
            say(f"{address} (Ctrl-C stops)")
            if not no_browser:
                webbrowser.open(address)
            await stop.wait()

    asyncio.run(_work())
