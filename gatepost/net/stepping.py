"""Run a coroutine without a task as far as it goes by itself.

Most of what a mail server awaits (a table in memory, a cached name) does not suspend; a task for each would cost more
than the work. Only what does suspend is carried on by a task.
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
