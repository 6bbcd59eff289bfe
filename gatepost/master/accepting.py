"""Taking clients from listening sockets as long as there are descriptors for them.

The event loop's own servers take a client for half of what it costs here, but:

- libuv, once a process has no descriptors left, accepts those who wait and hangs up on them at once. So its servers are
  used only while there are plenty of descriptors. Then clients are taken here, as long as there are any; others wait in
  the socket until a session has ended.
- uvloop's take one client per turn of the loop. Of many who come together each would have turns of its own, and commits
  of its own: with 50 sessions that made 4 messages per commit, not 8, and cost a sixth more. So while several come at
  a time, those who wait behind the one that a server has taken are taken here, in the same turn.
"""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Callable

from gatepost.master.listeners import BACKLOG, take_waiting
from gatepost.net.company import Company
from gatepost.net.stepping import carry_on, carry_out_taskless

REST = 1.0
"""Seconds without new clients when there are no descriptors for them, unless a session ends before."""

WARN_INTERVAL = 60.0
"""The least number of seconds between two warnings."""

AT_ONCE = 64
"""Clients that are taken from one socket before the loop does something else, or that come between two looks at what
is free.
"""

PLENTY = 2 * BACKLOG
"""Free descriptors with which the loop's own servers may take clients: most take all who wait, and those who come
meanwhile, before anybody can stop them.
"""

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
        self._servers: list[asyncio.AbstractServer] = []
        self._plenty = False  # it is the servers that take clients
        self._until_look = AT_ONCE
        self._company = Company()
        self._beginning: set[object] = set()  # connections between their acceptance and their first turn
        self._rest_over: asyncio.TimerHandle | None = None

    def listen(self, sock: socket.socket, factory: Factory) -> None:
        """Serve those who come to this socket by what `factory` makes. Raises OSError."""
        sock.setblocking(False)
        self._sockets[sock] = self._counting(factory)
        if len(self._sockets) == 1:
            self._plenty = _room(PLENTY)
        if not self.resting:
            self._take(sock)

    def session_gone(self) -> None:
        """There may be room again."""
        if self.resting:
            self._loop.call_soon(self._go_on)

    async def close(self) -> None:
        """Serve those who wait already, as far as there are descriptors, and no others."""
        self._end_rest()
        self._pause()
        sockets, self._sockets = self._sockets, {}
        for sock, factory in sockets.items():
            for client in take_waiting(sock):
                self._serve(client, factory)
            sock.close()
        await asyncio.sleep(0)  # their protocols are told of their connections in this turn of the loop

    def _counting(self, factory: Factory) -> Factory:
        """What is free is looked at now and then: that costs as much as a small part of a session."""

        def make() -> asyncio.Protocol:
            self._until_look -= 1
            if not self._until_look:
                self._until_look = AT_ONCE
                self._loop.call_soon(self._look)
            return factory()

        return make

    def _look(self) -> None:
        if self.resting or _room(PLENTY) is self._plenty:
            return
        self._pause()
        self._plenty = not self._plenty
        for sock in self._sockets:
            self._take(sock)

    def _take(self, sock: socket.socket) -> None:
        try:
            servers_own = sock.dup() if self._plenty else None
        except OSError:  # the whole system has none
            servers_own = None
        if servers_own is None:
            self._loop.add_reader(sock.fileno(), self._accept, sock)
        else:
            carry_out_taskless(self._leave_to_server(servers_own, sock), self._beginning)

    async def _leave_to_server(self, servers_own: socket.socket, sock: socket.socket) -> None:
        """The server closes the socket. Nothing is waited for before `_pause` can find it."""
        factory = self._sockets[sock]

        def taken() -> asyncio.Protocol:
            if self._company.expected:
                self._loop.call_soon(self._take_others, sock)
            else:
                self._company.came(self._loop.time())
            return factory()

        server = await self._loop.create_server(taken, sock=servers_own, backlog=BACKLOG, start_serving=False)
        self._servers.append(server)
        await server.start_serving()

    def _take_others(self, sock: socket.socket) -> None:
        """Those who came with the one that a server has taken."""
        self._company.had(self._accept(sock) > 0)

    def _pause(self) -> None:
        """Take nobody for now."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def _accept(self, sock: socket.socket) -> int:
        """How many clients have been taken."""
        factory = self._sockets.get(sock)
        if factory is None or self.resting:
            return 0
        highest = _highest()
        for count in range(AT_ONCE):
            try:
                client, _ = sock.accept()
            except OSError as error:
                # What is none of `_NOBODY`'s may last: to be told of the client again and again would take all time.
                if error.errno not in _NOBODY:
                    self._rest(error.errno)
                return count
            descriptor = client.fileno()
            self._serve(client, factory)
            if descriptor >= highest:
                self._rest(errno.EMFILE)
                return count + 1
        return AT_ONCE

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
        self._pause()
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
        if not self.resting or not _room(0):
            return False
        self._end_rest()
        for sock in self._sockets:
            self._take(sock)
        return True

    def _end_rest(self) -> None:
        self.resting = False
        if self._rest_over is not None:
            self._rest_over.cancel()


def _highest() -> int:
    """A new descriptor always has the lowest free number. From this one on they are kept for the sessions."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return limit - 1 - min(RESERVE, limit // 16)


def _room(spare: int) -> bool:
    """For one more client, and so many more."""
    try:
        lowest = os.open("/", os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    os.close(lowest)
    return lowest + spare <= _highest()
