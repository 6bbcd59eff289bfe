"""One connection to a policy server, and how it is made."""

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable

from gatepost.net.connect import ConnectFailure, connect_tcp
from gatepost.protocol.policy_reply import BadReply, ReplyReader

Warn = Callable[[str], None]

_FULL_QUEUE_PAUSE = 0.01
"""Seconds until a Unix socket whose queue of connections is full is tried again."""


class Trouble(Exception):
    """One try has failed; the message is the system's word, empty if it had none. What else there is to say has been
    told.
    """


def split_endpoint(text: str) -> tuple[str, str]:
    """`HOST:PORT`, `[ADDRESS]:PORT`, `:PORT`, `PORT`: host (empty: this host) and port."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host, port


class PolicyConnection(asyncio.Protocol):
    """At most one question at a time. `name` is the server's, for the log; `closed` is told when it is."""

    __slots__ = ("_answer", "_closed", "_reader", "expires", "name", "open", "requests", "transport", "used")

    transport: asyncio.Transport

    def __init__(self, name: str, closed: "Callable[[PolicyConnection], None]") -> None:
        self.name = name
        self.open = False
        self.requests = 0
        self.used = 0.0  # loop time of its last answer
        self.expires = 0.0
        self._closed = closed
        self._reader: ReplyReader | None = None
        self._answer: asyncio.Future[bytes] | None = None

    async def ask(self, request: bytes, limit: float, warn: Warn) -> bytes:
        """The value of `action`, within `limit` seconds. Raises Trouble."""
        loop = asyncio.get_running_loop()
        reader = self._reader = ReplyReader()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._answer = answer
        timer = loop.call_later(limit, self._settle, TimeoutError())
        self.transport.write(request)
        try:
            return await answer
        except BadReply as bad:
            warn(bad.complaint.format(self.name))
            raise Trouble("") from None
        except TimeoutError:
            self._tell(reader.broken_off("timeout"), warn)
            raise Trouble(os.strerror(errno.ETIMEDOUT)) from None
        except OSError as error:
            self._tell(reader.broken_off("premature end-of-input"), warn)
            raise Trouble(os.strerror(error.errno) if error.errno else "") from None
        finally:
            timer.cancel()
            self._reader = self._answer = None

    def _tell(self, complaint: str, warn: Warn) -> None:
        if complaint:
            warn(complaint.format(self.name))

    def _settle(self, result: bytes | Exception) -> None:
        answer = self._answer
        if answer is None or answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.open = True

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self.transport.abort()  # nobody has asked: whatever it is, it is no answer
            return
        try:
            action = self._reader.feed(data)
        except BadReply as bad:
            self._settle(bad)
            return
        if action is not None:
            self._settle(action)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._settle(exc if isinstance(exc, OSError) else OSError())
        self._closed(self)


async def connect_inet(connection: PolicyConnection, warn: Warn) -> None:
    """Connect to the host and port that are the server's name. Raises ConnectFailure."""
    failure = ConnectFailure(os.strerror(errno.EADDRNOTAVAIL))
    for address, port in await _addresses(connection.name, warn):
        try:
            await connect_tcp(connection, address, port, limit=0)
        except ConnectFailure as failed:
            failure = failed
        else:
            return
    raise failure


async def _addresses(name: str, warn: Warn) -> list[tuple[str, int]]:
    host, port = split_endpoint(name)
    try:
        return [(str(ipaddress.ip_address(host)), int(port))]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        words = error.strerror if isinstance(error, OSError) else str(error)
        warn(f"host or service {name} not found: {words}")
        return []
    return [(str(where[0]), int(where[1])) for _, _, _, _, where in found]


async def connect_unix(connection: PolicyConnection, path: str) -> None:
    """Connect to a Unix socket. Raises ConnectFailure."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        error = sock.connect_ex(path)
        while error == errno.EAGAIN:
            await asyncio.sleep(_FULL_QUEUE_PAUSE)
            error = sock.connect_ex(path)
        if error:
            raise OSError(error, os.strerror(error))
        await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=sock)
    except OSError as failed:
        sock.close()
        raise ConnectFailure(os.strerror(failed.errno) if failed.errno else str(failed)) from None
    except BaseException:
        sock.close()
        raise
