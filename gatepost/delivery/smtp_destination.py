"""The nexthop of the SMTP client: `domain`, `domain:port`, `[host]`, `[host]:port`, or a list of them."""

import re
import socket

import msgspec

from gatepost.mail.hostname import valid_hostaddr, valid_hostname

_SEPARATORS = re.compile(r"[,\s]+")


class Destination(msgspec.Struct, frozen=True):
    """One place to go. `text`: as given; `domain` without brackets; `use_mx`: MX records are looked up."""

    text: str
    domain: str
    port: int
    use_mx: bool


class BadDestination(ValueError):
    """The nexthop cannot be read; the message says why."""


def split_destinations(nexthop: str) -> tuple[str, ...]:
    """The items of a nexthop list (`a, b`), in their order."""
    if "," not in nexthop and " " not in nexthop:
        return (nexthop,) if nexthop else ()
    return tuple(item for item in _SEPARATORS.split(nexthop) if item)


def parse_destination(text: str, default_port: str, *, disable_dns_lookups: bool = False) -> Destination:
    """Read one destination. `default_port`: a number or a service name. Raises BadDestination."""
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
    return Destination(text, host, _port(port, text), use_mx and not disable_dns_lookups)


def _port(text: str, destination: str) -> int:
    if text.isascii() and text.isdigit():
        if 0 < int(text[:6]) < 65536:
            return int(text)
        raise BadDestination(f"unknown service: {text} in destination: {destination}")
    known = {"smtp": 25, "submission": 587, "submissions": 465, "smtps": 465}.get(text)
    if known is not None:
        return known
    try:
        return socket.getservbyname(text, "tcp")
    except (OSError, ValueError):
        raise BadDestination(f"unknown service: {text} in destination: {destination}") from None
