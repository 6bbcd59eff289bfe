"""From a recipient to its transport, next hop and address class (trivial-rewrite(8), ADDRESS_CLASS_README)."""

import re
from collections.abc import Callable

import msgspec

from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.address_tokens import QSTRING, Token, scan
from gatepost.mail.hostname import valid_hostaddr, valid_hostname, valid_mailhost_literal, valid_utf8_hostname
from gatepost.rewrite.address_classes import AddressClass, ClassLists, LocalDomains
from gatepost.rewrite.address_tree import AddressTree
from gatepost.rewrite.rewrite import STANDARD_FORM, Rewriter
from gatepost.rewrite.routing import Routing, Trace
from gatepost.rewrite.transport import TEXT_TRANSPORTS, Route, overridden, with_nexthop
from gatepost.tables.table import LookupTemporaryFailure

_ROUTING_OPERATOR = re.compile(r"[@!%]")
_CACHE_SIZE = 4000
_CLASS_LISTS = {
    AddressClass.LOCAL: "mydestination",
    AddressClass.VIRTUAL_ALIAS: "virtual_alias_domains",
    AddressClass.VIRTUAL_MAILBOX: "virtual_mailbox_domains",
    AddressClass.RELAY: "relay_domains",
    AddressClass.DEFAULT: "",
}
_CACHE_SECONDS = 1.0


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """Where a recipient's mail goes.

    `recipient` is the resolved address in internal form: local domains around it are stripped. `error`: the address
    is not valid (`501 5.1.3 Bad recipient address syntax`, bounces with 5.1.3); transport and next hop are empty then.
    `routed`: the local part has another address in it (`a%b@c`), which the next host might relay to.
    """

    transport: str
    nexthop: str
    recipient: str
    address_class: AddressClass
    error: bool = False
    routed: bool = False


class ResolverParameters(msgspec.Struct, frozen=True):
    """The values of main.cf that steer how an address is taken apart."""

    myhostname: str
    empty_address_recipient: str
    allow_min_user: bool
    resolve_dequoted_address: bool
    resolve_null_domain: bool
    resolve_numeric_domain: bool
    show_user_unknown_table_name: bool
    smtputf8_enable: bool
    relocated_prefix_enable: bool


class AddressResolver:
    """Resolves recipients, for deliveries or (with the address_verify_* routing) for address probes."""

    def __init__(
        self,
        parameters: ResolverParameters,
        rewriter: Rewriter,
        local_domains: LocalDomains,
        classes: ClassLists,
        routing: Routing,
        *,
        clock: Callable[[], float],
        warn: Callable[[str], None],
    ) -> None:
        """`clock` is monotonic, in seconds; `warn` takes the text of a log warning."""
        self.parameters = parameters
        self.rewriter = rewriter
        self.local_domains = local_domains
        self.classes = classes
        self.routing = routing
        self._clock = clock
        self._warn = warn
        # Answers are kept until the configuration is read anew (which makes a new resolver) if nothing but its text is
        # asked. Where tables or files take part, which may change at any time, nothing is older than a second: as long
        # as it takes to notice a changed file.
        self._constant = local_domains.constant and classes.constant and routing.constant
        self._by_sender = routing.depends_on_sender
        self._cache: dict[str | tuple[str, str], Resolved] = {}
        self._cache_ends = 0.0

    async def is_local_domain(self, domain: str) -> bool:
        """Is this host the final destination of the domain or address literal? Raises LookupTemporaryFailure."""
        return await self.local_domains.is_local_domain(domain)

    async def resolve(self, sender: str, address: str) -> Resolved:
        """Resolve a recipient; both addresses are in internal form and rewritten already.

        Raises LookupTemporaryFailure if a table cannot tell. Does not suspend unless a table does.
        """
        if not self._constant and self._clock() >= self._cache_ends:
            self._cache.clear()
            self._cache_ends = self._clock() + _CACHE_SECONDS
        key = (sender, address) if self._by_sender else address
        known = self._cache.get(key)
        if known is None:
            known = await self._resolve(sender, address)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[key] = known
        return known

    async def resolve_anew(self, sender: str, address: str) -> Resolved:
        """The same, from the tables themselves: for who wants to be told how it comes about (`Routing.trace`)."""
        return await self._resolve(sender, address)

    async def _resolve(self, sender: str, address: str) -> Resolved:
        domain = address.rpartition("@")[2]
        if STANDARD_FORM.fullmatch(address) and valid_hostname(domain):
            # Taking it apart would change nothing: no operator in the local part, a domain without faults.
            is_local = await self.local_domains.is_local_domain(domain)
            return await self._route(sender, address, domain, is_local=is_local)
        tree = AddressTree(quote_822_local(address))
        is_local = await self._strip_local(tree, address)
        recipient = tree.internal()
        domain = recipient.rpartition("@")[2]
        if domain.startswith("["):
            valid = valid_mailhost_literal(domain)
        else:
            valid = valid_utf8_hostname(domain, utf8=self.parameters.smtputf8_enable)
            if not valid and self.parameters.resolve_numeric_domain and valid_hostaddr(domain):
                domain = f"[{domain}]"
                recipient = f"{recipient.rpartition('@')[0]}@{domain}"
                is_local = is_local or await self.local_domains.is_local_domain(domain)
                valid = True
        if not valid:
            return Resolved("", "", recipient, AddressClass.DEFAULT, error=True)
        return await self._route(sender, recipient, domain, is_local=is_local)

    async def _strip_local(self, tree: AddressTree, address: str) -> bool:
        """Take our own domains off the address until another one shows, or none. True: the recipient is local.

        Operators in the local part count as soon as our domain is off (a%b@ours is a@b), in quotes too: that is what
        stops others from relaying through us by means of quotes.
        """
        saved: list[Token] = []
        for _ in range(len(address) + 100):
            if tree.ends_with_lone_dot() and tree.rfind("@") >= 0:
                tree.cut(len(tree.tokens) - 1)
            if self.parameters.resolve_null_domain and tree.tokens and tree.tokens[-1].kind == "@":
                tree.cut(len(tree.tokens) - 1)
            at = tree.rfind("@")
            if at >= 0:
                if at < len(tree.tokens) - 1 and not await self.local_domains.is_local_domain(tree.internal(at + 1)):
                    return False
                saved = tree.cut(at)
            if self._has_operator(tree) or self._crack_quotes(tree):
                self.rewriter.rewrite_tree("local", tree)
                continue
            tokens = tree.tokens
            if not tokens or (len(tokens) == 1 and tokens[0].kind == QSTRING and not tokens[0].text):
                tree.tokens = scan(self.parameters.empty_address_recipient)
                tree.tight = False
                if not tree.tokens:
                    break
                continue
            if not saved:
                tree.append("@", self.parameters.myhostname)
                continue
            tokens.extend(saved)
            return True
        self._warn(f"resolve_addr: <{address}>: giving up after {len(address) + 100} iterations")
        raise LookupTemporaryFailure("resolve", address, "no end of local domains")

    def _has_operator(self, tree: AddressTree) -> bool:
        rewriter = self.rewriter
        return (
            tree.rfind("@") >= 0
            or (rewriter.swap_bangpath and tree.rfind("!") >= 0)
            or (rewriter.allow_percent_hack and tree.rfind("%") >= 0)
        )

    def _crack_quotes(self, tree: AddressTree) -> bool:
        """Replace a quoted local part with an operator in it by its tokens (resolve_dequoted_address)."""
        tokens = tree.tokens
        if not self.parameters.resolve_dequoted_address or len(tokens) != 1 or tokens[0].kind != QSTRING:
            return False
        text = tokens[0].text
        at = text.rfind("@")
        if at < 0 and self.rewriter.allow_percent_hack:
            at = text.rfind("%")
        if at >= 0:
            text = quote_822_local(f"{text[:at]}@{text[at + 1 :]}")
        elif not self.rewriter.swap_bangpath or "!" not in text:
            return False
        tree.tokens = scan(text)
        tree.tight = False
        return bool(tree.tokens)

    async def _route(self, sender: str, recipient: str, domain: str, *, is_local: bool) -> Resolved:
        """Class, transport and next hop of a valid recipient whose local domains are stripped."""
        if is_local:
            await self.classes.warn_of_local(domain)
            address_class = AddressClass.LOCAL
        else:
            try:
                address_class = await self.classes.classify(domain)
            except LookupTemporaryFailure as failure:
                self._warn(f"{failure.table.partition(':')[0]} lookup failure")
                raise
        trace = self.routing.trace
        if trace is not None:
            trace.classified(address_class, _CLASS_LISTS[address_class], domain)
        route = await self._class_route(sender, domain, address_class)
        if not route.transport:
            self._warn(f"{self.routing.transport_parameter(address_class)}: null transport is not allowed")
            raise LookupTemporaryFailure("resolve", recipient, "null transport")
        if self.routing.transport_maps and address_class is not AddressClass.VIRTUAL_ALIAS:
            entry = await self.routing.find_transport(recipient)
            if entry is not None:
                route = overridden(entry, route, domain)
                if trace is not None:
                    _tell_override(trace, self.routing.transport_maps.parameter, entry)
        if self.routing.relocated_maps:
            new_place = await self.routing.find_relocated(recipient)
            if new_place is not None:
                told = self.parameters.relocated_prefix_enable
                route = Route("error", f"5.1.6 User has moved to {new_place}" if told else new_place)
                if trace is not None:
                    trace.transport("relocated_maps", new_place)
                    trace.nexthop("relocated_maps", new_place)
        operator = _ROUTING_OPERATOR.search(recipient)
        return Resolved(
            route.transport,
            route.nexthop,
            recipient,
            address_class,
            # Programs that get the address as an argument would take it for an option.
            error=recipient.startswith("-") and not self.parameters.allow_min_user,
            # Whether or not we look at % and !, the next host may.
            routed=operator is not None and recipient[operator.end() :] != domain,
        )

    async def _class_route(self, sender: str, domain: str, address_class: AddressClass) -> Route:
        if address_class is AddressClass.LOCAL:
            return self._with_nexthop(address_class, self.routing.local_transport, domain)
        if address_class is AddressClass.VIRTUAL_ALIAS:
            # Aliases were looked for when the mail was accepted.
            if self.routing.trace is not None:
                self.routing.trace.transport("virtual_alias_maps", "")
                self.routing.trace.nexthop("virtual_alias_maps", "")
            table = " in virtual alias table" if self.parameters.show_user_unknown_table_name else ""
            return Route("error", f"5.1.1 User unknown{table}")
        if address_class is AddressClass.VIRTUAL_MAILBOX:
            return self._with_nexthop(address_class, self.routing.virtual_transport, domain)
        if address_class is AddressClass.RELAY:
            transport = self.routing.relay_transport
        else:
            transport = await self.routing.default_transport_for(sender)
        return self._with_nexthop(address_class, transport, await self.routing.relayhost_for(sender) or domain)

    def _with_nexthop(self, address_class: AddressClass, transport: str, default_nexthop: str) -> Route:
        trace = self.routing.trace
        if trace is not None:
            if address_class is not AddressClass.DEFAULT:
                trace.transport(self.routing.transport_parameter(address_class), transport)
            if transport.partition(":")[2]:
                trace.own_nexthop()
        return with_nexthop(transport, default_nexthop)


def _tell_override(trace: Trace, parameter: str, entry: str) -> None:
    transport, _, nexthop = entry.partition(":")
    if transport:
        trace.transport(parameter, entry)
    if nexthop or transport in TEXT_TRANSPORTS:
        trace.nexthop(parameter, entry)
    elif transport:
        trace.nexthop("", "")
