"""Which destination has which rate: the tables of gatepost_destination_rates."""

from collections.abc import Callable

from gatepost.delivery.smtp_destination import domain_of
from gatepost.mail.address import fold
from gatepost.qmgr.rates import Rate, parse_rate
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

REMEMBERED = 10.0
"""Seconds for which an answer of the tables counts."""

MANY = 10_000

_TO_NOBODY = ("error", "retry", "discard")


class DestinationRates:
    """`clock`: monotonic seconds."""

    def __init__(self, maps: Maps, clock: Callable[[], float], warn: Callable[[str], None]) -> None:
        self._maps = maps
        self._clock = clock
        self._warn = warn
        self._known: dict[tuple[str, str], tuple[Rate | None, float]] = {}

    async def find(self, transport: str, nexthop: str) -> Rate | None:
        """The rate of a destination, asked for as `TRANSPORT:NEXTHOP`, `NEXTHOP`, both without `[]` and port,
        `.PARENT` for each domain above, `TRANSPORT:` and `*`; None if it has no limit.

        While the tables cannot tell, what they said before counts; raises LookupTemporaryFailure if there is nothing.
        """
        place = (transport, nexthop)
        now = self._clock()
        known = self._known.get(place)
        if known is not None and known[1] > now:
            return known[0]
        try:
            rate = await self.find_anew(transport, nexthop)
        except LookupTemporaryFailure:
            if known is None:
                raise
            rate = known[0]
        if known is not None and known[0] == rate:
            rate = known[0]  # the same object says that nothing has changed
        if len(self._known) >= MANY:
            self._known.clear()
        self._known[place] = (rate, now + REMEMBERED)
        return rate

    async def find_anew(self, transport: str, nexthop: str) -> Rate | None:
        """What the tables say now. Raises LookupTemporaryFailure."""
        if transport in _TO_NOBODY:
            return None
        for key in _keys(transport, fold(nexthop)):
            found = await self._maps.find(key)
            if found is not None:
                try:
                    return parse_rate(found.value, f"{self._maps.parameter} ({found.table}, {key})")
                except ValueError as error:
                    self._warn(f"{self._maps.parameter}: {found.table}: {key}: {error}")
                    return None
        return None


def _keys(transport: str, nexthop: str) -> list[str]:
    domain = domain_of(nexthop)
    keys = [f"{transport}:{nexthop}", nexthop]
    if domain != nexthop:
        keys += [f"{transport}:{domain}", domain]
    if not domain.replace(".", "").isdigit() and ":" not in domain:
        labels = domain.split(".")
        keys += ["." + ".".join(labels[at:]) for at in range(1, len(labels))]
    return [*keys, f"{transport}:", "*"]
