"""`tcp:` and `socketmap:` tables: a server is asked over a connection (tcp_table(5), socketmap_table(5))."""

import re
from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.values import parse_time
from gatepost.tables.asking import in_own_task
from gatepost.tables.connection_pool import (
    ConnectionFailure,
    ConnectionPool,
    NoAnswer,
    NotReached,
    PoolLimits,
    QuestionFailure,
    Shared,
)
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.source import printable
from gatepost.tables.stream_server import StreamConnection, stream_pool
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure

# Octets of a reply: Postfix's fixed limits.
TCP_REPLY_LIMIT = 4096
SOCKETMAP_REPLY_LIMIT = 100_000

CONNECTIONS = 20

# Time for one question. Postfix has no parameter for its 100 seconds.
TIMEOUT_PARAMETER = "gatepost_table_timeout"
DEFAULT_TIMEOUT = "100s"

_PLAIN = frozenset(range(0x21, 0x7F)) - {ord("%")}
_HEX = re.compile(rb"%([0-9A-Fa-f]{2})?")


class GarbledReply(ConnectionFailure):
    """An answer that is none: what comes after it cannot be trusted either."""


def percent_encode(text: str) -> bytes:
    """Octets beyond printing ASCII, blanks and `%` as `%XX`."""
    return b"".join(b"%c" % octet if octet in _PLAIN else b"%%%02X" % octet for octet in text.encode())


def percent_decode(data: bytes) -> str:
    """Raises ValueError for a `%` without two hexadecimal digits, and for what is not UTF-8."""

    def octet(found: re.Match[bytes]) -> bytes:
        if found.group(1) is None:
            raise ValueError("bad % encoding")
        return bytes((int(found.group(1), 16),))

    return _HEX.sub(octet, data).decode()


class _Asked:
    """What the two types share: whole keys as they are, and three answers."""

    __slots__ = ("_pool", "_warn", "fixed", "name")

    def __init__(self, name: str, pool: ConnectionPool[StreamConnection], warn: Callable[[str], None]) -> None:
        self.name = name
        self.fixed = False
        self._pool = pool
        self._warn = warn

    async def lookup(self, key: str) -> str | None:
        try:
            value = await in_own_task(self._pool.ask(lambda connection: self._ask(connection, key)))
        except NoAnswer as failure:
            if isinstance(failure, NotReached):
                self._not_reached(str(failure))
            raise LookupTemporaryFailure(self.name, key, str(failure)) from None
        if value == "":
            raise EmptyResult(self.name, key)
        return value

    def _not_reached(self, reason: str) -> None:
        """Tell of it, besides what the connection has told."""

    async def _ask(self, connection: StreamConnection, key: str) -> str | None:
        raise NotImplementedError


class TcpTable(_Asked):
    """`tcp:host:port`."""

    __slots__ = ()

    async def _ask(self, connection: StreamConnection, key: str) -> str | None:
        await connection.send(b"get " + percent_encode(key) + b"\n")
        reply = await connection.read_until(b"\n", TCP_REPLY_LIMIT)
        status, blank, text = reply.removesuffix(b"\r").partition(b" ")
        shown = printable(reply[:100].decode("utf-8", "replace"))
        if not blank or len(status) != 3 or not status.isdigit():
            raise GarbledReply(f"malformed reply: {shown}")
        if status == b"500":
            return None
        try:
            decoded = percent_decode(text.lstrip(b" \t"))
        except ValueError:
            raise GarbledReply(f"malformed reply: {shown}") from None
        if status == b"200":
            return decoded
        if status == b"400":
            raise QuestionFailure(f"temporary error: {printable(decoded)}")
        raise GarbledReply(f"bad status code: {shown}")


class SocketmapTable(_Asked):
    """`socketmap:inet:host:port:name`, `socketmap:unix:path:name`."""

    __slots__ = ("_map",)

    def __init__(
        self, name: str, pool: ConnectionPool[StreamConnection], map_name: str, warn: Callable[[str], None]
    ) -> None:
        super().__init__(name, pool, warn)
        self._map = map_name

    def _not_reached(self, reason: str) -> None:
        self._warn(f"table {self.name} lookup error: {reason}")

    async def _ask(self, connection: StreamConnection, key: str) -> str | None:
        request = f"{self._map} {key}".encode()
        await connection.send(b"%d:%s," % (len(request), request))
        status, blank, text = (await read_netstring(connection, SOCKETMAP_REPLY_LIMIT)).partition(" ")
        if status == "OK":
            return text if blank else None
        if status == "NOTFOUND":
            return None
        kind = {"TEMP": "temporary", "TIMEOUT": "timeout", "PERM": "permanent"}.get(status)
        if kind is None:
            raise GarbledReply("socketmap server unknown error")
        raise QuestionFailure(f"{self.name} socketmap server {kind} error: {printable(text[:200])}")


async def read_netstring(connection: StreamConnection, limit: int) -> str:
    """The text of one netstring of at most `limit` octets. Raises ConnectionFailure."""
    digits = await connection.read_until(b":", len(str(limit)) + 1)
    if not digits.isdigit() or int(digits) > limit:
        raise GarbledReply(f"netstring length error: {printable(digits.decode('latin-1'))}")
    data = await connection.read_exactly(int(digits) + 1)
    if data[-1:] != b",":
        raise GarbledReply("netstring format error")
    try:
        return data[:-1].decode()
    except UnicodeDecodeError:
        raise GarbledReply("a reply that is not UTF-8") from None


def opener(env: TableEnvironment, shared: Shared) -> Callable[[str], TcpTable | SocketmapTable]:
    """Opens tables by their names. They raise ConfigError. Tables of one server share its connections."""
    try:
        timeout = parse_time(env.parameter(TIMEOUT_PARAMETER) or DEFAULT_TIMEOUT, "s")
    except ValueError as error:
        raise ConfigError(str(error), parameter=TIMEOUT_PARAMETER) from None
    limits = PoolLimits(connections=CONNECTIONS, timeout=timeout)

    def pool(kind: str, server: str) -> ConnectionPool[StreamConnection]:
        place = server.partition(":")[2]
        connect_to = f"TCP map {place}" if kind == "tcp" else place
        return shared.get((kind, server), lambda: stream_pool(env, kind, server, limits, connect_to))

    def open_table(name: str) -> TcpTable | SocketmapTable:
        kind, _, server = name.partition(":")
        if kind == "tcp":
            return TcpTable(name, pool(kind, f"inet:{server}"), env.warn)
        server, colon, map_name = server.rpartition(":")
        if not colon or not map_name:
            raise ConfigError(f"{kind} requires server:socketmap argument")
        return SocketmapTable(name, pool(kind, server), map_name, env.warn)

    return open_table
