"""One question to one server: a UDP socket of its own (random source port), TCP where the reply was cut."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import TypeVar

from gatepost.dns.servers import Server

T = TypeVar("T")
# Returns None for datagrams that are not the answer: a forger may try, so we go on listening.
Accept = Callable[[bytes], T | None]

_RECEIVE_SIZE = 65536


async def ask_udp(server: Server, wire: bytes, accept: Accept[T], limit: float) -> T:
    """Send `wire`, wait for a datagram that `accept` takes. Raises OSError and TimeoutError (`limit` in seconds)."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    done: asyncio.Future[T] = loop.create_future()

    def readable() -> None:
        try:
            while not done.done():
                taken = accept(sock.recv(_RECEIVE_SIZE))
                if taken is not None:
                    done.set_result(taken)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as exc:
            if not done.done():
                done.set_exception(exc)

    def expired() -> None:
        if not done.done():
            done.set_exception(TimeoutError())

    try:
        # The kernel picks a random source port on connect; a connected socket hears this server only, and learns of
        # a closed port at once (ECONNREFUSED).
        sock.connect((server.address, server.port))
        sock.send(wire)
        loop.add_reader(sock.fileno(), readable)
        timer = loop.call_later(limit, expired)
        try:
            return await done
        finally:
            timer.cancel()
            loop.remove_reader(sock.fileno())
    finally:
        sock.close()


async def ask_tcp(server: Server, wire: bytes, accept: Accept[T], limit: float) -> T:
    """The same over TCP (RFC 7766). Raises OSError, TimeoutError."""
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_connection(server.address, server.port)
        try:
            writer.write(struct.pack("!H", len(wire)) + wire)
            while True:
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                taken = accept(await reader.readexactly(size))
                if taken is not None:
                    return taken
        except asyncio.IncompleteReadError as exc:
            raise ConnectionResetError("name server closed the connection") from exc
        finally:
            writer.close()
