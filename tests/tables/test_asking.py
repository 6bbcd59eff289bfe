import asyncio
import threading

import pytest

from gatepost.tables.asking import WorkerThread, in_own_task


async def test_thread_carries_out_one_call_after_the_other() -> None:
    thread = WorkerThread("test")
    order: list[int] = []
    names = await asyncio.gather(
        *(thread.call(lambda n: order.append(n) or threading.current_thread().name, n) for n in range(20))  # type: ignore[func-returns-value]
    )
    assert order == list(range(20))
    assert set(names) == {"test"}
    thread.leave()


async def test_exceptions_come_out() -> None:
    thread = WorkerThread("test")
    with pytest.raises(ZeroDivisionError):
        await thread.call(lambda: 1 // 0)
    assert await thread.call(len, "abc") == 3
    thread.leave()


async def test_a_caller_that_is_gone_and_a_last_call() -> None:
    thread = WorkerThread("test")
    may_go_on = threading.Event()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    waiting = asyncio.create_task(thread.call(may_go_on.wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    def last() -> None:
        loop.call_soon_threadsafe(ended.set)
        raise OSError("nobody hears this")

    thread.leave(last)
    assert not ended.is_set()
    may_go_on.set()
    await ended.wait()


async def test_own_task_can_be_waited_for_without_a_task() -> None:
    """As sessions do: the coroutine is stepped, and what it yields is a future to wait for."""

    async def slow() -> int:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return 7

    stepped = in_own_task(slow())
    future = stepped.send(None)
    future._asyncio_future_blocking = False
    await asyncio.wait([future])
    with pytest.raises(StopIteration) as end:
        stepped.send(None)
    assert end.value.value == 7


async def test_a_caller_that_is_closed_takes_its_question_back() -> None:
    asked: list[str] = []

    async def ask() -> None:
        asked.append("started")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            asked.append("cancelled")
            raise

    stepped = in_own_task(ask())
    stepped.send(None)
    stepped.close()
    await asyncio.sleep(0)
    assert asked == []
    stepped = in_own_task(ask())
    stepped.send(None)
    await asyncio.sleep(0)
    stepped.close()
    await asyncio.sleep(0)
    assert asked == ["started", "cancelled"]


def test_without_a_loop_it_only_suspends() -> None:
    async def ask() -> None:
        raise AssertionError("nobody is asked")

    stepped = in_own_task(ask())
    assert stepped.send(None) is None
    stepped.close()


async def test_nobody_hears_of_a_failure_that_nobody_waits_for() -> None:
    async def fail() -> None:
        raise OSError("x")

    waiting = asyncio.create_task(in_own_task(fail()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, OSError)):
        await waiting
