"""Asking somebody who may take his time: a server over a connection, a library in a thread.

A lookup may be stepped without a task (net.stepping), and then nothing on its way may use asyncio's time limits. So
everything that waits for the outside runs in a task of its own, and the lookup waits for that task.
"""

import asyncio
import contextlib
import queue
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


async def in_own_task(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns or raises. It is cancelled with the caller, and when the caller is closed.

    So whoever steps a lookup once, to take what can be known at once, and then closes it, has asked nobody. Where no
    loop runs (the proof of a configuration) it suspends, and nothing can come of it but to be closed.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        coroutine.close()
        await _nothing_comes()
        raise
    task = loop.create_task(coroutine)
    task.add_done_callback(_look_at)
    try:
        return await task
    except GeneratorExit:
        task.cancel()
        raise


@types.coroutine
def _nothing_comes() -> Generator[None, None, None]:
    yield


def _look_at(task: "asyncio.Task[Any]") -> None:
    """Nobody may be left to take the exception: a session that has ended meanwhile."""
    if not task.cancelled():
        task.exception()


class WorkerThread:
    """A thread that carries out one call after the other, for libraries that wait in the middle of a call.

    It does not keep the process from ending, be it stuck as it may.
    """

    __slots__ = ("_calls", "_thread")

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """`function(*arguments)`, in the thread. A caller that is cancelled leaves it running."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]

        def carry_out() -> None:
            result, fault = None, None
            try:
                result = function(*arguments)
            except BaseException as error:  # the caller's affair, whatever it is
                fault = error
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, result, fault)

        self._calls.put(carry_out)
        return await future

    def leave(self, function: Callable[[], object] | None = None) -> None:
        """Let the thread end after what it has to do, and `function` as the last."""
        if function is not None:
            last = function

            def carry_out() -> None:
                with contextlib.suppress(Exception):
                    last()

            self._calls.put(carry_out)
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
