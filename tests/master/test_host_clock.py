"""The clock is set: the store's next attempts go along, and the next start knows of it."""

import asyncio
from pathlib import Path

from gatepost.master.host_clock import Jumps, steady
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral
from tests.queue.messages import a_message


class Clocks:
    def __init__(self) -> None:
        self.wall, self.passed = 10_000.0, 3.0


async def test_stored_attempts_move_and_the_jump_is_remembered(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    loop = asyncio.get_running_loop()
    clocks, told, due, shifts = Clocks(), [], loop.create_future(), []
    store = SqliteStore(tmp_path)
    message = a_message(1)
    store.commit(Batch(new=[message]))
    store.commit(Batch(deferred=[Deferral(message.queue_id, 12_000.0, [(0, "4.0.0", "x")])]))
    commit = GroupCommit(store, loop.call_soon_threadsafe)
    try:
        jumps = Jumps(tmp_path, commit, told.append, lambda: clocks.wall, lambda: clocks.passed)
        jumps.stored_due, jumps.shifted = due.set_result, shifts.append
        clocks.wall += 86_400
        assert jumps.look()
        assert await asyncio.wait_for(due, 10) == clocks.wall
        assert store.next_due() == 98_400.0 and shifts == [86_400]
        assert told == ["the clock was set forward by 86400 seconds; the next attempts of deferred mail go along"]
        again = Jumps(tmp_path, commit, told.append, lambda: clocks.wall, lambda: clocks.passed)
        assert again.skipped == [(10_000.0, 86_400.0)]
        assert not again.look()
    finally:
        commit.close()
        store.close()


async def test_a_jump_while_nobody_looked(tmp_path: Path) -> None:
    """The queue manager was down. After a start of the host nothing can be said of the time before."""
    (tmp_path / "content").mkdir()
    store = SqliteStore(tmp_path)
    commit = GroupCommit(store, asyncio.get_running_loop().call_soon_threadsafe)
    clocks, told = Clocks(), []

    def start(boot: str) -> Jumps:
        return Jumps(tmp_path, commit, told.append, lambda: clocks.wall, lambda: clocks.passed, lambda: boot)

    try:
        assert not start("one").look()
        clocks.wall += 50_000
        assert start("one").look() and len(told) == 1
        assert not start("one").look()
        clocks.wall += 20  # a correction, which is no jump, now or by and by
        assert not start("one").look()
        clocks.wall += 30_000
        assert not start("two").look() and len(told) == 1
        (tmp_path / "clock.offset").write_bytes(b"[")
        assert not start("two").look()
    finally:
        commit.close()
        store.close()


async def test_a_damaged_file_is_as_none(tmp_path: Path) -> None:
    (tmp_path / "content").mkdir()
    (tmp_path / "clock").write_bytes(b"[[1,")
    store = SqliteStore(tmp_path)
    commit = GroupCommit(store, asyncio.get_running_loop().call_soon_threadsafe)
    jumps = Jumps(tmp_path, commit, lambda text: None)
    assert jumps.skipped == [] and not jumps.look()
    commit.close()
    store.close()


def test_the_other_clock_goes_on() -> None:
    first = steady()
    assert 0 < first <= steady()
