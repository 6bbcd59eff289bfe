"""Run a coroutine without a task as far as it goes by itself.

Most of what a mail server awaits (a table in memory, a cached name) does not suspend; a task for each would cost more
than the work. Only what does suspend is carried on: by a task (`start`), or by nothing but the callback of the future
that it waits for (`carry_on`), which costs a third of a task.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
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
    except Exception as fault:
        _report(fault)


def carry_out_taskless(coroutine: Coroutine[Any, Any, None], under_way: set[Any]) -> None:
    """As `carry_out` for what never asks for its task (asyncio.timeout, asyncio.wait_for and their like do)."""
    try:
        waited = coroutine.send(None)
    except StopIteration:
        pass
    except Exception as fault:
        _report(fault)
    else:
        carry_on(coroutine, waited, under_way)


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
    coroutine: Coroutine[Any, Any, Any],
    waited: Any,
    under_way: set[Any],
    ended: Callable[[Exception | None], object] | None = None,
) -> None:
    """Go on with a coroutine that has yielded `waited`, without a task: there is no current_task() in it.

    `ended` gets the exception that the coroutine ends with, or None (without `ended` it goes to the loop's exception
    handler); it is not called if what it waits for is cancelled. Until then `under_way` holds something for it.
    """
    carrier = _Carrier(coroutine, under_way, ended)
    under_way.add(carrier)
    carrier.wait(waited)


class _Carrier:
    """Steps a coroutine each time that the future which it waits for is done."""

    __slots__ = ("_coroutine", "_ended", "_under_way")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        under_way: set[Any],
        ended: Callable[[Exception | None], object] | None,
    ) -> None:
        self._coroutine = coroutine
        self._under_way = under_way
        self._ended = ended

    def wait(self, waited: Any) -> None:
        if waited is None:
            asyncio.get_running_loop().call_soon(self._step, None)
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
            self._under_way.discard(self)
            return
        else:
            self.wait(waited)
            return
        self._under_way.discard(self)
        if self._ended is not None:
            self._ended(fault)
        elif fault is not None:
            _report(fault)


def _report(fault: Exception) -> None:
    asyncio.get_running_loop().call_exception_handler(
        {"message": "unhandled exception in a coroutine", "exception": fault}
    )


class Signal:
    """A future for one waiter, who goes on at once where the loop's futures take another turn of the loop.

    That is what most messages wait for: their commit, and the server's answers. Under a task (as in tests) it behaves
    like any future. Whoever gives the result must be ready for what the waiter does then.
    """

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_done", "_error", "_loop", "_value")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._done = False
        self._error: BaseException | None = None
        self._value: Any = None

    def set_result(self, value: Any) -> None:
        self._value = value
        self._finish()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._finish()

    def done(self) -> bool:
        return self._done

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def cancel(self, msg: object = None) -> bool:
        """For a task that is cancelled while it waits."""
        if self._done:
            return False
        self.set_exception(asyncio.CancelledError())
        return True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        if self._callback is not None:
            raise RuntimeError("somebody else waits for this already")
        self._callback = callback
        self._context = context
        if context is not None:
            self._loop = asyncio.get_running_loop()
        if self._done:
            asyncio.get_running_loop().call_soon(callback, self)

    def _finish(self) -> None:
        if self._done:
            raise RuntimeError("it has its result already")
        self._done = True
        callback = self._callback
        if callback is None:
            return
        if self._context is not None:  # a task: it must not run inside of another
            # Whoever cancels what is left of a loop that has ended is not inside of it.
            self._loop.call_soon(callback, self, context=self._context)
            return
        try:
            callback(self)
        except Exception as fault:
            # The waiter's, not that of who gives the result.
            _report(fault)

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        return self.result()
