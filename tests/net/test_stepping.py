"""What does not suspend needs no task; what does is carried on by one."""

import asyncio
from typing import Any

import pytest

from gatepost.net.stepping import Signal, carry_on, carry_out_taskless, start


async def test_a_coroutine_that_does_not_suspend_runs_at_once() -> None:
    seen: list[int] = []

    async def work() -> None:
        seen.append(1)

    tasks: set[asyncio.Task[Any]] = set()
    assert start(work(), tasks) is True
    assert seen == [1]
    assert not tasks


async def test_a_suspended_coroutine_goes_on_in_a_task() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[int] = loop.create_future()
    ended = asyncio.Event()
    seen: list[int] = []

    async def work() -> None:
        seen.append(await future)
        await asyncio.sleep(0)
        assert asyncio.current_task() is not None  # from here on there is a task
        seen.append(2)

    tasks: set[asyncio.Task[Any]] = set()
    assert start(work(), tasks, ended.set) is False
    assert len(tasks) == 1
    future.set_result(1)
    await asyncio.wait_for(ended.wait(), 10)
    assert seen == [1, 2]
    assert not tasks


async def test_an_exception_of_the_future_reaches_the_coroutine() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()
    seen: list[str] = []

    async def work() -> None:
        try:
            await future
        except ValueError as exc:
            seen.append(str(exc))

    start(work(), set(), ended.set)
    future.set_exception(ValueError("no"))
    await asyncio.wait_for(ended.wait(), 10)
    assert seen == ["no"]


async def test_exceptions_before_the_first_suspension_come_out() -> None:
    async def work() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        start(work(), set())


async def test_later_exceptions_go_to_the_loops_handler() -> None:
    loop = asyncio.get_running_loop()
    told: list[str] = []
    seen = asyncio.Event()

    def handler(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        told.append(repr(context["exception"]))
        seen.set()

    loop.set_exception_handler(handler)

    async def work() -> None:
        await asyncio.sleep(0)
        raise KeyError("late")

    start(work(), set())
    await asyncio.wait_for(seen.wait(), 10)
    assert told == ["KeyError('late')"]


async def test_cancelling_the_task_cancels_the_coroutine() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    tasks: set[asyncio.Task[Any]] = set()
    start(work(), tasks)
    (task,) = tasks
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_a_coroutine_goes_on_without_a_task() -> None:
    loop = asyncio.get_running_loop()
    first: asyncio.Future[int] = loop.create_future()
    second: asyncio.Future[int] = loop.create_future()
    seen: list[object] = []
    ended = asyncio.Event()

    async def work() -> None:
        seen.append(await first)
        await asyncio.sleep(0)
        assert asyncio.current_task() is None
        try:
            await second
        except ValueError as exc:
            seen.append(str(exc))
            raise

    def at_end(fault: Exception | None) -> None:
        seen.append(type(fault))
        ended.set()

    coroutine = work()
    under_way: set[object] = set()
    carry_on(coroutine, coroutine.send(None), under_way, at_end)
    assert len(under_way) == 1
    first.set_result(1)
    second.set_exception(ValueError("no"))
    await asyncio.wait_for(ended.wait(), 10)
    assert seen == [1, "no", ValueError]
    assert not under_way


async def test_what_waits_for_something_cancelled_ends_quietly() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    told: list[Exception | None] = []

    async def work() -> None:
        await future

    coroutine = work()
    under_way: set[object] = set()
    carry_on(coroutine, coroutine.send(None), under_way, told.append)
    future.cancel()
    await asyncio.sleep(0)
    assert not under_way
    assert not told


async def test_who_waits_for_a_signal_goes_on_at_once() -> None:
    signal, seen = Signal(), []

    async def work() -> None:
        seen.append(await signal)

    carry_out_taskless(work(), under_way := set[object]())
    assert under_way
    signal.set_result(3)
    assert seen == [3]
    assert not under_way


async def test_a_fault_of_who_waits_is_not_that_of_who_gives_the_result() -> None:
    signal, faults = Signal(), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context["exception"]))

    async def work() -> None:
        await signal
        raise KeyError("a fault of ours")

    carry_out_taskless(work(), set())
    signal.set_result(None)
    assert [type(fault) for fault in faults] == [KeyError]


async def test_a_signal_is_a_future_to_a_task() -> None:
    async def wait(signal: Signal) -> object:
        return await signal

    given, failed, dropped, early = Signal(), Signal(), Signal(), Signal()
    early.set_result("early")
    tasks = [asyncio.create_task(wait(signal)) for signal in (given, failed, dropped, early)]
    await asyncio.sleep(0)
    given.set_result("given")
    failed.set_exception(ValueError("no"))
    tasks[2].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == "given" and results[3] == "early"
    assert isinstance(results[1], ValueError) and isinstance(results[2], asyncio.CancelledError)
    assert dropped.done() and not dropped.cancel()
    with pytest.raises(RuntimeError):
        given.set_result("again")


def test_a_task_that_waits_when_its_loop_ends_is_cancelled() -> None:
    async def wait() -> None:
        await Signal()

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        return task

    assert asyncio.run(main()).cancelled()
