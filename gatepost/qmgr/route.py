"""From an active message to the scheduler: each recipient resolved, grouped by transport and nexthop."""

from collections.abc import Iterable

from gatepost.config.settings import Settings
from gatepost.mail.address import localpart_of, split_extension
from gatepost.mail.envelope import UNDELIVERED, Message
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.destination_policies import NO_POLICIES, DestinationPolicies
from gatepost.qmgr.probes import OVER_LIMIT, Probes
from gatepost.qmgr.rates import Rate
from gatepost.qmgr.retry import RetrySchedules
from gatepost.qmgr.scheduler import Scheduler
from gatepost.rewrite.resolve import AddressResolver
from gatepost.tables.table import LookupTemporaryFailure

Place = tuple[str, str]
UNRESOLVED: Place = ("retry", "4.3.0 address resolver failure")
EXPIRED: Place = ("retry", "4.7.0 message is administratively expired")
BAD_ADDRESS: Place = ("error", "5.1.3 bad address syntax")


def filter_place(value: str, default_nexthop: str, recipient: str, hostname: str) -> Place:
    """Where content_filter, or FILTER in an access table, sends a recipient's mail (`transport:nexthop`).

    `default_nexthop`: default_filter_nexthop; if that is empty, too, the recipient's domain counts.
    """
    transport, _, nexthop = value.partition(":")
    return transport, nexthop or default_nexthop or recipient.rpartition("@")[2] or hostname


class Router:
    """Suspends only if a table does."""

    def __init__(
        self,
        settings: Settings,
        resolver: AddressResolver,
        scheduler: Scheduler,
        log: ProgramLog,
        probes: Probes,
        policies: DestinationPolicies = NO_POLICIES,
    ) -> None:
        self._resolver = resolver
        self._probes = probes
        self._scheduler = scheduler
        self._rates = policies.rates
        self._log = log
        self._double_bounce = settings.double_bounce_sender.lower()
        self._delimiter = settings.recipient_delimiter
        self._filter_nexthop = settings.default_filter_nexthop
        self._hostname = settings.myhostname
        self._providers = policies.providers
        self._retry = policies.retry
        if self._retry is not None:
            self._retry.place_of = self._place_of

    async def route(self, entry: ActiveMessage, indexes: Iterable[int], now: float) -> None:
        """Hand these recipients to the scheduler (`now`: monotonic seconds); those that go nowhere are settled."""
        message = entry.message
        resolver = self._resolver
        if self._retry is not None and message.queue_id in self._retry.mixed and not entry.expire:
            indexes = self._due(entry, indexes, self._retry)
        if message.trace & UNDELIVERED:
            resolver = self._probes.resolver
            if self._probes.excessive(message.queue_id):
                self._scheduler.add(message.queue_id, *OVER_LIMIT, list(indexes), now)
                return
        if entry.expire:
            self._scheduler.add(message.queue_id, *EXPIRED, list(indexes), now)
            return
        if message.filter and not message.trace & UNDELIVERED:
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
                if message.trace & UNDELIVERED:
                    self._probes.settled(entry, [self._probes.discarded(entry, index)])
                else:
                    self._probes.discarded(entry, index)
                entry.settled.append(index)
                entry.unsettled -= 1
            else:
                if recipient != address:
                    entry.addresses[index] = recipient
                groups.setdefault((resolved.transport, resolved.nexthop), []).append(index)
        await self._add_all(entry, groups, now)

    async def _add_all(self, entry: ActiveMessage, groups: dict[Place, list[int]], now: float) -> None:
        for (transport, nexthop), group in groups.items():
            if entry.held:  # an operator's act, while a table took its time
                entry.unstarted = True
                entry.unsettled -= len(group)
            else:
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
        elif entry.message.verp:  # each recipient has another sender
            group = "" if self._providers is None else self._providers.group(transport, nexthop)
            for index in indexes:
                self._scheduler.add(entry.message.queue_id, transport, nexthop, [index], now, group=group, rate=rate)
        else:
            group = "" if self._providers is None else self._providers.group(transport, nexthop)
            self._scheduler.add(entry.message.queue_id, transport, nexthop, indexes, now, group=group, rate=rate)

    def _due(self, entry: ActiveMessage, indexes: Iterable[int], retry: RetrySchedules) -> list[int]:
        """Of these recipients those whose time has come; the others wait on, for the reason that they had."""
        queue_id = entry.message.queue_id
        waiting = {} if queue_id in self._scheduler.flushed else retry.not_due(queue_id, entry.since)
        due = []
        for index in indexes:
            if index in waiting:
                entry.deferred.append(waiting[index][1])
                entry.unsettled -= 1
            else:
                due.append(index)
        return due

    async def _place_of(self, message: Message, address: str) -> tuple[str, str]:
        """Whose mail it is (the domain; none if it goes to a content filter first), and the next hop."""
        if message.filter:
            return "", filter_place(message.filter, self._filter_nexthop, address, self._hostname)[1]
        resolved = await self._resolver.resolve(message.sender, address)
        return resolved.recipient.rpartition("@")[2], resolved.nexthop

    async def _to_filter(self, entry: ActiveMessage, indexes: Iterable[int], now: float) -> None:
        """The content filter gets it, whoever it is for."""
        message = entry.message
        groups: dict[Place, list[int]] = {}
        for index in indexes:
            address = message.recipients[index].address
            place = filter_place(message.filter, self._filter_nexthop, address, self._hostname)
            groups.setdefault(place, []).append(index)
        await self._add_all(entry, groups, now)

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
