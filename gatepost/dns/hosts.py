"""The hosts file, hosts(5): names of addresses that DNS is not asked about."""

import ipaddress
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any


class HostsFile:
    """/etc/hosts, looked at again at most once a second (`clock`: monotonic seconds), read again when it changed.

    A file that is missing is empty. Lines without a valid address are skipped, as by the C library.
    """

    def __init__(self, clock: Callable[[], float], path: str = "/etc/hosts") -> None:
        self._clock = clock
        self._path = path
        self._next_check = float("-inf")
        self._stamp: tuple[int, int, int] | None = None
        self._names: dict[str, str] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, Any] = {}

    def kept(self) -> dict[str, Any]:
        """What others have worked out from the file alone, by address: empty again whenever the file is read anew."""
        self._refresh()
        return self._kept

    def name(self, address: str) -> str | None:
        """The canonical name (first name of the first line) of `address`, None if it is not in the file."""
        self._refresh()
        return self._names.get(canonical_address(address))

    def addresses(self, name: str) -> tuple[str, ...]:
        """All addresses of `name`, IPv4 and IPv6, in the order of the file."""
        self._refresh()
        return self._addresses.get(name.rstrip(".").lower(), ())

    def _refresh(self) -> None:
        now = self._clock()
        if now < self._next_check:
            return
        self._next_check = now + 1.0
        try:
            status = os.stat(self._path)  # noqa: PTH116 - one call, no object around it
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp == self._stamp:
                return
            text = Path(self._path).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            self._stamp, self._names, self._addresses, self._kept = None, {}, {}, {}
            return
        except OSError:
            return
        self._stamp = stamp
        self._names, self._addresses = parse_hosts(text)
        self._kept = {}


def parse_hosts(text: str) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Read hosts(5) text: canonical name by address, addresses by lower-case name."""
    names: dict[str, str] = {}
    addresses: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) < 2:
            continue
        address = canonical_address(words[0])
        if not address:
            continue
        names.setdefault(address, words[1])
        for word in words[1:]:
            name = word.rstrip(".").lower()
            if address not in addresses.get(name, ()):
                addresses[name] = (*addresses.get(name, ()), address)
    return names, addresses


@lru_cache(maxsize=10_000)  # 5 us a call otherwise, several calls a connection
def canonical_address(text: str) -> str:
    """The shortest text of an IP address, without its scope; the empty string if it is none."""
    try:
        return str(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return ""
