"""In-flow control: whether new mail has to wait, because the disk or the deliveries do not keep up.

Two things are told, each when it changes and never per message: that the writer is behind (queue/group_commit.py;
nothing more is taken in until it has caught up), and that the active queue is full (then each new message is delayed by
in_flow_delay, as cleanup(8) does when qmgr(8) hands out no tokens).
"""

from collections.abc import Callable

Listener = Callable[[bool, bool], None]
"""Told (the writer is behind, the active queue is full)."""


class InFlow:
    """`warn` and `info` log what an operator should know of."""

    def __init__(self, warn: Callable[[str], None], info: Callable[[str], None]) -> None:
        self.behind = False
        self.full = False
        self.listener: Listener | None = None
        self._warn = warn
        self._info = info

    def writer_behind(self, behind: bool, messages: int, octets: int) -> None:
        """The writer has so much waiting for it: too much, or little enough again."""
        self.behind = behind
        if behind:
            what = f"{messages} messages ({octets} octets) wait to be written"
            self._warn(f"the queue's disk is slow: {what}; new mail has to wait")
        else:
            self._info("the queue's disk has caught up: new mail is taken in again")
        self._tell()

    def active_full(self, full: bool) -> None:
        """There is no room in the active queue, or there is again."""
        if full != self.full:
            self.full = full
            self._tell()

    def _tell(self) -> None:
        if self.listener is not None:
            self.listener(self.behind, self.full)
