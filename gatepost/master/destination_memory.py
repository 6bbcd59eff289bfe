"""What the queue manager has learnt of destinations, kept for the next one: accounts of their rates, sick next hops.

It is written at the end and now and then. After a crash a destination may get one delivery too many: that of the
last `INTERVAL` seconds, or of a rate with shorter intervals. A file that is damaged costs as much as none.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec

from gatepost.ipc.messages import Sick
from gatepost.qmgr.nexthops import NexthopHealth
from gatepost.qmgr.scheduler import Scheduler

INTERVAL = 60.0
"""Seconds between two times of writing, while there is something new."""


class Kept(msgspec.Struct):
    """`rates`: transport, destination, when its next delivery is due (wall clock)."""

    rates: list[tuple[str, str, float]]
    sick: list[Sick]


class DestinationMemory:
    """A file of `folder`. `clock` gives wall-clock seconds, `monotonic` those of the scheduler; `warn` writes to the
    log.
    """

    def __init__(
        self,
        folder: Path,
        scheduler: Scheduler,
        health: NexthopHealth | None,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        self._path = folder / "destinations"
        self._scheduler = scheduler
        self._health = health
        self._clock = clock
        self._monotonic = monotonic
        self._warn = warn
        self._written = b""
        self._look_at = monotonic() + INTERVAL

    def restore(self) -> None:
        """Take over what an earlier queue manager has left."""
        try:
            self._written = self._path.read_bytes()
            kept = msgspec.json.decode(self._written, type=Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            why = (isinstance(error, OSError) and error.strerror) or "damaged"
            self._warn(f"{self._path}: {why}: rates of destinations begin anew")
            return
        now = self._monotonic()
        ahead = now - self._clock()
        for transport, name, due in kept.rates:
            if due + ahead > now:
                self._scheduler.accounts(transport).of(name, now).due = due + ahead
        if self._health is not None:
            self._health.resume(kept.sick)

    def look(self) -> None:
        """To be called now and then: writes what is worth it."""
        if self._monotonic() >= self._look_at:
            self.save(at_least=INTERVAL)

    def save(self, at_least: float = 0.0) -> None:
        """Write it down: accounts that are not due for more than `at_least` seconds, and the sick next hops."""
        now = self._monotonic()
        self._look_at = now + INTERVAL
        ahead = self._clock() - now
        # To the tenth of a second: between two looks the clocks differ by parts of one, which are nothing new.
        rates = [
            (transport, name, round(due + ahead, 1)) for transport, name, due in self._scheduler.dues(now + at_least)
        ]
        kept = msgspec.json.encode(Kept(rates, self._health.listing() if self._health is not None else []))
        if kept == (self._written or NOTHING):
            return
        temporary = self._path.with_suffix(".new")
        try:
            temporary.write_bytes(kept)
            temporary.replace(self._path)
            self._written = kept
        except OSError as error:
            self._warn(f"{self._path}: {error.strerror}")


NOTHING = msgspec.json.encode(Kept([], []))
