"""Which name servers are asked: those of resolv.conf(5), re-read when it changes, or a fixed list."""

import ipaddress
import os
from collections.abc import Callable
from typing import Protocol

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list

DNS_PORT = 53
_PARAMETER = "gatepost_dns_servers"
_MAX_SERVERS = 3  # resolv.conf(5): MAXNS


class Server(msgspec.Struct, frozen=True):
    """One name server."""

    address: str
    port: int = DNS_PORT


class ServerSettings(msgspec.Struct, frozen=True):
    """Whom to ask, how long to wait for each (seconds), how many rounds over all of them.

    For who searches: the domains in which it is done (none given: the host's own), and how many dots a name has that is
    tried as it is before.
    """

    servers: tuple[Server, ...]
    timeout: float = 5.0
    attempts: int = 2
    rotate: bool = False
    search: tuple[str, ...] = ()
    ndots: int = 1


class ServerSource(Protocol):
    """Where the resolver learns whom to ask, anew for each question."""

    def settings(self) -> ServerSettings: ...


class FixedServers:
    """The servers of `gatepost_dns_servers`."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings

    def settings(self) -> ServerSettings:
        return self._settings


class ResolvConf:
    """resolv.conf(5), looked at again at most once a second and read again when it has changed.

    A missing or empty file means the server on this host, as for the C library.
    """

    def __init__(self, clock: Callable[[], float], path: str = "/etc/resolv.conf") -> None:
        self._clock = clock
        self._path = path
        self._next_check = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._settings = parse_resolv_conf("")

    def settings(self) -> ServerSettings:
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + 1.0
            self._reread()
        return self._settings

    def _reread(self) -> None:
        try:
            status = os.stat(self._path)  # noqa: PTH116 - one call, no object around it
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:
            # Gone for a moment while somebody writes it anew: what we know is better than nothing.
            return
        self._stamp = stamp
        self._settings = parse_resolv_conf(text)


def parse_resolv_conf(text: str) -> ServerSettings:
    """Read `nameserver`, `search`, `domain` and the options timeout, attempts, rotate, ndots. Bad lines are skipped,
    as in libc.
    """
    addresses: list[str] = []
    search: list[str] = []
    timeout, attempts, rotate, ndots = 5.0, 2, False, 1
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0][0] in "#;":
            continue
        if words[0] == "nameserver" and _is_address(words[1]) and len(addresses) < _MAX_SERVERS:
            addresses.append(words[1])
        elif words[0] in ("search", "domain"):  # the last one counts
            search = [domain.rstrip(".").lower() for domain in (words[1:] if words[0] == "search" else words[1:2])]
        elif words[0] == "options":
            for option in words[1:]:
                key, _, value = option.partition(":")
                if key == "timeout" and value.isdecimal():
                    timeout = float(min(max(int(value), 1), 30))
                elif key == "attempts" and value.isdecimal():
                    attempts = min(max(int(value), 1), 5)
                elif key == "ndots" and value.isdecimal():
                    ndots = min(int(value), 15)
                elif key == "rotate":
                    rotate = True
    servers = tuple(Server(a) for a in addresses or ["127.0.0.1"])
    return ServerSettings(servers, timeout, attempts, rotate, tuple(search), ndots)


def parse_servers(text: str) -> ServerSettings:
    """Read gatepost_dns_servers: `ADDR`, `ADDR:PORT`, `[ADDR6]:PORT`, blanks or commas between. Raises ConfigError."""
    servers: list[Server] = []
    for item in split_list(text):
        address, port = item, str(DNS_PORT)
        if item.startswith("["):
            address, bracket, rest = item[1:].partition("]")
            port = rest[1:] if rest.startswith(":") else port if bracket and not rest else ""
        elif item.count(":") == 1:
            address, _, port = item.partition(":")
        if not _is_address(address) or not (port.isdecimal() and port.isascii() and 0 < int(port) < 65536):
            raise ConfigError(f"bad name server address: {item}", parameter=_PARAMETER)
        servers.append(Server(address, int(port)))
    if not servers:
        raise ConfigError("no name server given", parameter=_PARAMETER)
    return ServerSettings(tuple(servers))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
