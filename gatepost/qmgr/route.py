"""From an active message to the scheduler: each recipient resolved, grouped by transport and nexthop."""

from collections.abc import Iterable

from gatepost.config.settings import Settings
from gatepost.mail.address import localpart_of, split_extension
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.destination_rates import DestinationRates
from gatepost.qmgr.probes import OVER_LIMIT, Probes
from gatepost.qmgr.rates import Rate
from gatepost.qmgr.scheduler import Scheduler
from gatepost.rewrite.resolve import AddressResolver
from gatepost.tables.table import LookupTemporaryFailure

Place = tuple[str, str]
UNRESOLVED: Place = ("retry", "4.3.0 address resolver failure")
EXPIRED: Place = ("retry", "4.7.0 message is administratively expired")
BAD_ADDRESS: Place = ("error", "5.1.3 bad address syntax")


class Router:
    """Suspends only if a table does."""

    def __init__(
        self,
        settings: Settings,
        resolver: AddressResolver,
        scheduler: Scheduler,
        log: ProgramLog,
        probes: Probes,
        rates: DestinationRates | None = None,
    ) -> None:
        self._resolver = resolver
        self._probes = probes
        self._scheduler = scheduler
        self._rates = rates
        self._log = log
        self._double_bounce = settings.double_bounce_sender.lower()
        self._delimiter = settings.recipient_delimiter
        self._filter_nexthop = settings.default_filter_nexthop
        self._hostname = settings.myhostname

    async def route(self, entry: ActiveMessage, indexes: Iterable[int], now: float) -> None:
        """Hand these recipients to the scheduler (`now`: monotonic seconds); those that go nowhere are settled."""
        message = entry.message
        resolver = self._resolver
        if message.trace:
            resolver = self._probes.resolver
            if self._probes.excessive(message.queue_id):
                self._scheduler.add(message.queue_id, *OVER_LIMIT, list(indexes), now)
                return
        if entry.expire:
            self._scheduler.add(message.queue_id, *EXPIRED, list(indexes), now)
            return
        if message.filter and not message.trace:
            await self._to_filter(entry, indexes, now)
            return
        groups: dict[Place, list[int]] = {}
        for index in indexes:
            address = message.recipients[index].address
            try:
                resolved = await resolver.resolve(message.sender, address)
            except LookupTemporaryFailure as failure:
                self._log.warning(str(failure))
                groups.setdefault(UNRESOLVED, []).append(index)
                continue
            recipient = resolved.recipient
            if resolved.error:
                groups.setdefault(BAD_ADDRESS, []).append(index)
            elif recipient[: recipient.rfind("@")].lower() == self._double_bounce:
                if message.trace:
                    self._probes.settled(entry, [self._probes.discarded(entry, index)])
                else:
                    self._log.warning(f"{message.queue_id}: undeliverable postmaster notification discarded")
                entry.settled.append(index)
                entry.unsettled -= 1
            else:
                if recipient != address:
                    entry.addresses[index] = recipient
                groups.setdefault((resolved.transport, resolved.nexthop), []).append(index)
        for (transport, nexthop), group in groups.items():
            await self._add(entry, transport, nexthop, group, now)

    async def _add(self, entry: ActiveMessage, transport: str, nexthop: str, indexes: list[int], now: float) -> None:
        rate = None
        if self._rates is not None:
            try:
                rate = await self._rates.find(transport, nexthop)
            except LookupTemporaryFailure as failure:
                self._log.warning(str(failure))
                transport, nexthop = UNRESOLVED
        if self._scheduler.per_recipient(transport):
            self._add_each(entry, transport, nexthop, indexes, now, rate)
        else:
            self._scheduler.add(entry.message.queue_id, transport, nexthop, indexes, now, rate=rate)

    async def _to_filter(self, entry: ActiveMessage, indexes: Iterable[int], now: float) -> None:
        """The content filter that an access table has named (`transport:nexthop`) gets it, whoever it is for.

        Without a nexthop: default_filter_nexthop, or the recipient's domain.
        """
        message = entry.message
        transport, _, nexthop = message.filter.partition(":")
        nexthop = nexthop or self._filter_nexthop
        groups: dict[str, list[int]] = {}
        for index in indexes:
            domain = message.recipients[index].address.rpartition("@")[2]
            groups.setdefault(nexthop or domain or self._hostname, []).append(index)
        for place, group in groups.items():
            await self._add(entry, transport, place, group, now)

    def _add_each(
        self, entry: ActiveMessage, transport: str, nexthop: str, indexes: list[int], now: float, rate: Rate | None
    ) -> None:
        """A transport whose destinations are recipients (local): each in a queue of its own, extensions apart."""
        message = entry.message
        for index in indexes:
            address = entry.addresses.get(index, message.recipients[index].address)
            localpart = split_extension(localpart_of(address), self._delimiter)[0]
            name = f"{localpart}@{nexthop}".lower()
            self._scheduler.add(message.queue_id, transport, nexthop, [index], now, name, rate=rate)
