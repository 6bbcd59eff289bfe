"""The nexthop of the SMTP client: `domain`, `domain:port`, `[host]`, `[host]:port`, or a list of them."""

import re
import socket

import msgspec

from gatepost.mail.hostname import valid_hostaddr, valid_hostname

_SEPARATORS = re.compile(r"[,\s]+")


class Destination(msgspec.Struct, frozen=True):
    """One place to go. `text`: as given; `domain` without brackets; `use_mx`: MX records are looked up; `service`: SRV
    records of that service are, first of all.
    """

    text: str
    domain: str
    port: int
    use_mx: bool
    service: str = ""


class BadDestination(ValueError):
    """The nexthop cannot be read; the message says why."""


def split_destinations(nexthop: str) -> tuple[str, ...]:
    """The items of a nexthop list (`a, b`), in their order."""
    if "," not in nexthop and " " not in nexthop:
        return (nexthop,) if nexthop else ()
    return tuple(item for item in _SEPARATORS.split(nexthop) if item)


def split_lmtp_destinations(nexthop: str) -> tuple[str, ...]:
    """As split_destinations, of a next hop of lmtp(8) that is no socket."""
    return split_destinations(nexthop.removeprefix("inet:"))


def host_and_port(destination: str) -> tuple[str, str]:
    """A destination without its brackets (and `ipv6:` in them), and its port as written, empty if it has none.

    It need not be one that can be read. Sockets (`/path`, `unix:/path`) and bare IPv6 addresses stay as they are.
    """
    if destination.startswith("["):
        host, _, rest = destination[1:].partition("]")
        return host[5:] if host[:5].lower() == "ipv6:" else host, rest.removeprefix(":")
    if destination.count(":") == 1 and "/" not in destination:
        host, _, port = destination.partition(":")
        return host, port
    return destination, ""


def domain_of(destination: str) -> str:
    """A destination as match lists have it: without brackets and port."""
    return host_and_port(destination)[0]


def known_ports(text: str) -> tuple[tuple[str, int], ...]:
    """The pairs of a known_tcp_ports value: `smtps=submissions=465, submission=587`. What makes no sense is no pair."""
    found: list[tuple[str, int]] = []
    for item in text.split(","):
        *names, number = (part.strip() for part in item.split("="))
        if number.isascii() and number.isdigit():
            found += ((name, int(number[:6])) for name in names)
    return tuple(found)


KNOWN_PORTS = known_ports("lmtp=24, smtp=25, smtps=submissions=465, submission=587")


def parse_destination(
    text: str,
    default_port: str,
    *,
    disable_dns_lookups: bool = False,
    known_ports: tuple[tuple[str, int], ...] = KNOWN_PORTS,
    srv: frozenset[str] = frozenset(),
) -> Destination:
    """Read one destination. `default_port`: a number or a service name, which known_tcp_ports (`known_ports`) or the
    services file has. `srv`: services that have SRV records (use_srv_lookup). Raises BadDestination.
    """
    port = default_port
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not host or (rest and not rest.startswith(":")):
            raise BadDestination(f"bad destination: {text}")
        if rest:
            port = rest[1:]
        use_mx = False
    else:
        host, colon, after = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
        if colon:
            port = after
        use_mx = True
    if host.lower().startswith("ipv6:"):
        host = host[5:]
    if not host:
        raise BadDestination(f"bad destination: {text}")
    if not (valid_hostaddr(host) or valid_hostname(host) or not host.isascii()):
        raise BadDestination(f"valid hostname or network address required in destination: {text}")
    use_mx = use_mx and not disable_dns_lookups
    service = port if use_mx and port.lower() in srv else ""
    return Destination(text, host, _port(port, text, known_ports), use_mx, service)


def _port(text: str, destination: str, known_ports: tuple[tuple[str, int], ...]) -> int:
    if text.isascii() and text.isdigit():
        if 0 < int(text[:6]) < 65536:
            return int(text)
        raise BadDestination(f"unknown service: {text} in destination: {destination}")
    for name, port in known_ports:
        if name == text and 0 < port < 65536:
            return port
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise BadDestination(f"unknown service: {text} in destination: {destination}") from None
