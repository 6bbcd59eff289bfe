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


def boot() -> str:
    """Which start of the host this is: `steady` begins anew with each. Empty: nobody knows."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Jumps(ClockJumps):
    """Those of time.time(), kept in a file of `folder` for the next start; and how the clocks stand to each other, so
    that a start of the same boot sees a jump that came while nobody looked.

    `warn` writes to the log, `shifted` is told by how many seconds next attempts move, `stored_due` (wall clock) when
    the stored ones have been moved.
    """

    def __init__(
        self,
        folder: Path,
        commit: GroupCommit,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = steady,
        boot: Callable[[], str] = boot,
    ) -> None:
        self._path = folder / "clock"
        self._stand = folder / "clock.offset"
        self._commit = commit
        self._warn = warn
        self._now = clock
        self.stored_due: Callable[[float], None] = lambda when: None
        self.shifted: Callable[[float], None] = lambda seconds: None
        super().__init__(clock, steady, self._read())
        self.jumped = self._move
        self._boot = boot()
        self._resume()

    def look(self) -> bool:
        jumped = super().look()
        if abs(self.offset - self._noted) > 1:
            self._note()
        return jumped

    def _resume(self) -> None:
        try:
            boot, offset = msgspec.json.decode(self._stand.read_bytes(), type=tuple[str, float])
        except (OSError, msgspec.MsgspecError):
            boot = ""
        if boot and boot == self._boot:
            self.offset = offset
        self._note()

    def _note(self) -> None:
        self._noted = self.offset
        try:
            self._stand.write_bytes(msgspec.json.encode((self._boot, self.offset)))
        except OSError as error:
            self._warn(f"{self._stand}: {error.strerror}")

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
        self.shifted(seconds)
        self._commit.note(Batch(shifted=[seconds]), lambda failure: self.stored_due(self._now()))
