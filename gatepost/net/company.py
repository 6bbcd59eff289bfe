"""Whether what happens comes alone or in company, so that only who has company waits for it."""

IN_A_ROW = 4
"""From so many in a row on that had company (or that were alone) the next ones are expected to have it (to be so)."""

AT_A_TIME = 0.001
"""Seconds between two that come at a time. On uvloop the clock stands still within a turn, and counts milliseconds."""


class Company:
    """`expected` changes when several in a row have shown that it is wrong; until then it stays as it is."""

    __slots__ = ("_last", "_row", "expected")

    def __init__(self) -> None:
        self.expected = False
        self._row = 0
        self._last = float("-inf")

    def came(self, now: float, *, another: bool = True) -> None:
        """One has come while none was expected to have company. `now`: seconds; `another`: not the one of last time."""
        self._row = self._row + 1 if another and now - self._last < AT_A_TIME else 0
        self._last = now
        if self._row == IN_A_ROW:
            self.expected, self._row = True, 0

    def had(self, company: bool) -> None:
        """What was expected to have company had it, or was alone."""
        self._row = 0 if company else self._row + 1
        if self._row == IN_A_ROW:
            self.expected, self._row = False, 0
