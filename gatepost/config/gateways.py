"""The routers through which strangers reach this host, and whether it is a container: from Linux's own tables."""

import ipaddress
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gatepost.config.host_facts import IPAddress

_ROUTE_UP_GATEWAY = 0x3
# Made by Docker and by Podman in every container of theirs.
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


class Surroundings(NamedTuple):
    """`gateways` are the next hops of the default routes."""

    gateways: tuple[IPAddress, ...] = ()
    container: bool = False


def surroundings(
    read: Callable[[str], str] = lambda path: Path(path).read_text(encoding="ascii", errors="replace"),
    exists: Callable[[str], bool] = lambda path: Path(path).exists(),
) -> Surroundings:
    """Those of this host; without /proc there are none to be told."""
    found: list[IPAddress] = []
    for path, parse in (("/proc/net/route", parse_ipv4_routes), ("/proc/net/ipv6_route", parse_ipv6_routes)):
        try:
            found += parse(read(path))
        except OSError:
            continue
    return Surroundings(tuple(dict.fromkeys(found)), any(map(exists, _CONTAINER_MARKS)))


def parse_ipv4_routes(text: str) -> list[IPAddress]:
    """The gateways of the default routes in the text of /proc/net/route (numbers in the byte order of the machine)."""
    found: list[IPAddress] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or words[1] != "00000000" or words[7] != "00000000":
            continue
        if int(words[3], 16) & _ROUTE_UP_GATEWAY == _ROUTE_UP_GATEWAY:
            found.append(ipaddress.IPv4Address(struct.pack("=L", int(words[2], 16))))
    return found


def parse_ipv6_routes(text: str) -> list[IPAddress]:
    """The gateways of the default routes in the text of /proc/net/ipv6_route."""
    found: list[IPAddress] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 10 or words[0].strip("0") or words[1] != "00" or not words[4].strip("0"):
            continue
        if int(words[8], 16) & _ROUTE_UP_GATEWAY == _ROUTE_UP_GATEWAY:
            found.append(ipaddress.IPv6Address(bytes.fromhex(words[4])))
    return found
