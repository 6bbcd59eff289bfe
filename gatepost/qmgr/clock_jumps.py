"""Jumps of the wall clock: somebody set it, or the network's time came late (design: stored times are wall clock).

After a jump the stored next attempts are moved along with it, and the time that the clock skipped does not count into
the age of the messages that were there. Pure, but for the clocks that it is given.
"""

from collections.abc import Callable

from gatepost.mail.envelope import Message

JUMP = 60.0
"""Seconds by which the wall clock must leave the other one to count as set; less is what time services correct."""

KEPT = 20
"""Jumps that are remembered."""

Jump = tuple[float, float]
"""When, by the clock before it was set; how far forward. Seconds."""


class ClockJumps:
    """`clock`: wall-clock seconds. `steady`: seconds of a clock that nobody sets and that goes on while the host
    sleeps. `jumped` is called with the seconds of each jump, forward ones positive.

    `skipped` are the forward jumps so far; who keeps them gives them again after a restart.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        steady: Callable[[], float],
        skipped: list[Jump] | None = None,
    ) -> None:
        self.skipped: list[Jump] = skipped or []
        self.jumped: Callable[[float], None] = lambda seconds: None
        self._clock = clock
        self._steady = steady
        self.offset = clock() - steady()  # at the last look

    def look(self) -> bool:
        """Has the clock jumped since the last look? To be asked now and then, and before stored times are judged."""
        now = self._clock()
        offset = now - self._steady()
        seconds = offset - self.offset
        self.offset = offset
        if abs(seconds) <= JUMP:
            return False
        if seconds > 0:
            self.skipped = [*self.skipped, (now - seconds, seconds)][-KEPT:]
        else:
            self._take_back(-seconds)
        self.jumped(seconds)
        return True

    def _take_back(self, seconds: float) -> None:
        """A jump back undoes the latest forward ones; beyond that, messages just live longer."""
        while self.skipped and seconds > 0:
            when, forward = self.skipped.pop()
            if forward > seconds:
                self.skipped.append((when, forward - seconds))
            seconds -= forward

    def skipped_by(self, message: Message) -> float:
        """Seconds of the message's age that never were."""
        if not self.skipped:
            return 0.0
        return sum(seconds for when, seconds in self.skipped if message.arrival <= when)
