"""Servers that are asked over a plain stream: `inet:host:port` and `unix:path`, for tcp, socketmap and memcache."""

import asyncio
import os
import socket

from gatepost.config.errors import ConfigError
from gatepost.tables.connection_pool import ConnectionFailure, ConnectionPool, PoolLimits
from gatepost.tables.environment import TableEnvironment


class StreamConnection:
    """One connection. What goes wrong with it raises ConnectionFailure."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError as error:
            raise ConnectionFailure(_words(error)) from None

    async def read_until(self, end: bytes, limit: int) -> bytes:
        """The octets up to `end`, without it: at most `limit`."""
        try:
            data = await self._reader.readuntil(end)
        except asyncio.IncompleteReadError:
            raise ConnectionFailure("unexpected EOF") from None
        except asyncio.LimitOverrunError:
            raise ConnectionFailure(f"text longer than {limit}") from None
        except OSError as error:
            raise ConnectionFailure(_words(error)) from None
        if len(data) > limit:
            raise ConnectionFailure(f"text longer than {limit}")
        return data[: -len(end)]

    async def read_exactly(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except asyncio.IncompleteReadError:
            raise ConnectionFailure("unexpected EOF") from None
        except OSError as error:
            raise ConnectionFailure(_words(error)) from None

    def close(self) -> None:
        self._writer.transport.abort()


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
    host, _, service = rest.rpartition(":")
    if kind != "inet" or not colon or not service:
        raise ConfigError(f'need "inet:host:port" or "unix:path" instead of "{text}"')
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


def stream_pool(env: TableEnvironment, kind: str, server: str, limits: PoolLimits) -> ConnectionPool[StreamConnection]:
    """Connections to one server. Raises ConfigError for a server that cannot be one."""
    host, port, path = parse_server(server)
    path = env.path(path) if path else ""

    async def connect(text: str) -> StreamConnection:
        try:
            if path:
                reader, writer = await asyncio.open_unix_connection(path)
            else:
                reader, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            raise ConnectionFailure(_words(error)) from None
        return StreamConnection(reader, writer)

    return ConnectionPool(env, kind, [(server, bool(path))], connect, limits)
