"""The open sessions of a process: how many there may be, who waits for one, and their end."""

import asyncio
from collections.abc import Callable
from typing import cast

from gatepost.master.load import ListenerLoad
from gatepost.smtpd.connection import SmtpConnection
from gatepost.smtpd.environment import ServerEnvironment

DRAIN_PATIENCE = 3600.0
"""Seconds that sessions of an earlier configuration may go on."""

STOP_PATIENCE = 5.0
"""Seconds that a stopping process gives to what is under way."""

LOOK_AGAIN = 0.1
"""Seconds between two looks whether another worker has given a session back."""

EARLY = 64 * 1024
"""Octets that are read of a client who speaks before it is greeted."""


class OpenSessions(set[SmtpConnection]):
    """A set that tells how many there are, and when a session, and when the last one, has gone."""

    def __init__(self, load: ListenerLoad, gone: Callable[[], None]) -> None:
        super().__init__()
        self.empty = asyncio.Event()
        self._load = load
        self._gone = gone

    def discard(self, session: object, /) -> None:
        super().discard(session)
        self._load.count(len(self))
        self._gone()
        if not self:
            self.empty.set()

    def add(self, session: SmtpConnection, /) -> None:
        super().add(session)
        self._load.count(len(self))
        self.empty.clear()


class WaitingClient(asyncio.Protocol):
    """A client for whom the listener has no session left: it is not greeted before there is one, as with Postfix."""

    transport: asyncio.Transport

    def __init__(self, connections: "Connections", make: Callable[[], SmtpConnection]) -> None:
        self._connections = connections
        self._make = make
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.wait(self)

    def data_received(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > EARLY:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.waiting.pop(self, None)
        self._connections.on_gone()

    def serve(self) -> None:
        """Its turn has come."""
        connection = self._make()
        self.transport.set_protocol(connection)
        connection.connection_made(self.transport)
        if self._early:
            connection.data_received(self._early)
            self.transport.resume_reading()


class Connections:
    """The open sessions of a listener in this process, and what they wait for. `load` is told of each.

    `on_gone` is called when a client has gone.
    """

    def __init__(self, load: ListenerLoad, on_gone: Callable[[], None] = lambda: None) -> None:
        self.stressed = load.stressed
        self.on_gone = on_gone
        self.open = OpenSessions(load, self._session_gone)
        self.tasks: set[object] = set()
        self.waiting: dict[WaitingClient, None] = {}
        self._load = load
        self._loop = asyncio.get_running_loop()
        self._looking = False

    def factory(self, env: ServerEnvironment) -> Callable[[], asyncio.Protocol]:
        loop, load = self._loop, self._load

        def make() -> SmtpConnection:
            return SmtpConnection(env, loop, self.open, self.tasks)

        return lambda: WaitingClient(self, make) if load.full() else make()

    def wait(self, client: WaitingClient) -> None:
        self.waiting[client] = None
        if not self._looking:
            self._looking = True
            self._loop.call_later(LOOK_AGAIN, self._look)

    def _session_gone(self) -> None:
        self._admit()
        self.on_gone()

    def _look(self) -> None:
        """Other workers give sessions back, too, and do not tell."""
        self._admit()
        self._looking = bool(self.waiting)
        if self._looking:
            self._loop.call_later(LOOK_AGAIN, self._look)

    def _admit(self) -> None:
        while self.waiting and not self._load.full():
            client = next(iter(self.waiting))
            del self.waiting[client]
            client.serve()

    async def gone(self, hurry: Callable[[], bool]) -> None:
        """Until every session has ended: in its own time; once `hurry` says so, as soon as no message is under way."""
        loop = self._loop
        end = loop.time() + DRAIN_PATIENCE
        hurried = False
        while (self.open or self.waiting) and loop.time() < end:
            if hurry():
                if not hurried:
                    hurried, end = True, loop.time() + STOP_PATIENCE
                    self._turn_away()
                for connection in [c for c in self.open if c.session.transaction is None]:
                    connection.shut_down()
            try:
                await asyncio.wait_for(self.open.empty.wait(), 0.1 if hurried else 1.0)
            except TimeoutError:
                pass
        self._turn_away()
        for connection in list(self.open):
            connection.shut_down()

    def _turn_away(self) -> None:
        for client in list(self.waiting):
            client.transport.abort()
        self.waiting.clear()
