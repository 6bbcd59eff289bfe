"""Servers that are asked over a plain stream: `inet:host:port` and `unix:path`, for tcp, socketmap and memcache."""

import asyncio
import errno
import os
import socket

from gatepost.config.errors import ConfigError
from gatepost.tables.connection_pool import ConnectionFailure, ConnectionPool, NoConnection, PoolLimits
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.source import printable

# Octets that a server may send ahead of what is being read.
AHEAD = 1 << 18


class StreamConnection(asyncio.Protocol):
    """One connection. What goes wrong with it raises ConnectionFailure."""

    __slots__ = ("_data", "_lost", "_most", "_transport", "_waiter")

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = bytearray()
        self._most = AHEAD
        self._lost = ""  # why there is no more to come
        self._waiter: asyncio.Future[None] | None = None

    async def send(self, question: bytes) -> None:
        """Send a question. What came before it is no answer to it: then nothing on this connection can be trusted."""
        if self._data:
            raise ConnectionFailure(f"text that nobody asked for: {shown(self._data)}")
        if self._lost:
            raise ConnectionFailure(self._lost)
        self._transport.write(question)

    async def read_until(self, end: bytes, limit: int) -> bytes:
        """The octets up to `end`, without it: at most `limit`."""
        while (at := self._data.find(end)) < 0:
            if len(self._data) > limit:
                break
            await self._more()
        if not 0 <= at <= limit:
            raise ConnectionFailure(f"text longer than {limit}: {shown(self._data)}")
        return self._take(at + len(end))[:at]

    async def read_exactly(self, count: int) -> bytes:
        self._most = max(self._most, count + AHEAD)
        while len(self._data) < count:
            await self._more()
        return self._take(count)

    def close(self) -> None:
        self._transport.abort()

    def _take(self, count: int) -> bytes:
        taken = bytes(self._data[:count])
        del self._data[:count]
        return taken

    async def _more(self) -> None:
        if self._lost:
            raise ConnectionFailure(self._lost)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) > self._most:
            self._lost = self._lost or f"more than {self._most} octets: {shown(self._data)}"
            self._transport.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = self._lost or (_words(exc) if isinstance(exc, OSError) else "unexpected EOF")
        self._wake()


def shown(data: bytes | bytearray) -> str:
    """The beginning of what a server says, for the log."""
    return printable(bytes(data[:100]).decode("utf-8", "replace"))


def _words(error: OSError) -> str:
    """The system's word for it; asyncio has words of its own."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)


def parse_server(text: str) -> tuple[str, int, str]:
    """(host, port, "") of `inet:host:port`, ("", 0, path) of `unix:path`. Raises ConfigError."""
    kind, colon, rest = text.partition(":")
    if kind in ("unix", "local") and rest:
        return "", 0, rest
    if not colon or not rest:
        raise ConfigError(f'need service transport:endpoint instead of "{text}"')
    if kind != "inet":
        raise ConfigError(f"invalid transport name: {kind} in service: {text}")
    host, _, service = rest.rpartition(":")
    if not service:
        raise ConfigError(f"{rest}: missing service information")
    if service[0].isdigit() and not service.isdigit():
        raise ConfigError(f"{rest}: garbage after numerical service")
    return host.removeprefix("[").removesuffix("]") or "localhost", port_number(service), ""


def port_number(service: str) -> int:
    """A port by number or by its name in services(5). Raises ConfigError."""
    if service.isascii() and service.isdigit():
        if 0 < int(service) < 65536:
            return int(service)
        raise ConfigError(f"bad port: {service}")
    try:
        return socket.getservbyname(service, "tcp")
    except (OSError, UnicodeError):
        raise ConfigError(f"unknown service: {service}") from None


def stream_pool(
    env: TableEnvironment, kind: str, server: str, limits: PoolLimits, connect_to: str = ""
) -> ConnectionPool[StreamConnection]:
    """Connections to one server. `connect_to`: the words (and the server's name) of Postfix's own clients for a failure
    to connect. Raises ConfigError for a server that cannot be one.
    """
    host, port, path = parse_server(server)
    path = env.path(path) if path else ""

    async def connect(text: str) -> StreamConnection:
        loop = asyncio.get_running_loop()
        try:
            if path:
                _, connection = await loop.create_unix_connection(StreamConnection, path)
            else:
                _, connection = await loop.create_connection(StreamConnection, host, port)
        except socket.gaierror as error:
            if not connect_to:
                raise ConnectionFailure(_words(error)) from None
            env.warn(f"host or service {host}:{port} not found: {error.strerror}")
            raise ConnectionFailure(os.strerror(errno.EADDRNOTAVAIL)) from None
        except OSError as error:
            raise ConnectionFailure(_words(error)) from None
        return connection

    words = (lambda why: NoConnection(f"connect to {connect_to}: {why}", why)) if connect_to else None
    return ConnectionPool(env, kind, [(server, bool(path))], connect, limits, no_connection=words)
