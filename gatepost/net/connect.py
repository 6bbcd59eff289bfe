"""Open a TCP connection to a numeric address, within a time limit."""

import asyncio
import os
import socket
from typing import TypeVar

P = TypeVar("P", bound=asyncio.Protocol)


class ConnectFailure(Exception):
    """No connection; the message is the system's word for it (`Connection refused`, `Connection timed out`)."""


async def connect_tcp(protocol: P, address: str, port: int, *, limit: float, bind_address: str = "") -> P:
    """Connect `protocol` to `address` (IPv4 or IPv6, numeric) and return it.

    `limit`: seconds, 0 for the system's own. `bind_address`: the source address, empty for any. Raises ConnectFailure.
    May be awaited without a task: what waits does so in a task of its own.
    """
    loop = asyncio.get_running_loop()
    try:
        sock = _open_socket(address, bind_address)
    except OSError as exc:
        raise ConnectFailure(_words(exc)) from exc
    try:
        await _connect(loop, sock, address, port, limit)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.create_connection(lambda: protocol, sock=sock)
    except OSError as exc:
        sock.close()
        raise ConnectFailure(_words(exc)) from exc
    except BaseException:
        sock.close()
        raise
    return protocol


def _open_socket(address: str, bind_address: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if bind_address:
            sock.bind((bind_address, 0))
    except OSError:
        sock.close()
        raise
    return sock


async def _connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, address: str, port: int, limit: float) -> None:
    task = loop.create_task(_sock_connect(loop, sock, address, port))
    expired = False

    def expire() -> None:
        nonlocal expired
        expired = True
        task.cancel()

    timer = loop.call_later(limit, expire) if limit > 0 else None
    try:
        await task
    except asyncio.CancelledError:
        if expired:
            raise TimeoutError from None
        task.cancel()
        raise
    finally:
        if timer is not None:
            timer.cancel()


async def _sock_connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, address: str, port: int) -> None:
    await loop.sock_connect(sock, (address, port))


def _words(exc: OSError) -> str:
    if isinstance(exc, TimeoutError):
        return "Connection timed out"
    return os.strerror(exc.errno) if exc.errno else str(exc) or type(exc).__name__
