"""Several next hops in order of preference (`[a]:25, [b]:25`), and which of them work.

A next hop that did not take mail is put behind the others for a while; then one delivery tries it in its place again.
Known to the queue manager only, which keeps it for its successor.
"""

from collections.abc import Callable, Container, Iterable

from gatepost.delivery.smtp_destination import split_destinations
from gatepost.ipc.messages import Sick

Site = tuple[str, str]
"""A next hop that a delivery went to, and why it was of no use (empty: it was)."""


class NexthopHealth:
    """`rest`: gatepost_nexthop_rest_time, seconds. `transports`: those whose next hops are lists, smtp(8) and lmtp(8).

    `clock` gives wall-clock seconds; `warn` and `info` take the text of log lines.
    """

    def __init__(
        self,
        rest: float,
        transports: Container[str],
        clock: Callable[[], float],
        warn: Callable[[str], None],
        info: Callable[[str], None],
    ) -> None:
        self._rest = rest
        self._transports = transports
        self._clock = clock
        self._warn = warn
        self._info = info
        self._sick: dict[tuple[str, str], Sick] = {}

    def order(self, transport: str, nexthop: str) -> str:
        """The list for one delivery: next hops that failed lately come last. The one whose rest is over is tried."""
        if not self._sick or transport not in self._transports:
            return nexthop
        kind = "inet:" if nexthop.startswith("inet:") else ""  # of lmtp(8)
        sites = split_destinations(nexthop.removeprefix(kind))
        now = self._clock()
        well: list[str] = []
        resting: list[str] = []
        for site in sites:
            sick = self._sick.get((transport, site))
            if sick is None:
                well.append(site)
            elif not now < sick.until <= now + self._rest:  # it is over, or the clock was set back
                # Only this delivery finds out; the others go on without it until the outcome is known.
                sick.until = now + self._rest
                well.append(site)
            else:
                resting.append(site)
        return kind + ", ".join(well + resting) if well and resting else nexthop

    def outcome(self, transport: str, sites: list[Site]) -> None:
        """What became of the next hops that a delivery went to."""
        for site, reason in sites:
            place = (transport, site)
            sick = self._sick.get(place)
            now = self._clock()
            if not reason:
                if sick is not None:
                    del self._sick[place]
                    self._info(f"next hop {site} of transport {transport} works again")
            elif sick is None:
                self._sick[place] = Sick(transport, site, now, now + self._rest, reason)
                self._warn(f"next hop {site} of transport {transport} is put behind the others: {reason}")
            else:
                sick.until, sick.reason = now + self._rest, reason

    def resume(self, listing: Iterable[Sick]) -> None:
        """What an earlier queue manager knew; none rests for longer than is configured now."""
        latest = self._clock() + self._rest
        for sick in listing:
            sick.until = min(sick.until, latest)
            self._sick[sick.transport, sick.nexthop] = sick

    def listing(self) -> list[Sick]:
        """The next hops that failed, the first to fail first."""
        return sorted(self._sick.values(), key=lambda sick: sick.since)
