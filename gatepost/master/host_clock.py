"""The host's clocks, and what is done when somebody sets the wall clock (design, part 5)."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gatepost.qmgr.clock_jumps import ClockJumps, Jump
from gatepost.queue.group_commit import GroupCommit
from gatepost.queue.store import Batch


def steady() -> float:
    """Seconds since the host was started, its sleep included: time that has passed, whatever the wall clock says."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Jumps(ClockJumps):
    """Those of time.time(), kept in a file of `folder` for the next start.

    `warn` writes to the log, `stored_due` is told (wall clock) once the stored attempts have been moved.
    """

    def __init__(
        self,
        folder: Path,
        commit: GroupCommit,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady,
    ) -> None:
        self._path = folder / "clock"
        self._commit = commit
        self._warn = warn
        self._now = clock
        self.stored_due: Callable[[float], None] = lambda when: None
        super().__init__(clock, steady, self._read())
        self.jumped = self._move

    def _read(self) -> list[Jump]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=list[Jump])
        except (OSError, msgspec.MsgspecError):
            return []  # there were none; or mail may expire too early once

    def _move(self, seconds: float) -> None:
        way = "forward" if seconds > 0 else "back"
        self._warn(
            f"the clock was set {way} by {abs(seconds):.0f} seconds; the next attempts of deferred mail go along"
        )
        try:
            self._path.write_bytes(msgspec.json.encode(self.skipped))
        except OSError as error:
            self._warn(f"{self._path}: {error.strerror}")
        self._commit.note(Batch(shifted=[seconds]), lambda failure: self.stored_due(self._now()))
