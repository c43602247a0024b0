"""What a worker process runs."""

import asyncio
import os
import socket
import threading
import time
from typing import Any

from autoflow import garbage
from autoflow.executors.link import Link
from autoflow.executors.recipe import Recipe
from autoflow.executors.worker import Worker
from autoflow.models.options import ModelOptions
from autoflow.telemetry import exporting

LAST_S = 5.0
"""So long may a worker without a driver go on: closing, and sending what it has of spans."""


def main(link: int, lifeline: int) -> None:
    """Serve the driver over the socket `link` until it closes it, or until `lifeline` says that it is gone."""
    # What code of a user's prints is not for the stdout of the command.
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    with exporting(), garbage.seldom():
        asyncio.run(_serve(socket.socket(fileno=link)))


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    time.sleep(LAST_S)
    # Still here: an operator or a scorer computes and does not look up.
    os._exit(1)


async def _serve(connection: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=connection)
    worker: Worker | None = None

    async def begin(recipe: Recipe, options: ModelOptions) -> None:
        nonlocal worker
        worker = await Worker.begun(recipe, options, link)

    def handle(method: str, arguments: tuple[Any, ...]) -> object:
        if method == "begin":
            return begin(*arguments)
        assert method == "draw"  # noqa: S101  our own driver
        assert worker is not None  # noqa: S101  it begins first
        return worker.draw(*arguments)

    link = Link(reader, writer, handle)
    await link.serve()
    if worker is not None:
        await worker.aclose()
