"""How busy each listener is, over all its workers, and whether that is stress (master(8), STRESS_README).

As Postfix's master has it: the session that reaches the limit of the listener is served with `stress = yes`, and so are
all that come within the next STRESS_TIME. A listener that only this host can reach is never under stress.
"""

import ctypes
import mmap
from collections.abc import Callable, Sequence
from ipaddress import ip_address

from gatepost.maillog import lines
from gatepost.master.listeners import Listener

STRESS_TIME = 1000.0
"""Seconds for which stress lasts after the limit was last reached; also the least between two warnings."""

# Places in a row: is it worth while to look at the others; two moments (monotonic seconds); the sessions per worker.
_WATCH, _UNTIL, _WARNED, _COUNTS = 0, 1, 2, 3

Row = ctypes.Array[ctypes.c_double]


class SharedLoad:
    """A row per listener in memory that all processes forked from now on have in common."""

    def __init__(self, listeners: int, slots: int) -> None:
        self._type = ctypes.c_double * (slots + _COUNTS)
        self._octets = ctypes.sizeof(self._type)
        self._memory = mmap.mmap(-1, max(1, listeners) * self._octets)

    def row(self, listener: int) -> Row:
        return self._type.from_buffer(self._memory, listener * self._octets)


class ListenerLoad:
    """One worker's view of one listener. `limit`: sessions over all workers. `clock`: monotonic seconds."""

    def __init__(
        self, row: Row, slot: int, limit: int, warnings: Sequence[str], clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._row = row
        self._own = _COUNTS + slot
        self._limit = limit
        # The limit cannot be near while no worker has its share of it.
        self._share = (limit - 1) // (len(row) - _COUNTS)
        self._warnings = warnings  # none: stress is not for this listener
        self._clock = clock
        self._warn = warn
        self._before = 0
        row[self._own] = 0  # whoever was here before is gone, and its sessions with it
        if not self._share:
            row[_WATCH] = 1

    def stressed(self) -> bool:
        """Is a session that comes now served under stress?"""
        row = self._row
        if not row[_WATCH] or not self._warnings:
            return False
        until = row[_UNTIL]
        return bool(until and until > self._clock()) or sum(row[_COUNTS:]) + 1 >= self._limit

    def full(self) -> bool:
        """Has the listener no session left to give?"""
        return bool(self._row[_WATCH]) and sum(self._row[_COUNTS:]) >= self._limit

    def count(self, sessions: int) -> None:
        """So many sessions has this worker now."""
        row = self._row
        row[self._own] = sessions
        if sessions >= self._share or row[_WATCH]:
            self._look(sessions > self._before)
        self._before = sessions

    def _look(self, more: bool) -> None:
        row = self._row
        counts = row[_COUNTS:]
        if more and self._warnings and sum(counts) >= self._limit:
            self._full()
        row[_WATCH] = max(counts) >= self._share or row[_UNTIL] > self._clock()

    def _full(self) -> None:
        row, now = self._row, self._clock()
        row[_UNTIL] = now + STRESS_TIME
        if not row[_WARNED] or row[_WARNED] < now - STRESS_TIME:
            row[_WARNED] = now
            for text in self._warnings:
                self._warn(text)


def warnings_of(listener: Listener, limit: int) -> list[str]:
    """What is told when the limit is reached; nothing for a listener on loopback addresses only."""
    addresses = listener.addresses
    if all(ip_address(address.host.partition("%")[0]).is_loopback for address in addresses):
        return []
    host = listener.service.name.rpartition(":")[0].strip("[]")
    port = str(addresses[0].port)
    return lines.process_limit(listener.service.name, f"[{host}]:{port}" if host else port, limit)
