"""Checkpoints in a file or a database: a run that was paused or killed goes on from the last step it finished."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from autoflow.core.json import digest
from autoflow.core.task import Task
from autoflow.core.trace import Trace
from autoflow.core.workflow import Workflow
from autoflow.errors import ConfigError, MissingDependencyError, RunError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from autoflow.interpreter.run import Interpreter

Checkpointer = Literal["sqlite", "postgres"]

DSN = "AUTOFLOW_POSTGRES_DSN"
"""Environment variable with the address of the database, password included; it stands nowhere else."""

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


@asynccontextmanager
async def open_postgres(*, make: bool = True) -> AsyncIterator["BaseCheckpointSaver[Any]"]:
    """A checkpointer on the database that the environment names, for any number of machines at a time.

    Args:
        make: Make the tables, or bring them up to date. Of several processes, one does.

    Raises:
        MissingDependencyError: Without the extra `postgres`.
        ConfigError: If the environment names no database.
        RunError: If it cannot be reached or used. No message holds the address.
    """
    os.environ.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
    try:
        import psycopg
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
    except ImportError as error:
        raise MissingDependencyError(
            "--checkpointer postgres needs the packages langgraph-checkpoint-postgres and psycopg",
            hint="pip install 'autoflow[postgres]'",
        ) from error
    address = os.environ.get(DSN)
    if not address:
        raise ConfigError(f"{DSN} is not set", hint=f"export {DSN}=postgresql://user:password@host:5432/database")
    try:
        opened = AsyncPostgresSaver.from_conn_string(address)
        saver = await opened.__aenter__()
    except psycopg.Error as error:
        # The chain is cut as well: a traceback would show the address.
        raise RunError(f"the database of {DSN} cannot be reached: {type(error).__name__}") from None
    try:
        if make:
            try:
                await saver.setup()
            except psycopg.Error as error:
                raise RunError(f"the database of {DSN} cannot hold checkpoints: {error}") from None
        yield saver
    finally:
        await opened.__aexit__(None, None, None)


def opener(
    kind: Checkpointer, file: Path, *, make: bool = True
) -> "AbstractAsyncContextManager[BaseCheckpointSaver[Any]]":
    """The checkpointer of that kind; `file` is where one of SQLite keeps its states."""
    return open_checkpoints(file) if kind == "sqlite" else open_postgres(make=make)


class Kept:
    """Runs every draw in a checkpoint of its own, so that a killed run goes on in mid-task. As an `Interpreter`."""

    def __init__(self, interpreter: "Interpreter", saver: "BaseCheckpointSaver[Any]", run: str) -> None:
        """`run` tells this run's draws from those of any other in the same database."""
        self._interpreter = interpreter
        self._saver = saver
        self._run = run

    async def run(self, workflow: Workflow, task: Task, *, sample: int = 0) -> Trace:
        """The trace; once it is whole, its checkpoint is forgotten. After a fault the next sitting goes on with it."""
        thread = digest([self._run, workflow.fingerprint(), task.id, sample])
        trace = await self._interpreter.run(workflow, task, sample=sample, thread=thread, checkpointer=self._saver)
        if trace.failure is None or trace.failure.kind != "fault":
            await forget(self._saver, thread)
        return trace


async def thread_status(saver: "BaseCheckpointSaver[Any]", thread: str) -> ThreadStatus:
    """Whether `thread` has a run in the file, and whether that run came to its end."""
    found = await saver.aget_tuple({"configurable": {"thread_id": thread, "checkpoint_ns": ""}})
    if found is None:
        return "absent"
    return "finished" if found.checkpoint["channel_values"].get("done") else "unfinished"


async def forget(saver: "BaseCheckpointSaver[Any]", thread: str) -> None:
    """Delete all that the file keeps of `thread`; without it, the file only grows."""
    await saver.adelete_thread(thread)
