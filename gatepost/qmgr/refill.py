"""Stored mail into the active queue: when, how much, and never what is on its way out of it (qmgr(8)).

What has just been delivered or deferred may not be marked so in the store yet. So before stored mail is read, the marks
are written, and messages that leave the active queue meanwhile are left out; else they would be delivered again.
"""

import math
from collections.abc import Callable, Container, Sized
from typing import Protocol

from gatepost.qmgr.clock_jumps import ClockJumps
from gatepost.queue.group_commit import FULL_DELAY, GroupCommit
from gatepost.queue.store import Store, Stored

REFILL = 1000
"""Messages read from the store in one go."""

NEVER = float("inf")


class ActiveIds(Container[str], Sized, Protocol):
    """The queue IDs of the active queue."""


class _Union:
    """Several containers as one, for membership."""

    __slots__ = ("_parts",)

    def __init__(self, *parts: Container[str]) -> None:
        self._parts = parts

    def __contains__(self, item: object) -> bool:
        return any(item in part for part in self._parts)


class Refill:
    """`limit`: qmgr_message_active_limit. `run_delay`: queue_run_delay, seconds; what becomes due in between waits for
    the next run. `clock`: wall-clock seconds. `take` gets each message that is due; `done` is called when all of them
    were taken; `on_full` that there is no room for what has come, and that there is again.
    """

    def __init__(
        self,
        store: Store,
        commit: GroupCommit,
        active: ActiveIds,
        limit: int,
        run_delay: float,
        clock: Callable[[], float],
        jumps: ClockJumps,
        take: Callable[[Stored], None],
        done: Callable[[], None],
        on_full: Callable[[bool], None] | None = None,
    ) -> None:
        self.uncommitted: set[str] = set()  # messages that arrive when their commit is told
        self.full = False  # mail waits in the store for room in the active queue
        self.next = 0.0  # wall clock: when stored mail is next to be taken in
        self._store = store
        self._commit = commit
        self._active = active
        self._limit = limit
        self._run_delay = run_delay
        self._begun = clock()
        self._clock = clock
        self._jumps = jumps
        self._take = take
        self._done = done
        self._on_full = on_full
        self._left: set[str] | None = None  # messages that left the active queue since a refill was asked for
        self._next_of_left = NEVER  # the earliest next attempt among them

    def room(self) -> bool:
        return len(self._active) < self._limit

    def wait(self) -> None:
        """What has come waits in the store for room."""
        self.full = True
        if self._on_full is not None:
            self._on_full(True)

    def left(self, queue_id: str) -> None:
        """A message leaves the active queue."""
        if self._left is not None:
            self._left.add(queue_id)

    def withdrawn(self, queue_id: str) -> None:
        """An operator's act is on its way to the store: what has just come, or is being read, is not taken in before.

        Who noted the act calls `due_at` if the message is to be looked at again.
        """
        self.uncommitted.discard(queue_id)
        self.left(queue_id)

    def due_at(self, when: float) -> bool:
        """Stored mail becomes due at `when` (wall clock). True if that is earlier than what was known."""
        when = self._run_after(when)
        if self._left is not None:
            self._next_of_left = min(self._next_of_left, when)
        if when >= self.next:
            return False
        self.next = when
        return True

    def _run_after(self, when: float) -> float:
        """The first queue run then or later; what is to be done now is done now."""
        if when <= self._clock() or when == NEVER:
            return when
        return self._begun + math.ceil((when - self._begun) / self._run_delay) * self._run_delay

    def wake_at(self) -> float:
        """When `if_due` should be called though nothing happened: wall clock, or NEVER."""
        return NEVER if self.full or self._left is not None else self.next

    def if_due(self) -> None:
        """Begin to take stored mail in, if its time has come and there is room."""
        due = len(self._active) < self._limit * 3 // 4 if self.full else self._clock() >= self.next
        if due and self._left is None and not self._jumps.look():
            self._left = set()
            self._commit.flush(self._refill)

    def _refill(self, failure: Exception | None) -> None:
        left, self._left = self._left or set(), None
        if failure is not None:
            # For lack of space the marks wait, and stored mail with them. (Any other failure ends this process.)
            self.full = False
            self.next = self._clock() + FULL_DELAY
            self._done()
            return
        # A message may be in the store already whose commit we have not heard of.
        exclude = _Union(self._active, left, self.uncommitted)
        wanted = min(self._limit - len(self._active), REFILL)
        if wanted <= 0:
            self.full = True
            return
        found = self._store.due(self._clock(), wanted, exclude)
        for stored in found:
            self._take(stored)
        self.full = len(found) == wanted
        if self._on_full is not None and self.room():
            self._on_full(False)
        # Otherwise it goes on as soon as there is room; looking behind all that is active takes its time.
        if not self.full:
            next_due = self._store.next_due(exclude)
            self.next = min(NEVER if next_due is None else self._run_after(next_due), self._next_of_left)
        self._next_of_left = NEVER
        self._done()
