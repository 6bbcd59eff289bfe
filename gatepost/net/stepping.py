"""Run a coroutine without a task as far as it goes by itself.

Most of what a mail server awaits (a table in memory, a cached name) does not suspend; a task for each would cost more
than the work. Only what does suspend is carried on: by a task (`start`), or by nothing but the callback of the future
that it waits for (`carry_on`), which costs a third of a task.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class _Continuation:
    """Awaitable that goes on with a coroutine that has already yielded `future` once."""

    __slots__ = ("coroutine", "future")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], future: Any) -> None:
        self.coroutine = coroutine
        self.future = future

    def __await__(self) -> Generator[Any, Any, Any]:
        waited, coroutine = self.future, self.coroutine
        while True:
            try:
                sent = yield waited
            except BaseException as exc:
                try:
                    waited = coroutine.throw(exc)
                except StopIteration as end:
                    return end.value
            else:
                try:
                    waited = coroutine.send(sent)
                except StopIteration as end:
                    return end.value


async def _go_on(continuation: _Continuation) -> Any:
    return await continuation


def carry_out(coroutine: Coroutine[Any, Any, None], tasks: set["asyncio.Task[Any]"]) -> None:
    """Step `coroutine` as `start` does; whatever it raises, at once or later, goes to the loop's exception handler."""
    try:
        start(coroutine, tasks)
    except Exception as exc:
        asyncio.get_running_loop().call_exception_handler(
            {"message": "unhandled exception in a coroutine", "exception": exc}
        )


def start(
    coroutine: Coroutine[Any, Any, None], tasks: set["asyncio.Task[Any]"], finished: Callable[[], object] | None = None
) -> bool:
    """Step `coroutine` once. True if that was all (exceptions come out here); otherwise a task in `tasks` finishes it.

    `finished` is called when a task was needed and has ended well. An exception in the task is the coroutine's fault:
    it goes to the loop's exception handler.
    """
    try:
        future = coroutine.send(None)
    except StopIteration:
        return True
    task = asyncio.get_running_loop().create_task(_go_on(_Continuation(coroutine, future)))
    tasks.add(task)

    def ended(task: "asyncio.Task[Any]") -> None:
        tasks.discard(task)
        if task.cancelled():
            return
        exc = task.exception()
        if exc is not None:
            task.get_loop().call_exception_handler(
                {"message": "unhandled exception in a continued coroutine", "exception": exc, "task": task}
            )
        elif finished is not None:
            finished()

    task.add_done_callback(ended)
    return False


def carry_on(
    coroutine: Coroutine[Any, Any, Any], waited: Any, under_way: set[Any], ended: Callable[[Exception | None], object]
) -> None:
    """Go on with a coroutine that has yielded `waited`, without a task: there is no current_task() in it.

    `ended` gets the exception that the coroutine ends with, or None; it is not called if what it waits for is
    cancelled. Until then `under_way` holds a future that is done at the end.
    """
    _Carrier(coroutine, under_way, ended).wait(waited)


class _Carrier:
    """Steps a coroutine each time that the future which it waits for is done."""

    __slots__ = ("_coroutine", "_done", "_ended", "_loop", "_under_way")

    def __init__(
        self, coroutine: Coroutine[Any, Any, Any], under_way: set[Any], ended: Callable[[Exception | None], object]
    ) -> None:
        self._coroutine = coroutine
        self._under_way = under_way
        self._ended = ended
        self._loop = loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        under_way.add(self._done)

    def wait(self, waited: Any) -> None:
        if waited is None:
            self._loop.call_soon(self._step, None)
        else:
            # The mark by which a future knows that somebody who yields it does wait for it.
            waited._asyncio_future_blocking = False
            waited.add_done_callback(self._step)

    def _step(self, _: object) -> None:
        fault: Exception | None = None
        try:
            waited = self._coroutine.send(None)
        except StopIteration:
            pass
        except Exception as exc:
            fault = exc
        except asyncio.CancelledError:
            self._finish()
            return
        else:
            self.wait(waited)
            return
        self._finish()
        self._ended(fault)

    def _finish(self) -> None:
        self._under_way.discard(self._done)
        self._done.set_result(None)
