"""Stored mail is taken in at queue runs; what an operator wants now, now."""

from typing import cast

from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.qmgr.refill import NEVER, Refill
from gatepost.queue.group_commit import Done, GroupCommit
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import Batch, Deferral, Stored, StoreFull
from tests.queue.messages import a_message


class Commits:
    """Everything is written at once, unless there is no space."""

    full = False
    slow: list[Done] | None = None

    def flush(self, done: Done) -> None:
        if self.slow is not None:
            self.slow.append(done)
        else:
            done(StoreFull("full") if self.full else None)


class World:
    def __init__(self, run_delay: float) -> None:
        self.now, self.steady = 1000.0, 1000.0
        self.store = MemoryStore()
        self.taken: list[str] = []
        self.jumped: list[float] = []
        self.commits, self.pumps = Commits(), 0
        jumps = ClockJumps(lambda: self.now, lambda: self.steady)
        jumps.jumped = self.jumped.append
        self.refill = Refill(
            self.store, cast(GroupCommit, self.commits), set(), 10, run_delay, lambda: self.now, jumps, self._take,
            self._pumped,
        )  # fmt: skip

    def _pumped(self) -> None:
        self.pumps += 1

    def _take(self, stored: Stored) -> None:
        self.taken.append(stored.message.queue_id)
        self.store.commit(Batch(removed=[stored.message.queue_id]))

    def deferred(self, number: int, until: float) -> str:
        message = a_message(number)
        self.store.commit(Batch(new=[message]))
        self.store.commit(Batch(deferred=[Deferral(message.queue_id, until)]))
        return message.queue_id

    def at(self, now: float) -> list[str]:
        self.steady += now - self.now
        self.now = now
        self.taken.clear()
        self.refill.if_due()
        return list(self.taken)


def test_what_becomes_due_between_two_runs_waits_for_the_next() -> None:
    world = World(run_delay=300)
    one, two = world.deferred(1, 1010.0), world.deferred(2, 1400.0)
    assert world.at(1000.0) == []
    assert world.refill.wake_at() == 1300.0
    assert world.at(1299.0) == [] and world.at(1300.0) == [one]
    assert world.refill.wake_at() == 1600.0
    assert world.at(1600.0) == [two]
    assert world.refill.wake_at() == NEVER


def test_what_is_wanted_now_does_not_wait() -> None:
    world = World(run_delay=300)
    world.at(1000.0)
    one = world.deferred(1, 1050.0)
    assert world.refill.due_at(1050.0) and world.refill.wake_at() == 1300.0
    world.store.commit(Batch(attempt=[(one, 1020.0)]))
    world.now = world.steady = 1020.0
    assert world.refill.due_at(1020.0)
    assert world.at(1020.0) == [one]


def test_a_clock_that_was_set_is_noticed_before_anything_is_taken() -> None:
    world = World(run_delay=1)
    one = world.deferred(1, 5000.0)
    world.at(1000.0)
    world.now += 86_400
    world.refill.if_due()
    assert world.jumped == [86_400.0] and not world.taken
    world.store.commit(Batch(shifted=world.jumped))
    assert world.at(world.now) == [] and world.refill.wake_at() == 5000.0 + 86_400
    assert world.at(5000.0 + 86_400) == [one]


def test_without_space_for_what_must_be_written_first_it_is_tried_again() -> None:
    """Somebody must be told to wake us: nothing else may happen until there is space."""
    world = World(run_delay=1)
    one = world.deferred(1, 1005.0)
    world.at(1000.0)
    world.commits.full, world.pumps = True, 0
    assert world.at(1005.0) == [] and world.pumps == 1
    assert world.refill.wake_at() == 1006.0
    world.commits.full = False
    assert world.at(1006.0) == [one]


def test_what_an_operator_withdraws_while_marks_are_written_is_not_taken_in() -> None:
    world = World(run_delay=1)
    one, two = world.deferred(1, 1000.0), world.deferred(2, 1000.0)
    world.commits.slow = []
    assert world.at(1000.0) == []
    world.refill.withdrawn(one)  # and its removal is noted, to be written next
    world.commits.slow.pop()(None)
    assert world.taken == [two]
