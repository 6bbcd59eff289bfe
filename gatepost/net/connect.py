"""Open a connection to a numeric address, or to a Unix socket, within a time limit."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import TypeVar

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectFailure(Exception):
    """No connection; the message is the system's word for it (`Connection refused`, `Connection timed out`)."""


class BindFailure(ConnectFailure):
    """The source address cannot be taken."""


async def connect_tcp(protocol: P, address: str, port: int, *, limit: float, bind_address: str = "") -> P:
    """Connect `protocol` to `address` (IPv4 or IPv6, numeric) and return it.

    `limit`: seconds, 0 for the system's own. `bind_address`: the source address, empty for any. Raises ConnectFailure;
    BindFailure if that is the reason.
    """
    loop = asyncio.get_running_loop()
    with _socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        if bind_address:
            try:
                sock.bind((bind_address, 0))
            except OSError as exc:
                raise BindFailure(_words(exc)) from exc
        await _connect(loop, sock, (address, port), limit)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.create_connection(lambda: protocol, sock=sock)
    return protocol


async def connect_unix(protocol: P, path: str, *, limit: float) -> P:
    """As connect_tcp, to the Unix socket at `path`."""
    loop = asyncio.get_running_loop()
    with _socket(socket.AF_UNIX) as sock:
        await _connect(loop, sock, path, limit)
        await loop.create_unix_connection(lambda: protocol, sock=sock)
    return protocol


@contextlib.contextmanager
def _socket(family: socket.AddressFamily) -> Iterator[socket.socket]:
    """A socket to be connected; it is closed if that fails. What the system says becomes ConnectFailure."""
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as exc:
        raise ConnectFailure(_words(exc)) from exc
    try:
        yield sock
    except OSError as exc:
        sock.close()
        raise ConnectFailure(_words(exc)) from exc
    except BaseException:
        sock.close()
        raise


async def _connect(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, address: tuple[str, int] | str, limit: float
) -> None:
    """connect(2) with a limit; raises OSError, TimeoutError."""
    # No loop.sock_connect and no asyncio.timeout: the caller may be stepped without a task.
    error = sock.connect_ex(address)
    if error == errno.EINPROGRESS:
        done: asyncio.Future[None] = loop.create_future()
        loop.add_writer(sock.fileno(), _settle, done, None)
        timer = loop.call_later(limit, _settle, done, TimeoutError()) if limit > 0 else None
        try:
            await done
        finally:
            loop.remove_writer(sock.fileno())
            if timer is not None:
                timer.cancel()
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _words(exc: OSError) -> str:
    if isinstance(exc, TimeoutError):
        return os.strerror(errno.ETIMEDOUT)
    return os.strerror(exc.errno) if exc.errno else str(exc) or type(exc).__name__
