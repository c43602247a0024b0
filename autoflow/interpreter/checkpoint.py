"""Checkpoint files: a run that was paused or killed goes on from the last step it finished."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autoflow.errors import RunError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

ThreadStatus = Literal["absent", "unfinished", "finished"]


@asynccontextmanager
async def open_checkpoints(path: Path) -> AsyncIterator["BaseCheckpointSaver[Any]"]:
    """A checkpointer on an SQLite file, created with its folder where it is missing. Several threads may share it.

    Raises:
        RunError: If the file is not a checkpoint database.
    """
    # LangGraph reads this once, when its serialiser is imported: a file must not be able to name classes to build.
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    import sqlite3

    from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

    path.parent.mkdir(parents=True, exist_ok=True)
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        try:
            await saver.setup()
        except sqlite3.DatabaseError as error:
            raise RunError(
                f"{path} is not a checkpoint file: {error}", hint="name another file, or delete this one"
            ) from error
        yield saver


async def thread_status(saver: "BaseCheckpointSaver[Any]", thread: str) -> ThreadStatus:
    """Whether `thread` has a run in the file, and whether that run came to its end."""
    found = await saver.aget_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
    if found is None:
        return "absent"
    return "finished" if found.checkpoint["channel_values"].get("done") else "unfinished"


async def forget(saver: "BaseCheckpointSaver[Any]", thread: str) -> None:
    """Delete all that the file keeps of `thread`; without it, the file only grows."""
    await saver.adelete_thread(thread)
