"""anvil(8) in the queue manager's process: its statistics in the log, and its counts handed on at a reload."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from gatepost.anvil import Anvil
from gatepost.maillog.sink import ProgramLog


class Statistics:
    """Writes the peaks of `interval` seconds (anvil_status_update_time), and at the end those of the rest."""

    def __init__(self, anvil: Anvil, log: ProgramLog, interval: float) -> None:
        self.interval = interval
        self._anvil = anvil
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(interval, self._due)

    def _due(self) -> None:
        self._tell()
        self._timer = self._loop.call_later(self.interval, self._due)

    def _tell(self) -> None:
        for line in self._anvil.statistics():
            self._log.info(line)

    def end(self) -> None:
        self._timer.cancel()
        self._tell()


def hand_on(anvil: Anvil, folder: Path, now: float) -> Callable[[], None]:
    """Take over what an earlier queue manager has left in `folder`; the function does the same for a later one.

    `now`: monotonic seconds. A file that cannot be read or written costs the counts of one time unit, not more.
    """
    path = folder / "anvil"
    try:
        saved = path.read_bytes()
        path.unlink()
        anvil.restore(saved, now)
    except (OSError, msgspec.MsgspecError):
        pass

    def leave() -> None:
        try:
            path.write_bytes(anvil.saved())
        except OSError:
            pass

    return leave
