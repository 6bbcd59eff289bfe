"""Taking clients from listening sockets as long as there are descriptors for them.

The event loops' own servers do not do for that: libuv, once a process has no descriptors left, accepts those who wait
and hangs up on them at once. Here they wait in the socket, and are served when a session has ended.
"""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Callable

from gatepost.master.listeners import take_waiting
from gatepost.net.stepping import carry_on

REST = 1.0
"""Seconds without new clients when there are no descriptors for them, unless a session ends before."""

WARN_INTERVAL = 60.0
"""The least number of seconds between two warnings."""

AT_ONCE = 64
"""Clients that are taken from one socket before the loop does something else."""

RESERVE = 64
"""Descriptors that are left for what sessions open: files, and connections to servers. Of few, a sixteenth."""

_NOBODY = frozenset((errno.EAGAIN, errno.EINTR, errno.ECONNABORTED))

Factory = Callable[[], asyncio.Protocol]


class Accepting:
    """The listening sockets of a process, or of one configuration in it. They belong to it and are closed with it."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.resting = False
        self._warn = warn
        self._warned = -WARN_INTERVAL
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[socket.socket, Factory] = {}
        self._beginning: set[object] = set()  # connections between their acceptance and their first turn
        self._rest_over: asyncio.TimerHandle | None = None

    def listen(self, sock: socket.socket, factory: Factory) -> None:
        """Serve those who come to this socket by what `factory` makes. Raises OSError."""
        sock.setblocking(False)
        self._sockets[sock] = factory
        if not self.resting:
            self._loop.add_reader(sock.fileno(), self._accept, sock)

    def session_gone(self) -> None:
        """There may be room again."""
        if self.resting:
            self._loop.call_soon(self._go_on)

    async def close(self) -> None:
        """Serve those who wait already, as far as there are descriptors, and no others."""
        self._end_rest()
        sockets, self._sockets = self._sockets, {}
        for sock, factory in sockets.items():
            self._loop.remove_reader(sock.fileno())
            for client in take_waiting(sock):
                self._serve(client, factory)
            sock.close()
        await asyncio.sleep(0)  # their protocols are told of their connections in this turn of the loop

    def _accept(self, sock: socket.socket) -> None:
        factory = self._sockets.get(sock)
        if factory is None:
            return
        highest = _highest()
        for _ in range(AT_ONCE):
            try:
                client, _ = sock.accept()
            except OSError as error:
                # What is none of `_NOBODY`'s may last: to be told of the client again and again would take all time.
                if error.errno not in _NOBODY:
                    self._rest(error.errno)
                return
            descriptor = client.fileno()
            self._serve(client, factory)
            if descriptor >= highest:
                self._rest(errno.EMFILE)
                return

    def _serve(self, client: socket.socket, factory: Factory) -> None:
        try:
            client.setblocking(False)
            made = self._loop.connect_accepted_socket(factory, client)
            carry_on(made, made.send(None), self._beginning)
        except Exception as fault:  # out of memory, as a rule
            client.close()
            self._loop.call_exception_handler({"message": "a client's connection", "exception": fault})

    def _rest(self, number: int | None) -> None:
        self.resting = True
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
        self._rest_over = self._loop.call_later(REST, self._look_again)
        now = self._loop.time()
        if now - self._warned >= WARN_INTERVAL:
            self._warned = now
            self._warn(f"accept connection: {os.strerror(number or 0)}")

    def _look_again(self) -> None:
        if self.resting and not self._go_on():
            self._rest_over = self._loop.call_later(REST, self._look_again)

    def _go_on(self) -> bool:
        """Whether we do."""
        if not self.resting or not _room():
            return False
        self._end_rest()
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._accept, sock)
        return True

    def _end_rest(self) -> None:
        self.resting = False
        if self._rest_over is not None:
            self._rest_over.cancel()


def _highest() -> int:
    """A new descriptor always has the lowest free number. From this one on they are kept for the sessions."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - 1 - min(RESERVE, limit // 16)


def _room() -> bool:
    try:
        lowest = os.open("/", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(lowest)
    return lowest <= _highest()
