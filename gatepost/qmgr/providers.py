"""Limits by mail provider instead of by domain: domains with the same MX hosts are one group.

Nobody waits for DNS: until the answer is there, and where there is none, a domain is its own group.
"""

from collections.abc import Callable, Container

from gatepost.delivery.smtp_destination import BadDestination, parse_destination
from gatepost.dns.answers import Resolver
from gatepost.mail.address import fold
from gatepost.qmgr.ports import Spawn
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

SHORTEST, LONGEST = 60.0, 3600.0
"""Seconds for which an answer counts, whatever its TTL."""

MANY = 50_000
"""Domains that are remembered."""

MANY_PENDING = 1000


class Providers:
    """`transports`: gatepost_provider_limit_transports. `maps`: gatepost_provider_maps, from MX hosts to names.

    `clock` gives monotonic seconds; `spawn` runs a look-up in the background.
    """

    def __init__(
        self, transports: Container[str], maps: Maps, resolver: Resolver, clock: Callable[[], float], spawn: Spawn
    ) -> None:
        self._transports = transports
        self._maps = maps
        self._resolver = resolver
        self._clock = clock
        self._spawn = spawn
        self._groups: dict[str, tuple[str, float]] = {}
        self._pending: set[str] = set()

    def groups(self, transport: str, nexthop: str) -> bool:
        """Is this a domain that may share its limits with others? Lists and hosts in [] are chosen by hand."""
        return transport in self._transports and nexthop[:1] != "[" and "," not in nexthop and " " not in nexthop

    def group(self, transport: str, nexthop: str) -> str:
        """The limit group of a destination as far as it is known; empty: it is its own."""
        if not self.groups(transport, nexthop):
            return ""
        known = self._groups.get(nexthop)
        if known is None or known[1] <= self._clock():
            self._look_up(nexthop)
        return "" if known is None else known[0]

    def _look_up(self, nexthop: str) -> None:
        if nexthop not in self._pending and len(self._pending) < MANY_PENDING:
            self._pending.add(nexthop)
            self._spawn(self._learn(nexthop))

    async def _learn(self, nexthop: str) -> None:
        try:
            found = await self.find(nexthop)
            if found is None:  # DNS cannot tell: what was known counts on
                found = (self._groups.get(nexthop, ("", 0.0))[0], SHORTEST)
            group, seconds = found
            if len(self._groups) >= MANY:
                self._groups.clear()
            self._groups[nexthop] = (group, self._clock() + min(max(seconds, SHORTEST), LONGEST))
        finally:
            self._pending.discard(nexthop)

    async def find(self, nexthop: str) -> tuple[str, float] | None:
        """The group of a domain, and for how many seconds the answer counts; None if DNS, or a table, cannot tell."""
        try:
            destination = parse_destination(nexthop, "25")
        except BadDestination:
            return "", LONGEST
        if not destination.use_mx:
            return "", LONGEST
        answer = await self._resolver.query(destination.domain, "MX")
        if answer.outcome == "try_again":
            return None
        hosts = sorted((record.preference, fold(record.data)) for record in answer.records if record.data)
        if answer.outcome != "found" or not hosts:
            return "", answer.ttl
        try:
            name = await self._named([host for _, host in hosts])
        except LookupTemporaryFailure:
            return None
        name = name or " ".join(sorted({host for _, host in hosts}))
        port = "" if destination.port == 25 else f":{destination.port}"
        return f"mx{port} {name}", answer.ttl

    async def _named(self, hosts: list[str]) -> str:
        """The name that the tables have for the first host, or for a domain above it; then for the second; ..."""
        if not self._maps:
            return ""
        for host in hosts:
            key = host
            while key:
                hit = await self._maps.find(key, full_key=key == host)
                if hit is not None:
                    return hit.value
                dot = key.find(".", 1)
                key = key[dot:] if dot >= 0 else ""
        return ""
