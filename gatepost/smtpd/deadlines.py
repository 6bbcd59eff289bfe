"""One timer for all connections whose deadlines fall into the same part of a second: a timer each costs too much."""

import asyncio
from typing import Protocol

PARTS = 8
"""Of a second: by one of them a timeout may come late."""


class Timed(Protocol):
    """What has a deadline."""

    def deadline_passed(self) -> None: ...


class Deadlines:
    """The deadlines of one listener's connections, by the clock of the event loop."""

    __slots__ = ("_due", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, set[Timed]] = {}

    def watch(self, timed: Timed, deadline: float) -> set[Timed]:
        """Once `deadline` (loop time, seconds) has passed `timed` is told, unless it was taken out of the answer."""
        part = int(deadline * PARTS) + 1
        due = self._due.get(part)
        if due is None:
            due = self._due[part] = set()
            self._loop.call_at(part / PARTS, self._went_off, part)
        due.add(timed)
        return due

    def _went_off(self, part: int) -> None:
        for timed in self._due.pop(part):
            # Each by itself: what goes wrong with one is no other's trouble.
            self._loop.call_soon(timed.deadline_passed)
