"""Which destinations are busy: worth an open connection (smtp_connection_cache_on_demand)."""

BUSY = 1.0
"""Seconds since the last delivery to a destination for which it counts as busy."""

MANY = 10_000
"""Destinations whose last delivery is remembered."""


class RecentStarts:
    """When the last delivery to a destination started, by transport and nexthop; monotonic seconds."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], float] = {}

    def note(self, transport: str, nexthop: str, now: float) -> bool:
        """A delivery starts; was there one a moment ago?"""
        place, last = (transport, nexthop), self._last
        busy = now - last.get(place, -BUSY) < BUSY
        last[place] = now
        if len(last) > MANY:
            last.clear()
        return busy
