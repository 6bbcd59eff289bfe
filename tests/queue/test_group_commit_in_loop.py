"""Group commit while messages come one by one: the event loop writes them itself."""

import asyncio
import itertools
import random
import threading
from collections.abc import AsyncIterator

import pytest

from gatepost.mail.queue_id import short_queue_id
from gatepost.queue import group_commit
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import Batch, StoreFailure, StoreFull
from tests.queue.messages import a_message

WAIT = 20.0


class World:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.store = MemoryStore()
        self.writers: list[bool] = []  # for each commit: was it the loop's?
        self.failures: list[StoreFailure] = []
        self.store.before_commit = self.note_writer
        self.commits = GroupCommit(
            self.store, self.loop.call_soon_threadsafe, self.failures.append, in_this_loop=self.loop.call_soon
        )
        self.numbers = itertools.count(1)

    def note_writer(self) -> None:
        self.writers.append(threading.current_thread() is threading.main_thread())

    def submit(self) -> "asyncio.Future[Exception | None]":
        """The next message; its future is told of its end."""
        future = self.loop.create_future()
        self.commits.submit(a_message(next(self.numbers)), future.set_result)
        return future

    async def until_the_loop_writes(self) -> None:
        """Messages, one by one. The first one goes to the thread, which may still be awake when the second comes."""
        async with asyncio.timeout(WAIT):
            while True not in self.writers:
                assert await self.submit() is None
        assert self.writers[0] is False
        self.writers.clear()


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(group_commit, "QUICK", WAIT)
    made = World()
    yield made
    made.commits.close()


async def test_messages_that_come_one_by_one_are_written_by_the_loop(world: World) -> None:
    await world.until_the_loop_writes()
    for count in range(5):
        future = world.submit()
        assert len(world.writers) == count  # not before the turn of the loop has ended
        assert await future is None
    assert world.writers == [True] * 5
    assert world.store.count() == {"incoming": next(world.numbers) - 1}


async def test_several_at_a_time_are_written_by_the_thread(world: World) -> None:
    await world.until_the_loop_writes()
    assert await asyncio.gather(world.submit(), world.submit()) == [None, None]
    assert True not in world.writers
    assert sorted(len(batch.new) for batch in world.store.commits)[-1] == 2


async def test_a_disk_that_is_slow_does_not_hold_the_loop_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.until_the_loop_writes()
    monkeypatch.setattr(group_commit, "QUICK", -1.0)
    for _ in range(5):
        assert await world.submit() is None
    assert world.writers == [True] + [False] * 4  # after the first one that took long


async def test_marks_go_with_the_message_that_the_loop_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MARK_DELAY", WAIT)
    await world.until_the_loop_writes()
    before = len(world.store.commits)
    world.commits.removed(short_queue_id(1))
    assert await world.submit() is None
    assert world.writers == [True]
    assert [batch.removed for batch in world.store.commits[before:]] == [[short_queue_id(1)]]


async def test_marks_alone_go_after_a_while(world: World) -> None:
    await world.until_the_loop_writes()
    written = asyncio.Event()

    def note() -> None:
        world.loop.call_soon_threadsafe(written.set)

    world.store.before_commit = note
    world.commits.removed(short_queue_id(1))
    await asyncio.wait_for(written.wait(), WAIT)


async def test_a_mark_with_a_callback_and_a_message_in_the_same_turn(world: World) -> None:
    await world.until_the_loop_writes()
    held = world.loop.create_future()
    message = world.submit()
    world.commits.note(Batch(moved=[(short_queue_id(1), "hold")]), held.set_result)
    assert await asyncio.gather(message, held) == [None, None]
    assert world.store.count()["hold"] == 1


async def test_without_space_marks_are_kept_and_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_commit, "MARK_DELAY", WAIT)
    await world.until_the_loop_writes()
    world.commits.removed(short_queue_id(1))
    world.store.full = True
    monkeypatch.setattr(group_commit, "MARK_DELAY", 0.001)
    assert isinstance(await world.submit(), StoreFull)
    assert world.writers[0] is True
    world.store.full = False
    # Not before the next try: the thread writes them, or the loop with a message.
    while world.store.commits[-1].removed != [short_queue_id(1)]:
        assert await world.submit() is None


async def test_a_failure_is_final_and_told_to_everybody(world: World) -> None:
    await world.until_the_loop_writes()
    world.store.failure = StoreFailure("fsync: Input/output error")
    assert [await world.submit(), await world.submit()] == [world.store.failure] * 2
    assert world.failures == [world.store.failure]


async def test_who_closes_in_the_same_turn_loses_nothing(world: World) -> None:
    await world.until_the_loop_writes()
    future = world.submit()
    world.commits.close()
    assert await future is None
    assert world.writers == [False]


async def test_every_message_is_answered_once_it_is_stored(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ones, twos and more, at any pace, with commits that the loop may wait for and others, and marks between."""
    chance = random.Random(1)
    monkeypatch.setattr(group_commit, "MARK_DELAY", 0.0005)
    answered: list[str] = []

    async def send() -> None:
        future = world.loop.create_future()
        message = a_message(next(world.numbers))
        world.commits.submit(message, future.set_result)
        assert await future is None
        assert world.store.load(message.queue_id) is not None
        answered.append(message.queue_id)
        world.commits.removed(message.queue_id)

    async with asyncio.timeout(WAIT * 3):
        for _ in range(400):
            monkeypatch.setattr(group_commit, "QUICK", chance.choice([WAIT, WAIT, 0.0]))
            await asyncio.gather(*[send() for _ in range(chance.choice([1, 1, 1, 2, 10]))])
            if not chance.randrange(10):
                await asyncio.sleep(0.001)
    world.commits.close()
    assert world.store.count() == {}
    assert len(answered) == next(world.numbers) - 1 == len(set(answered))
    assert {True, False} <= set(world.writers)
