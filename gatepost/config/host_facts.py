"""What the defaults of some parameters depend on: this host's name and addresses, and who runs the program."""

import ipaddress
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class Interface(NamedTuple):
    """An address of this host and the length of its network prefix."""

    address: IPAddress
    prefix_length: int


class HostFacts(Protocol):
    """Asked only for the parameters that need it. Must survive pickling."""

    def hostname(self) -> str:
        """gethostname(2)."""
        ...

    def interfaces(self) -> list[Interface]:
        """The addresses of all interfaces."""
        ...

    def addresses_of(self, name: str) -> list[IPAddress]:
        """The addresses of a host named in `inet_interfaces`; empty if there are none."""
        ...

    def process_id(self) -> int:
        """getpid(2)."""
        ...

    def state_directory(self) -> str:
        """Where an ordinary user's programs keep their state; '' for root."""
        ...


class ThisHost:
    """The real one."""

    __slots__ = ()

    def hostname(self) -> str:
        return socket.gethostname()

    def interfaces(self) -> list[Interface]:
        import ifaddr  # it loads ctypes and more, which commands that only read the queue need not wait for

        found = []
        for adapter in ifaddr.get_adapters():
            for item in adapter.ips:
                # IPv6 addresses come with flow label and zone.
                text = item.ip if isinstance(item.ip, str) else item.ip[0]
                found.append(Interface(ipaddress.ip_address(text.partition("%")[0]), item.network_prefix))
        return found

    def addresses_of(self, name: str) -> list[IPAddress]:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]

    def process_id(self) -> int:
        return os.getpid()

    def state_directory(self) -> str:
        if os.geteuid() == 0:
            return ""
        state = os.environ.get("XDG_STATE_HOME", "")
        # The XDG base directory specification: relative paths are to be ignored.
        return state if state.startswith("/") else str(Path(_home()) / ".local" / "state")


class FixedHost(NamedTuple):
    """A host made up for a test or for a question about another host's configuration."""

    name: str = "host.example"
    networks: tuple[str, ...] = ("127.0.0.1/8", "::1/128")
    names: Mapping[str, tuple[str, ...]] = {"localhost": ("127.0.0.1", "::1")}
    state: str = ""

    def hostname(self) -> str:
        return self.name

    def interfaces(self) -> list[Interface]:
        parsed = (ipaddress.ip_interface(text) for text in self.networks)
        return [Interface(interface.ip, interface.network.prefixlen) for interface in parsed]

    def addresses_of(self, name: str) -> list[IPAddress]:
        return [ipaddress.ip_address(text) for text in self.names.get(name, ())]

    def process_id(self) -> int:
        return 1

    def state_directory(self) -> str:
        return self.state


def _home() -> str:
    home = os.environ.get("HOME", "")
    if home.startswith("/"):
        return home
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"
