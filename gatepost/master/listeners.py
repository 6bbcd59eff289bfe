"""Listening sockets: for master.cf's `inet` lines (master(5), inet_interfaces, inet_protocols).

master makes one SO_REUSEPORT socket per address and worker slot and keeps it: a crashed worker's successor gets the
same socket, so connections that wait in it survive.
"""

import os
import pwd
import socket
from dataclasses import dataclass, field
from pathlib import Path

from gatepost.config.errors import ConfigError
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.config.values import split_list

BACKLOG = 4096
"""Connections that may wait; the kernel caps it by net.core.somaxconn."""


@dataclass(frozen=True, slots=True)
class Address:
    """A numeric address and port to listen on."""

    family: int
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.family == socket.AF_INET6 else f"{self.host}:{self.port}"


@dataclass(slots=True)
class Listener:
    """One `inet` line with its addresses; `sockets[slot]` are the sockets of that worker slot, one per address."""

    service: Service
    addresses: list[Address]
    sockets: list[list[socket.socket]] = field(default_factory=list)


def split_host_port(name: str) -> tuple[str, str]:
    """`host:port`, `[v6]:port` or `port` of a service name."""
    if name.startswith("["):
        host, _, port = name[1:].partition("]")
        return host, port.lstrip(":")
    host, colon, port = name.rpartition(":")
    return (host, port) if colon else ("", name)


def port_number(text: str, settings: Settings) -> int:
    """A port by number, by known_tcp_ports, or by the services file; raises ValueError."""
    if text.isdigit() and int(text) < 65536:
        return int(text)
    for item in settings.known_tcp_ports.split(","):
        *names, number = [part.strip() for part in item.split("=")]
        if text in names and number.isdigit():
            return int(number)
    try:
        return socket.getservbyname(text, "tcp")
    except OSError:
        raise ValueError(f"unknown port: {text}") from None


def families(settings: Settings) -> list[int]:
    """Address families that inet_protocols names, as far as the kernel has them."""
    words = split_list(settings.inet_protocols.lower())
    wanted: list[int] = []
    if "all" in words or "ipv4" in words:
        wanted.append(socket.AF_INET)
    if ("all" in words or "ipv6" in words) and _has_ipv6():
        wanted.append(socket.AF_INET6)
    return wanted


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def addresses_of(service: Service, settings: Settings, master_cf: str) -> list[Address]:
    """Where an `inet` line listens; raises ConfigError for a name or port that means nothing."""
    host, port_text = split_host_port(service.name)
    try:
        port = port_number(port_text, settings)
    except ValueError as exc:
        raise ConfigError(str(exc), path=master_cf, line=service.line) from None
    known = families(settings)
    if host:
        return _resolve(host, port, known, master_cf, service.line)
    words = split_list(settings.inet_interfaces)
    found: list[Address] = []
    for word in words:
        if word.lower() == "all":
            found += [Address(family, "0.0.0.0" if family == socket.AF_INET else "::", port) for family in known]
        elif word.lower() == "loopback-only":
            found += [Address(family, "127.0.0.1" if family == socket.AF_INET else "::1", port) for family in known]
        else:
            found += _resolve(word.strip("[]"), port, known, settings_path(settings), 0)
    return list(dict.fromkeys(found))


def settings_path(settings: Settings) -> str:
    where = settings.where("inet_interfaces")
    return where[0] if where else "main.cf"


def _resolve(host: str, port: int, known: list[int], path: str, line: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as exc:
        raise ConfigError(f"host not found: {host}: {exc.strerror or exc}", path=path, line=line) from None
    except UnicodeError:  # a label that no name can have: getaddrinfo does not get as far as asking
        raise ConfigError(f"host not found: {host}: not a host name", path=path, line=line) from None
    addresses = [Address(family, str(where[0]), port) for family, _, _, _, where in found if family in known]
    if not addresses:
        raise ConfigError(f"{host} has no address of a kind that inet_protocols allows", path=path, line=line)
    return addresses


def open_socket(address: Address) -> socket.socket:
    """One bound, listening SO_REUSEPORT socket; raises OSError with the address in its text."""
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Those who connect have it from here: a reply must not wait until the one before it has arrived.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise OSError(exc.errno, f"cannot listen on {address}: {exc.strerror}") from None
    return sock


def open_unix_socket(path: str, mode: int, owner: pwd.struct_passwd | None, group: int | None = None) -> socket.socket:
    """A listening socket that outlives the process that serves it; an old file of the name is replaced."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        Path(path).chmod(mode)
        if owner is not None:
            os.chown(path, owner.pw_uid, owner.pw_gid if group is None else group)
        sock.listen(1024)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise ConfigError(
            f"cannot make the socket {path}: {exc.strerror}", parameter="gatepost_queue_directory"
        ) from exc
    return sock


def take_waiting(sock: socket.socket, limit: int = BACKLOG) -> list[socket.socket]:
    """The clients who wait in a listening socket that is about to be closed: they are connected, and would be reset."""
    clients: list[socket.socket] = []
    while len(clients) < limit:
        try:
            client, _ = sock.accept()
        except ConnectionAbortedError:
            continue
        except OSError:  # nobody waits any more, or there are no descriptors
            break
        client.setblocking(False)
        clients.append(client)
    return clients


def is_taken(address: Address) -> OSError | None:
    """SO_REUSEPORT would let a second server of the same user share the port unseen: try without it first."""
    with socket.socket(address.family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address.host, address.port))
            probe.listen(1)
        except OSError as exc:
            return exc
    return None


def open_listeners(
    services: list[Service], settings: Settings, slots: int, master_cf: str, kept: "list[Listener] | None" = None
) -> list[Listener]:
    """Bind every `inet ... smtpd` line; sockets of `kept` listeners (before a reload) are used again where the address
    is the same.
    """
    old: dict[Address, list[socket.socket]] = {}
    for listener in kept or ():
        for number, address in enumerate(listener.addresses):
            old[address] = [row[number] for row in listener.sockets]
    listeners: list[Listener] = []
    opened: list[socket.socket] = []
    try:
        for service in services:
            addresses = addresses_of(service, settings, master_cf)
            rows: list[list[socket.socket]] = [[] for _ in range(slots)]
            for number, address in enumerate(addresses):
                if address in old:
                    for row, sock in zip(rows, old[address], strict=True):
                        row.append(sock)
                    continue
                ours = any(known.port == address.port and known.family == address.family for known in old)
                if address.port and not ours and (taken := is_taken(address)):
                    raise ConfigError(
                        f"cannot listen on {address}: {taken.strerror}", path=master_cf, line=service.line
                    )
                for row in rows:
                    sock = open_socket(address)
                    opened.append(sock)
                    row.append(sock)
                    if not address.port:  # tests ask for any port: all slots share the one they got
                        address = Address(address.family, address.host, sock.getsockname()[1])
                        addresses[number] = address
            listeners.append(Listener(service, addresses, rows))
    except BaseException:
        for sock in opened:
            sock.close()
        raise
    used = {id(sock) for listener in listeners for row in listener.sockets for sock in row}
    for listener in kept or ():
        for row in listener.sockets:
            for sock in row:
                if id(sock) not in used:
                    sock.close()
    return listeners
