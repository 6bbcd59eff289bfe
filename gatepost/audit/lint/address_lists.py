"""Checks of mynetworks and the other lists of addresses."""

from collections.abc import Iterator

from gatepost.audit.lint.finding import Remark, Severity
from gatepost.audit.lint.registry import check
from gatepost.audit.lint.subject import Place, Subject
from gatepost.audit.lint.table_rows import INDEXED, split_spec
from gatepost.audit.lists import ADDRESS_LISTS
from gatepost.tables.match_items import BadNetworkItem, Item, NameItem, TableItem
from gatepost.tables.match_list import MatchList
from gatepost.tables.network import Network, NetworkError, address_text, parse_address, parse_network

_PRIVATE = tuple(map(parse_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16")))
_SHARED = parse_network("100.64.0.0/10")
_PRIVATE_V6 = tuple(map(parse_network, ("fc00::/7", "fe80::/10", "::1/128", "::ffff:0:0/96")))
_CONTAINERS = parse_network("172.16.0.0/12")
_WIDEST = {32: 16, 128: 32}
"""Public networks with a shorter mask than this hold strangers."""


def _lists(subject: Subject) -> Iterator[tuple[Place, MatchList]]:
    for place in (subject.main, *subject.servers):
        for parameter in ADDRESS_LISTS:
            if place.settings.defined(parameter) and (matches := subject.match_list(place, parameter)) is not None:
                yield place, matches


def _items(subject: Subject) -> Iterator[tuple[Place, str, Item]]:
    for place, matches in _lists(subject):
        for item, _ in matches.items():
            yield place, matches.parameter, item


def _trusting(subject: Subject) -> Iterator[tuple[Place, Item, Network]]:
    """The networks that mynetworks takes in."""
    for place, matches in _lists(subject):
        before: list[Network] = []
        for item, network in matches.networks() if matches.parameter == "mynetworks" else ():
            if not item.negated and not any(each.contains(network) for each in before):
                yield place, item, network
            before.append(network)


def is_private(network: Network) -> bool:
    """Is all of it in ranges that are not routed in the Internet?"""
    return any(each.contains(network) for each in (*_PRIVATE, *_PRIVATE_V6, _SHARED))


@check("network-host-bits", Severity.ERROR, "a network whose address has bits behind its mask")
def network_host_bits(subject: Subject) -> Iterator[Remark]:
    """`192.168.1.1/24` names neither a host nor a network. Postfix finds out when a client comes that far in the
    list, answers it 451 4.3.0, and none of the items behind it counts for that client. Write the network's own
    address."""
    for place, parameter, item in _items(subject):
        if isinstance(item, BadNetworkItem) and "non-null host" in item.reason:
            better = item.reason.split('"')[-2]
            yield place.remark(parameter, f"{item}: bits are set behind the mask", f"write {better}")


@check("network-malformed", Severity.ERROR, "an item that looks like a network and is none")
def network_malformed(subject: Subject) -> Iterator[Remark]:
    """A mask that is too long, an octet too few (`192.168.1/24`) or a bracket without its partner: clients of that
    family that come so far in the list are answered 451 4.3.0. Write networks in full: `192.168.1.0/24`,
    `[2001:db8::]/32`."""
    for place, parameter, item in _items(subject):
        if isinstance(item, BadNetworkItem) and "non-null host" not in item.reason:
            yield place.remark(parameter, f"{item}: {item.reason}", "write the network in full, as 192.168.1.0/24")
        elif isinstance(item, NameItem) and item.text[0].isdigit() and _is_numbers(item.text):
            message = f'"{item}" is no address: it is compared with host names, and matches nothing'
            yield place.remark(parameter, message, "write the address in full, or a network with its mask")


def _is_numbers(text: str) -> bool:
    return set(text) <= set("0123456789.") and parse_address(text) is None


@check("ipv6-without-brackets", Severity.ERROR, "an IPv6 network without brackets, which is taken for a table")
def ipv6_without_brackets(subject: Subject) -> Iterator[Remark]:
    """In these lists `type:name` is a lookup table, so that `2001:db8::/32` is a table of the unknown type `2001`:
    every client that comes so far is answered 451 4.3.0. IPv6 addresses stand in brackets: `[2001:db8::]/32`."""
    for place, parameter, item in _items(subject):
        if isinstance(item, TableItem):
            try:
                network = parse_network(item.text)
            except NetworkError:
                continue
            better = f"[{address_text(128, network.net)}]/{network.prefix}"
            yield place.remark(parameter, f"{item} is taken for a lookup table", f"write {better}")


@check("exception-too-late", Severity.WARNING, "an `!` exception behind the range that holds it")
def exception_too_late(subject: Subject) -> Iterator[Remark]:
    """The first item that matches decides. `192.168.87.0/24, !192.168.87.1` trusts 192.168.87.1, because the range
    comes first. Put each exception before the range that it is taken from."""
    for place, matches in _lists(subject):
        for text in matches.useless_exceptions():
            yield place.remark(matches.parameter, text, "put the exception before the range")


@check("network-listed-twice", Severity.NOTE, "a network that an item before it holds already")
def network_listed_twice(subject: Subject) -> Iterator[Remark]:
    """An item all of whose addresses an item before it has taken decides nothing. It is either superfluous, or its
    writer believes that it does something. Take it out."""
    for place, matches in _lists(subject):
        before: list[tuple[Item, Network]] = []
        for item, network in matches.networks():
            for early, other in before:
                if not item.negated and other.contains(network):
                    what = "stands here twice" if network == other else f"is part of {early} before it"
                    yield place.remark(matches.parameter, f"{item} {what}", "take it out")
                    break
            before.append((item, network))


@check("network-is-everybody", Severity.ERROR, "mynetworks holds every address of the Internet")
def network_is_everybody(subject: Subject) -> Iterator[Remark]:
    """`0.0.0.0/0` or `[::]/0` makes an open relay, which is found and abused within a day. List the networks whose
    clients may relay; if relaying was refused to a client of yours, `gatepost networks ADDRESS` tells why."""
    for place, item, network in _trusting(subject):
        if network.prefix <= 1:
            family = "IPv4" if network.bits == 32 else "IPv6"
            share = "every" if network.prefix == 0 else "every other"
            yield place.remark("mynetworks", f"{item} is {share} {family} address", "list your own networks")
    for place, parameter, item in _items(subject):
        if parameter == "mynetworks" and not item.negated and item.text.startswith("static:"):
            yield place.remark(parameter, f"{item} has everything: every client is in it", "list your own networks")


@check("network-too-wide", Severity.WARNING, "mynetworks holds a public network that is too large to be one's own")
def network_too_wide(subject: Subject) -> Iterator[Remark]:
    """Public IPv4 networks of more than a /16 (65,536 addresses) and IPv6 networks of more than a /32 belong to
    providers: strangers are in them, and may relay. List the addresses that are yours."""
    for place, item, network in _trusting(subject):
        if 1 < network.prefix < _WIDEST[network.bits] and not is_private(network):
            count = f"{1 << (network.bits - network.prefix):,}" if network.bits == 32 else f"2^{128 - network.prefix}"
            yield place.remark("mynetworks", f"{item} is {count} public addresses", "list your own networks only")


@check("network-of-containers", Severity.WARNING, "mynetworks trusts all networks of container engines")
def network_of_containers(subject: Subject) -> Iterator[Remark]:
    """172.16.0.0/12 holds the bridges that container engines make. Behind such a bridge clients from anywhere can
    appear with the address of its gateway (172.17.0.1), by address translation or a proxy for IPv6, and then every
    stranger may relay. Trust the networks of your own containers only, and leave the gateway out: `!172.18.0.1
    172.18.0.0/16`."""
    for place, item, network in _trusting(subject):
        if network.contains(_CONTAINERS) and network.prefix > 1:
            remedy = "list the networks that you use, each behind the exception of its gateway"
            yield place.remark("mynetworks", f"{item} holds the gateways of all container bridges", remedy)


@check("network-shared-by-provider", Severity.WARNING, "mynetworks trusts the range of carrier-grade NAT")
def network_shared(subject: Subject) -> Iterator[Remark]:
    """100.64.0.0/10 is used by providers between their customers and their NAT (RFC 6598): other customers may be
    in it. Networks made of it for other ends, as by overlay networks, should be listed with their own, longer
    mask."""
    for place, item, network in _trusting(subject):
        if network.bits == 32 and network.prefix <= 10 and network.prefix > 1 and network.contains(_SHARED):
            yield place.remark("mynetworks", f"{item} holds 100.64.0.0/10", "list the part of it that is yours")


@check("networks-by-class", Severity.WARNING, "mynetworks_style = class trusts whole network classes")
def networks_by_class(subject: Subject) -> Iterator[Remark]:
    """With `class` all of the class A, B or C network around each address of this host is trusted: up to 16,777,216
    addresses of a provider. Set mynetworks, or mynetworks_style = host or subnet."""
    for place in (subject.main, *subject.servers):
        if not place.settings.defined("mynetworks") and place.text("mynetworks_style").lower() == "class":
            message = "whole class A, B or C networks around this host's addresses may relay"
            yield place.remark("mynetworks_style", message, "set mynetworks, or mynetworks_style = host")


@check("ipv6-forgotten", Severity.WARNING, "IPv6 is served, and mynetworks has no IPv6 network")
def ipv6_forgotten(subject: Subject) -> Iterator[Remark]:
    """Programs that connect to `localhost` often come from [::1], and clients with both families prefer IPv6. If
    IPv6 is switched on by inet_protocols, inet_interfaces or the listener's address and mynetworks has IPv4
    networks only, they are told `Relay access denied`. Add `[::1]/128` and your IPv6 network."""
    for place in subject.servers:
        matches = subject.match_list(place, "mynetworks")
        if matches is None or matches.has_tables or not place.settings.defined("mynetworks") or not _wants_ipv6(place):
            continue
        families = {network.bits for item, network in matches.networks() if not item.negated}
        bad = any(isinstance(item, (BadNetworkItem, TableItem)) for item, _ in matches.items())
        if families == {32} and not bad:
            message = "no IPv6 network is trusted, though clients can come over IPv6"
            yield place.remark("mynetworks", message, "add [::1]/128 and your IPv6 network, or inet_protocols = ipv4")


def _wants_ipv6(place: Place) -> bool:
    protocols = place.text("inet_protocols").lower()
    if "ipv6" not in protocols and "all" not in protocols:
        return False
    interfaces = place.items("inet_interfaces")
    listener = place.service.name if place.service is not None else ""
    if "[" in listener or any(":" in item for item in interfaces):
        return True
    everywhere = not {item.lower() for item in interfaces} - {"all", "loopback-only"}
    return place.settings.defined("inet_protocols") and everywhere and ":" not in listener


@check("loopback-not-trusted", Severity.NOTE, "mynetworks lists clients, and not this host itself")
def loopback_not_trusted(subject: Subject) -> Iterator[Remark]:
    """Programs on this host that send by SMTP to 127.0.0.1 are strangers then, and may not relay. Where that is
    meant, disable this check; else add `127.0.0.0/8 [::1]/128`."""
    place = subject.main
    matches = subject.match_list(place, "mynetworks")
    if matches is None or matches.has_tables or not place.settings.defined("mynetworks"):
        return
    networks = [network for item, network in matches.networks() if not item.negated]
    loopback = parse_network("127.0.0.1")
    if any(network.bits == 32 for network in networks) and not any(each.contains(loopback) for each in networks):
        yield place.remark("mynetworks", "127.0.0.1 is in none of these networks", "add 127.0.0.0/8")


@check("name-in-mynetworks", Severity.NOTE, "mynetworks trusts clients by a name in DNS")
def name_in_mynetworks(subject: Subject) -> Iterator[Remark]:
    """A name in mynetworks trusts whoever the domain's DNS says, and while DNS does not answer nobody. With
    parent_domain_matches_subdomains all names below it are trusted, too. List addresses."""
    for place, parameter, item in _items(subject):
        named = isinstance(item, NameItem) and not isinstance(item, BadNetworkItem) and not _is_numbers(item.text)
        if parameter == "mynetworks" and named:
            message = f"{item}: clients are trusted by their name, which DNS gives them"
            yield place.remark(parameter, message, "list addresses or networks")


@check("network-in-indexed-table", Severity.WARNING, "a network as a key of a table that finds single addresses only")
def network_in_indexed_table(subject: Subject) -> Iterator[Remark]:
    """A `hash:` table in a list of addresses is asked for the client's full address and for nothing else: keys such
    as `192.168.1.0/24` or `192.168.1` match nobody. Use a `cidr:` table, or write the networks into the list."""
    for _, parameter, item in _items(subject):
        if not isinstance(item, TableItem) or split_spec(item.text)[0] not in INDEXED:
            continue
        for row in subject.rows(item.text) or ():
            if "/" in row.key or (_is_numbers(row.key) and "." in row.key):
                path = split_spec(item.text)[1]
                remedy = f"use cidr:{path}"
                message = f"{row.key} matches no client: {item} is asked for full addresses"
                yield Remark(path, row.line, parameter, message, remedy)


@check("xclient-for-many", Severity.ERROR, "XCLIENT is allowed to a wide network")
def xclient_for_many(subject: Subject) -> Iterator[Remark]:
    """Who may use XCLIENT can claim any client address, name and login, and with them the rights of every network
    and user. Only a single proxy in front of this server needs it. List its address."""
    for place, parameter, item in _items(subject):
        network = item.network()
        if parameter == "smtpd_authorized_xclient_hosts" and not item.negated and network is not None:
            loopback = parse_network("127.0.0.0/8").contains(network)
            if not loopback and network.bits - network.prefix > 8:
                message = f"all clients in {item} may claim to be anybody"
                yield place.remark(parameter, message, "list the addresses of your proxies")


@check("match-list-broken", Severity.ERROR, "a match list with an item that cannot be read")
def match_list_broken(subject: Subject) -> Iterator[Remark]:
    """`!` without a pattern behind it keeps Postfix, and Gatepost, from starting. Blanks may not stand between `!`
    and its pattern."""
    for place in (subject.main, *subject.servers):
        for parameter in ADDRESS_LISTS:
            words = place.items(parameter) if place.settings.defined(parameter) else []
            if any(word.strip("!") == "" for word in words):
                yield place.remark(parameter, "`!` has no pattern behind it", "write !192.168.87.1, without a blank")


