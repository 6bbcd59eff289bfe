"""Where mail for an address goes, and why: the same rewriting, resolving and limits as in service, with a trace.

Nothing is decided here. The parts that serve mail are asked, and tell what they did: `Routing.trace`, and tables that
take note of what was found in them.
"""

from collections.abc import Callable, Mapping

import msgspec

from gatepost.audit.limits import Limit, Origin, Step, group_of, limits, origin_of
from gatepost.audit.route_tls import Policed, TransportTls
from gatepost.cleanup.interface import Transaction
from gatepost.cleanup.mapped_incoming import MappedCleanup
from gatepost.cleanup.pipeline import MailCleanup
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import Origin as MessageOrigin
from gatepost.mail.envelope import Recipient
from gatepost.qmgr.destination_policies import DestinationPolicies
from gatepost.qmgr.route import filter_place
from gatepost.rewrite.address_classes import AddressClass, ClassLists, LocalDomains
from gatepost.rewrite.resolve import AddressResolver
from gatepost.rewrite.virtual_alias import AliasExpansionError
from gatepost.tables.noted import Found, NotedTables
from gatepost.tables.table import LookupTemporaryFailure


class Delivery(msgspec.Struct):
    """One recipient in the end. `outcome`: deliver, bounce, discard, wait, or unknown (`failure` says why)."""

    recipient: str
    outcome: str = "deliver"
    address_class: str = ""
    transport: str = ""
    nexthop: str = ""
    steps: list[Step] = msgspec.field(default_factory=list)
    limits: list[Limit] = msgspec.field(default_factory=list)
    group: str = ""
    remarks: list[str] = msgspec.field(default_factory=list)
    failure: str = ""


class Filter(msgspec.Struct, frozen=True):
    """A content filter that mail goes to before anything else: which mail, and where."""

    listener: str
    transport: str
    nexthop: str
    origin: Origin


class Explanation(msgspec.Struct):
    """The answer for one address as it was given. `failure`: why it cannot be told what it stands for."""

    address: str
    sender: str
    steps: list[Step] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)
    deliveries: list[Delivery] = msgspec.field(default_factory=list)
    failure: str = ""


class _Trace:
    """Routing.trace: the last one who decided counts."""

    def __init__(self, place: Callable[[str], Origin]) -> None:
        self._place = place
        self.transport_from: tuple[str, Origin] | None = None
        self.nexthop_from: tuple[str, Origin] | None = None
        self.class_of: tuple[AddressClass, str, str] | None = None

    def classified(self, address_class: AddressClass, parameter: str, domain: str) -> None:
        self.class_of = (address_class, parameter, domain)

    def transport(self, parameter: str, value: str) -> None:
        self.transport_from = (value, self._place(parameter))

    def nexthop(self, parameter: str, value: str) -> None:
        self.nexthop_from = (value, self._place(parameter)) if parameter else None

    def own_nexthop(self) -> None:
        self.nexthop_from = self.transport_from


class Parts(msgspec.Struct, frozen=True):
    """What serves mail, made from one configuration with tables that take note."""

    settings: Settings
    services: Mapping[str, Service]
    listeners: list[tuple[Service, Settings]]
    tables: NotedTables
    resolver: AddressResolver
    local_domains: LocalDomains
    classes: ClassLists
    cleanup: MailCleanup
    policies: DestinationPolicies
    tls: Callable[[Service], Policed]


class RouteExplainer:
    """Asks the parts. One address at a time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._settings = parts.settings

    async def explain(self, address: str, sender: str) -> Explanation:
        """Both addresses in internal form; "" is the null sender. Raises ConfigError."""
        explanation = Explanation(quote_822_local(address), sender and quote_822_local(sender))
        tables, cleanup = self._parts.tables, self._parts.cleanup
        tables.found.clear()
        try:
            sender, recipients = await self._envelope(explanation, address, sender)
        except AliasExpansionError as error:
            explanation.failure = f"{error.text}: {error}"
            return explanation
        except LookupTemporaryFailure as failure:
            explanation.failure = self._cannot_tell(failure)
            return explanation
        finally:
            cleanup.log.flush()
        explanation.filters = self._filters(recipients[0].address if recipients else address)
        for recipient in recipients:
            explanation.deliveries.append(await self._delivery(sender, recipient.address))
        return explanation

    async def _envelope(self, explanation: Explanation, address: str, sender: str) -> tuple[str, list[Recipient]]:
        """As cleanup makes it. Raises AliasExpansionError and LookupTemporaryFailure."""
        cleanup, found = self._parts.cleanup, self._parts.tables.found
        transaction = Transaction(sender, [Recipient(address)], MessageOrigin())
        standard = cleanup.envelope.sender(address)
        if standard != address:
            explanation.steps.append(Step("standard form", quote_822_local(standard), Origin()))
        if isinstance(cleanup, MappedCleanup):
            transaction = await cleanup.mapped_envelope(transaction, "route")
            mapped = transaction.recipients[0].address
            own = [hit for hit in found if hit.parameter != "sender_canonical_maps"]
            if mapped != standard:
                masked = origin_of(self._settings, "masquerade_domains")
                origin = self._entry(own[-1]) if own else masked
                explanation.steps.append(Step("canonical address", quote_822_local(mapped), origin))
            found.clear()
        sender = cleanup.envelope.sender(transaction.sender)
        if sender != explanation.sender and quote_822_local(sender) != explanation.sender:
            explanation.steps.append(Step("sender", quote_822_local(sender), Origin()))
        recipients = await cleanup.envelope.recipients(transaction, "route")
        explanation.steps += [Step("virtual alias", hit.value, self._entry(hit)) for hit in found]
        return sender, recipients

    def _filters(self, recipient: str) -> list[Filter]:
        settings, filters = self._settings, []
        for service, own in self._parts.listeners:
            value = own.text("content_filter")
            if value:
                place = filter_place(value, settings.default_filter_nexthop, recipient, settings.myhostname)
                filters.append(Filter(service.name, *place, origin_of(own, "content_filter")))
        return filters

    async def _delivery(self, sender: str, address: str) -> Delivery:
        parts, delivery = self._parts, Delivery(quote_822_local(address))
        parts.tables.found.clear()
        trace = parts.resolver.routing.trace = _Trace(self._place)
        try:
            resolved = await parts.resolver.resolve_anew(sender, address)
            if trace.class_of is not None:
                delivery.steps.append(await self._class_step(*trace.class_of))
        except LookupTemporaryFailure as failure:
            delivery.outcome, delivery.failure = "unknown", self._cannot_tell(failure)
            return delivery
        finally:
            parts.resolver.routing.trace = None
        if resolved.error:
            delivery.outcome = "bounce"
            delivery.remarks.append("5.1.3 bad address syntax")
            return delivery
        if resolved.recipient != address:
            delivery.steps.insert(0, Step("recipient", quote_822_local(resolved.recipient), Origin()))
        delivery.address_class = resolved.address_class.value
        delivery.transport, delivery.nexthop = resolved.transport, resolved.nexthop
        if trace.transport_from is not None:
            delivery.steps.append(Step("transport", resolved.transport, trace.transport_from[1]))
        origin = trace.nexthop_from[1] if trace.nexthop_from is not None else Origin(note="the recipient's domain")
        delivery.steps.append(Step("next hop", resolved.nexthop, origin))
        if resolved.recipient.rpartition("@")[0].lower() == self._settings.double_bounce_sender.lower():
            delivery.outcome = "discard"
            delivery.remarks.append("undeliverable notices end here (double_bounce_sender)")
            return delivery
        await self._destination(delivery, sender, resolved.recipient)
        return delivery

    async def _class_step(self, address_class: AddressClass, parameter: str, domain: str) -> Step:
        if not parameter:
            return Step("class", address_class.value, Origin(note="no list of domains has it"))
        if address_class is AddressClass.LOCAL:
            item = await self._parts.local_domains.decisive_item(domain)
            if not item:
                return Step("class", address_class.value, Origin(note="an address of this host"))
        else:
            item = await self._parts.classes.decisive_item(address_class, domain)
        origin = origin_of(self._settings, parameter)
        return Step("class", address_class.value, msgspec.structs.replace(origin, item=item))

    async def _destination(self, delivery: Delivery, sender: str, recipient: str) -> None:
        """What becomes of it at the transport, and the limits there."""
        parts, transport, nexthop = self._parts, delivery.transport, delivery.nexthop
        service = parts.services.get(transport)
        kind = service.program if service is not None else ""
        if service is None:
            delivery.outcome = "wait"
            delivery.remarks.append(f"master.cf has no transport {transport}: mail transport unavailable")
        elif kind == "error":
            delivery.outcome = "wait" if transport == "retry" else "bounce"
        elif kind == "discard":
            delivery.outcome = "discard"
        if delivery.outcome != "deliver":
            return
        delivery.limits = list(limits(self._settings, parts.services, transport))
        if any(limit.origin.parameter == "defer_transports" for limit in delivery.limits):
            delivery.outcome = "wait"
        if service is not None and kind in ("smtp", "lmtp"):
            await self._tls(delivery, service)
        await self._policies(delivery, recipient.rpartition("@")[2], nexthop, bounce=not sender)

    async def _tls(self, delivery: Delivery, service: Service) -> None:
        """How well it is protected, for each item of the next hop."""
        parts = self._parts
        tls = TransportTls(parts.tls(service), parts.tables.found, self._entry)
        protections = await tls.protections(delivery.nexthop)
        for one in protections:
            several = f" for {one.nexthop}" if len(protections) > 1 else ""
            delivery.steps += [msgspec.structs.replace(step, what=step.what + several) for step in one.steps]
            delivery.remarks += one.remarks
            if one.failed is not None and not delivery.failure:
                delivery.failure = self._told(one.failed, tls.settings)
        if protections and all(one.waits for one in protections):
            delivery.outcome = "unknown" if delivery.failure else "wait"
        elif delivery.failure:
            delivery.remarks.append(delivery.failure)
            delivery.failure = ""

    async def _policies(self, delivery: Delivery, domain: str, nexthop: str, *, bounce: bool) -> None:
        policies, found = self._parts.policies, self._parts.tables.found
        transport = delivery.transport
        group = await group_of(policies.providers, transport, nexthop)
        if group is None:
            delivery.remarks.append("DNS cannot tell the provider now: until then the domain has its own limits")
        elif group:
            delivery.group = group
            origin = origin_of(self._settings, "gatepost_provider_limit_transports")
            delivery.limits.append(Limit("limits are shared by the group", group, origin))
        found.clear()
        try:
            if policies.rates is not None and (rate := await policies.rates.find_anew(transport, nexthop)):
                delivery.limits.append(Limit("deliveries per time", rate.text, self._entry(found[-1])))
            found.clear()
            delivery.limits += await self._retries(domain, nexthop, bounce=bounce)
        except LookupTemporaryFailure as failure:
            delivery.outcome, delivery.failure = "unknown", self._cannot_tell(failure)

    async def _retries(self, domain: str, nexthop: str, *, bounce: bool) -> list[Limit]:
        settings, schedules = self._settings, self._parts.policies.retry
        lifetime = "bounce_queue_lifetime" if bounce else "maximal_queue_lifetime"
        returned = Limit("given up after", f"{settings[lifetime]}s", origin_of(settings, lifetime))
        if schedules is not None:
            schedule, hit = await schedules.find(domain, nexthop)
            if schedule is not None and hit is not None:
                retries = Limit("tried again after", hit.value, self._entry(self._parts.tables.found[-1]))
                return [retries, returned] if schedule.expire is None else [retries]
        least, most = settings.minimal_backoff_time, settings.maximal_backoff_time
        return [
            Limit("tried again, at the earliest after", f"{least}s", origin_of(settings, "minimal_backoff_time")),
            Limit("tried again, at the latest after", f"{most}s", origin_of(settings, "maximal_backoff_time")),
            returned,
        ]

    def _place(self, parameter: str) -> Origin:
        """Of a parameter, and of the entry if it is tables that were asked just now."""
        found = self._parts.tables.found
        for hit in reversed(found):
            if hit.parameter == parameter:
                return self._entry(hit)
        return origin_of(self._settings, parameter)

    def _entry(self, hit: Found, settings: Settings | None = None) -> Origin:
        origin = origin_of(settings or self._settings, hit.parameter)
        path, line = self._parts.tables.place_of(hit) or ("", 0)
        return msgspec.structs.replace(origin, table=hit.table, key=hit.key, table_path=path, table_line=line)

    def _cannot_tell(self, failure: LookupTemporaryFailure) -> str:
        for hit in self._parts.tables.found:
            if hit.failure:
                return self._told(hit, self._settings)
        return str(failure)

    def _told(self, hit: Found, settings: Settings) -> str:
        where = str(origin_of(settings, hit.parameter))
        return f'{where}: {hit.table} cannot tell about "{hit.key}": {hit.failure}'
