"""Lets a trainer run in a thread of its own while what it asks for runs on the event loop.

Trainers block; rewards are concurrent calls. The thread waits while the loop works, so that one event loop serves the
reply cache, the ledger and every model, as it does elsewhere.
"""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


LAST_WORDS_S = 60.0
# How long an abandoned thread is waited for. Ended with the program, in the middle of a computation, it aborts it.


class Abandoned(BaseException):
    """Nobody waits for the thread any more: it is to end at once. No library's `except Exception` may keep it."""


class Bridge:
    """The thread's door to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event | None) -> None:
        self._loop = loop
        self._stop = stop
        self._abandoned = threading.Event()
        self._pending: set[concurrent.futures.Future[Any]] = set()

    @property
    def stopping(self) -> bool:
        """Whether a person asked to stop after the step in hand. Safe to read from the thread."""
        return self._stop is not None and self._stop.is_set()

    def check(self) -> None:
        """End the thread if nobody waits for it any more.

        Raises:
            Abandoned: If so.
        """
        if self._abandoned.is_set():
            raise Abandoned

    def start(self, work: Coroutine[Any, Any, T]) -> Callable[[], T]:
        """Run `work` on the loop, and go on; what is returned waits for its result, and raises what it raised.

        Raises:
            Abandoned: If the loop's side was cancelled; so does what is returned.
        """
        if self._abandoned.is_set():
            work.close()
            raise Abandoned
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        self._pending.add(future)

        def wait() -> T:
            try:
                return future.result()
            except concurrent.futures.CancelledError as error:
                raise Abandoned from error
            finally:
                self._pending.discard(future)

        return wait

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and wait for it, from the thread. What it raises is raised here.

        Raises:
            Abandoned: If the loop's side was cancelled.
        """
        return self.start(work)()

    def tell(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` on the loop, without waiting."""
        if not self._abandoned.is_set():
            self._loop.call_soon_threadsafe(function, *arguments)

    def abandon(self, thread: threading.Thread) -> None:
        """Make `thread`, the one that this bridge is for, end within the operation it is in. From the loop."""
        self._abandoned.set()
        for future in tuple(self._pending):
            future.cancel()
        if thread.ident is not None and thread.is_alive():
            # Raised between two of the thread's own instructions; a computation in a library is finished first.
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Abandoned))


async def in_thread(work: Callable[[Bridge], T], stop: asyncio.Event | None = None) -> T:
    """Run `work` in a thread of its own and wait for it; the loop stays free meanwhile.

    Cancelled, it ends the thread within the operation that it is in.
    """
    loop = asyncio.get_running_loop()
    bridge = Bridge(loop, stop)
    done: asyncio.Future[T] = loop.create_future()

    def _finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def _run() -> None:
        result: T | None = None
        fault: BaseException | None = None
        try:
            result = work(bridge)
        except BaseException as error:  # noqa: BLE001  boundary: it is raised where the caller waits
            fault = error
        # The loop may be gone: then nobody waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_finish, result, fault)

    # A daemon: a second Ctrl-C must end the program although a trainer is in the middle of a step.
    thread = threading.Thread(target=_run, name="autoflow-trainer", daemon=True)
    thread.start()
    try:
        return await done
    except asyncio.CancelledError:
        bridge.abandon(thread)
        await asyncio.to_thread(thread.join, LAST_WORDS_S)
        raise
