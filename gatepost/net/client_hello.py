"""The name that a TLS client asks for, read before OpenSSL sees it.

OpenSSL asks which certificate to show in the middle of the handshake, and waits for the answer; who must ask another
server for that does so here, between the client's first message and the handshake.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gatepost.net.tls_failure import TlsFailure, lost_connection, too_slow

LONGEST = 64 * 1024
"""Octets after which a message that has no end is OpenSSL's affair."""

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0

Prepare = Callable[[str], Coroutine[Any, Any, None]]


class ClientHello:
    """The first message of a connection, as it comes: each octet is looked at once, however many pieces there are."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self._message = bytearray()
        self._read = 0  # octets of records that are in the message

    def feed(self, data: bytes) -> str | None:
        """The server_name (RFC 8446 4.1.2, RFC 6066 3). Empty: it has none, or is no ClientHello. None: it has not come
        to its end.
        """
        self.octets += data
        hopeful, message = self._take_records() and len(self.octets) <= LONGEST, self._message
        if message and message[0] != _CLIENT_HELLO:
            return ""
        if len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4]):
            return None if hopeful else ""
        try:
            return _name(memoryview(bytes(message))[4:])
        except IndexError:
            return ""

    def _take_records(self) -> bool:
        """False: there is one that is not of a handshake."""
        octets, at = self.octets, self._read
        while at < len(octets):
            if octets[at] != _HANDSHAKE:
                return False
            end = at + 5 + int.from_bytes(octets[at + 3 : at + 5])
            if len(octets) < max(end, at + 5):
                break
            self._message += octets[at + 5 : end]
            at = self._read = end
        return True


class _Reader:
    def __init__(self, octets: memoryview) -> None:
        self.octets = octets

    def take(self, length: int) -> memoryview:
        """Raises IndexError if there is less."""
        if len(self.octets) < length:
            raise IndexError
        taken, self.octets = self.octets[:length], self.octets[length:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def part(self, size: int) -> "_Reader":
        """What has its length before it, in a number of this size."""
        return _Reader(self.take(self.number(size)))


def _name(hello: memoryview) -> str:
    reader = _Reader(hello)
    reader.take(2 + 32)  # version and random
    reader.part(1)  # session
    reader.part(2)  # ciphers
    reader.part(1)  # compression
    extensions = reader.part(2)
    while extensions.octets:
        kind, extension = extensions.number(2), extensions.part(2)
        if kind == _SERVER_NAME:
            names = extension.part(2)
            return bytes(names.part(2).octets).decode("ascii", "replace") if names.number(1) == _HOST_NAME else ""
    return ""


class HelloReader(asyncio.Protocol):
    """Has the name of a ClientHello prepared, then calls `go_on` with all that was read and the seconds that are left.

    `fail` is called instead if the client goes away or is too slow, once; the connection is closed then, and `app` gets
    connection_lost, as from `start_tls`.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        app: asyncio.Protocol,
        prepare: Prepare,
        go_on: Callable[[bytes, float], object],
        fail: Callable[[TlsFailure], object],
    ) -> None:
        self._transport = transport
        self._app = app
        self._prepare = prepare
        self._go_on = go_on
        self._fail = fail
        self._hello = ClientHello()
        self._task: asyncio.Task[None] | None = None

    def read(self, first: bytes, limit: float) -> None:
        """Begin. `first`: what has been read already; `limit`: seconds, for the handshake as well."""
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(limit, self._too_slow)
        self._transport.set_protocol(self)
        self._transport.resume_reading()
        self.data_received(first)

    def data_received(self, data: bytes) -> None:
        if self._task is not None:
            self._hello.octets += data
            return
        name = self._hello.feed(data)
        if name is None:
            return
        self._transport.pause_reading()
        self._task = self._loop.create_task(self._prepared(name))

    async def _prepared(self, name: str) -> None:
        if name:
            await self._prepare(name)
        left = self._timer.when() - self._loop.time()
        self._timer.cancel()
        if not self._transport.is_closing():
            self._go_on(bytes(self._hello.octets), max(left, 1.0))

    def eof_received(self) -> bool:
        if self._task is None:
            self._end(lost_connection(None))
            self._transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(lost_connection(exc))
        self._app.connection_lost(exc)

    def _too_slow(self) -> None:
        self._end(too_slow())
        self._transport.abort()

    def _end(self, failure: TlsFailure) -> None:
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        fail, self._fail = self._fail, lambda failure: None
        fail(failure)
