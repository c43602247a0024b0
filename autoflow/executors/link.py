"""Two processes that call each other's methods over one socket. Only for processes that trust each other."""

import asyncio
import copyreg
import io
import itertools
import pickle
import struct
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, Literal

from autoflow.core.model import Message, Reply, Request, Sampling, Usage
from autoflow.core.task import Task
from autoflow.core.trace import Call, StepRecord, Trace
from autoflow.errors import AutoflowError, WorkerError
from autoflow.objective.drawing import Drawn

_HEAD = struct.Struct(">Q")
# Ahead of each message: its length in bytes.

Handler = Callable[[str, tuple[Any, ...]], object]
"""Carries out a call of the other side: method and arguments. Gives the result, or a coroutine that does."""


def _parts(kind: type) -> Callable[[Any], tuple[type, tuple[Any, ...]]]:
    values = attrgetter(*(field.name for field in fields(kind)))
    return lambda item: (kind, values(item))


_REDUCED: dict[type, Callable[[Any], Any]] = {
    **copyreg.dispatch_table,
    **{kind: _parts(kind) for kind in (Call, Drawn, Message, Reply, Request, Sampling, StepRecord, Task, Trace, Usage)},
}
# What most messages are made of is written as calls of its type: pickle's own way with frozen dataclasses takes twice
# as long.


def _pack(value: object) -> bytes:
    packed = io.BytesIO()
    pickler = pickle.Pickler(packed, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = _REDUCED
    pickler.dump(value)
    return packed.getvalue()


class Closed(Exception):  # noqa: N818  what happens to peers, not an error of ours
    """The other side is gone."""


class Link:
    """One end. Messages arrive in the order they were sent, and calls are begun in that order; a method that is no
    coroutine is carried out as it arrives, before a call that has not begun yet."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader = reader
        self._writer = writer
        self._handler = handler
        self._numbers = itertools.count()
        self._called: dict[int, asyncio.Future[Any]] = {}
        self._serving: dict[int, asyncio.Task[None]] = {}
        self._unsent: list[bytes] = []
        self._closed = False

    async def call(self, method: str, *arguments: object) -> Any:
        """Call a method there and wait for what it gives. A call that is cancelled here is cancelled there.

        Raises:
            Closed: The other side is gone, or goes before it answers.
            Exception: What the method raised there.
        """
        if self._closed:
            raise Closed
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._called[number] = future
        try:
            self._send("call", number, (method, arguments))
            return await future
        except asyncio.CancelledError:
            self._send("cancel", number, None)
            raise
        finally:
            self._called.pop(number, None)

    def tell(self, method: str, *arguments: object) -> None:
        """Call a method there without waiting. Nobody hears of an error but the log of that process."""
        self._send("tell", 0, (method, arguments))

    async def serve(self) -> None:
        """Carry out what the other side calls, until it is gone; then end every call that is under way."""
        try:
            while True:
                (length,) = _HEAD.unpack(await self._reader.readexactly(_HEAD.size))
                # Both ends are ours: the socket has no name and was handed to this process at its birth.
                self._take(*pickle.loads(await self._reader.readexactly(length)))  # noqa: S301
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.close()

    def close(self) -> None:
        """End it, once what was said is on its way. Safe to call twice."""
        self._flush()
        self._closed = True
        self._writer.close()
        for future in self._called.values():
            if not future.done():
                future.set_exception(Closed())
        for task in self._serving.values():
            task.cancel()

    def _take(self, kind: Literal["call", "tell", "cancel", "gave", "raised"], number: int, content: Any) -> None:
        if kind in ("call", "tell"):
            self._begin(number if kind == "call" else None, *content)
        elif kind == "cancel":
            if number in self._serving:
                self._serving[number].cancel()
        elif number in self._called and not self._called[number].done():
            if kind == "gave":
                self._called[number].set_result(content)
            else:
                self._called[number].set_exception(content)

    def _begin(self, number: int | None, method: str, arguments: tuple[Any, ...]) -> None:
        """A told method has no number, and nobody cancels it."""
        try:
            found = self._handler(method, arguments)
        except Exception as error:  # noqa: BLE001  boundary: it is raised where it was called from
            self._raised(number, error)
            return
        if asyncio.iscoroutine(found):
            task = asyncio.create_task(self._carry_out(number, found))
            key = number if number is not None else -1 - next(self._numbers)
            self._serving[key] = task

            def end(_: "asyncio.Task[None]") -> None:
                del self._serving[key]
                # Of a call that was cancelled before it began, Python would else complain.
                found.close()

            task.add_done_callback(end)
        elif number is not None:
            self._send("gave", number, found)

    async def _carry_out(self, number: int | None, work: Awaitable[object]) -> None:
        try:
            found = await work
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001  boundary: it is raised where it was called from
            self._raised(number, error)
        else:
            if number is not None:
                self._send("gave", number, found)

    def _raised(self, number: int | None, error: Exception) -> None:
        if number is None:
            traceback.print_exception(error)
        else:
            self._send("raised", number, portable(error))

    def _send(self, kind: str, number: int, content: object) -> None:
        if self._closed:
            return
        packed = _pack((kind, number, content))
        if not self._unsent:
            # All messages of one turn of the loop go together: each writing wakes the other side.
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent += (_HEAD.pack(len(packed)), packed)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and not self._closed:
            self._writer.write(b"".join(unsent))


def portable(error: Exception) -> Exception:
    """The error as another process can raise it: ours as it is, any other as its traceback."""
    if isinstance(error, AutoflowError):
        return error
    return WorkerError(
        f"a worker failed: {type(error).__name__}: {error}\n{''.join(traceback.format_exception(error))}"
    )
