"""Connections to policy servers, kept open and shared by the sessions of a worker (attr_clnt(3), auto_clnt(3)).

Each question has a connection to itself until it is answered. A transaction keeps its connection for the questions that
may follow, as a policy server may expect (SMTPD_POLICY_README, `instance`); when there are as many connections as
there may be, a transaction that does not ask at this moment has to part with its own.
"""

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from gatepost.net.connect import ConnectFailure
from gatepost.net.policy_connection import PolicyConnection, Trouble, Warn, connect_inet, connect_unix

# What the system says when a server is just being started anew: told only if the last try ends so.
_PASSING = frozenset(("", *map(os.strerror, (errno.EPIPE, errno.ENOENT, errno.ECONNRESET))))
_NOTHING_SAID = "Application error"
"""Postfix's word where the system reported no error."""


class PolicyTimes(msgspec.Struct, frozen=True):
    """How one server is asked. Times are seconds: `timeout` to connect, and to get an answer; `max_idle`, `max_ttl` of
    a connection that nobody uses, and of any; `retry_delay` between tries. `request_limit` is that of one connection,
    0 = none.
    """

    timeout: float = 100
    max_idle: float = 300
    max_ttl: float = 1000
    retry_delay: float = 1
    request_limit: int = 0
    try_limit: int = 2


class Leases:
    """The connections that one transaction has used. `end` when it is over."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[PolicyPool, PolicyConnection] = {}

    def end(self) -> None:
        for pool, connection in self.held.items():
            pool.free(connection)
        self.held.clear()


class PolicyPool:
    """The connections of this process to one server. `endpoint` is `HOST:PORT`, `PORT`, or a socket's path."""

    def __init__(self, endpoint: str, *, unix_path: str, times: PolicyTimes, limit: int) -> None:
        self.name = endpoint
        self._unix_path = unix_path
        self.times = times
        self.limit = limit
        self.loop: asyncio.AbstractEventLoop
        self._connections: set[PolicyConnection] = set()
        self._connecting = 0
        self._idle: list[PolicyConnection] = []
        self._leased: dict[PolicyConnection, Leases] = {}  # whose transaction does not ask now; the oldest first
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._sweeping = False

    async def ask(self, request: bytes, leases: Leases | None, warn: Warn) -> bytes | None:
        """The value of `action`; None if there is no answer to be had, which has been told.

        With `leases` the connection stays with them. It may be awaited where there is no task.
        """
        self.loop = asyncio.get_running_loop()
        times = self.times
        for left in range(times.try_limit - 1, -1, -1):
            try:
                return await self._try(request, leases, warn)
            except Trouble as trouble:
                words = str(trouble)
            if not left or words not in _PASSING:
                warn(f"problem talking to server {self.name}: {words or _NOTHING_SAID}")
            if left:
                await self._pause(times.retry_delay)
        return None

    async def _try(self, request: bytes, leases: Leases | None, warn: Warn) -> bytes:
        connection = await self._take(leases, warn)
        try:
            action = await connection.ask(request, self.times.timeout, warn)
        except BaseException:
            self._drop(connection)
            raise
        connection.requests += 1
        connection.used = self.loop.time()
        limit = self.times.request_limit
        if 0 < limit <= connection.requests:
            self._drop(connection)
        elif leases is None or self._waiting:
            self.free(connection)
        else:
            leases.held[self] = connection
            self._leased[connection] = leases
        return action

    async def _pause(self, seconds: float) -> None:
        done = self.loop.create_future()
        self.loop.call_later(seconds, done.set_result, None)
        await done

    # Getting a connection.

    async def _take(self, leases: Leases | None, warn: Warn) -> PolicyConnection:
        deadline = self.loop.time() + self.times.timeout
        while True:
            connection = self._ready(leases)
            if connection is not None:
                return connection
            if len(self._connections) + self._connecting < self.limit:
                return await self._connect(warn)
            turn = self.loop.create_future()
            self._waiting.append(turn)
            timer = self.loop.call_at(deadline, _time_is_up, turn)
            try:
                await turn
            except TimeoutError:
                raise Trouble(os.strerror(errno.ETIMEDOUT)) from None
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._next()  # it was our turn, and now is another's
                raise
            finally:
                timer.cancel()

    def _ready(self, leases: Leases | None) -> PolicyConnection | None:
        """An open connection that nobody asks on: our own, one without owner, or one that its owner must part with."""
        now = self.loop.time()
        if leases is not None:
            own = leases.held.pop(self, None)
            if own is not None:
                self._leased.pop(own, None)
                if own.open:
                    return own
        while self._idle:
            connection = self._idle.pop()
            if connection.open and now < connection.expires:
                return connection
            self._drop(connection)
        if self._leased and len(self._connections) + self._connecting >= self.limit:
            connection = next(iter(self._leased))
            self._leased.pop(connection).held.pop(self, None)
            return connection
        return None

    async def _connect(self, warn: Warn) -> PolicyConnection:
        self._connecting += 1
        try:
            connection = await self.loop.create_task(self._connected(warn))
        except ConnectFailure as failure:
            warn(f"connect to {self.name}: {failure}")
            self._next()
            raise Trouble(str(failure)) from None
        except asyncio.CancelledError:
            self._next()
            raise
        finally:
            self._connecting -= 1
        connection.expires = self.loop.time() + self.times.max_ttl
        self._connections.add(connection)
        return connection

    async def _connected(self, warn: Warn) -> PolicyConnection:
        connection = PolicyConnection(self.name, self.lost)
        try:
            async with asyncio.timeout(self.times.timeout):
                if self._unix_path:
                    await connect_unix(connection, self._unix_path)
                else:
                    await connect_inet(connection, warn)
        except TimeoutError:
            raise ConnectFailure(os.strerror(errno.ETIMEDOUT)) from None
        return connection

    # Giving it back.

    def free(self, connection: PolicyConnection) -> None:
        """It belongs to no transaction any more."""
        self._leased.pop(connection, None)
        if not connection.open or self.loop.time() >= connection.expires:
            self._drop(connection)
            return
        self._idle.append(connection)
        if not self._sweeping:
            self._sweep()
        self._next()

    def lost(self, connection: PolicyConnection) -> None:
        """The connection has been closed, by whomever."""
        self._connections.discard(connection)
        leases = self._leased.pop(connection, None)
        if leases is not None:
            leases.held.pop(self, None)
        if connection in self._idle:
            self._idle.remove(connection)
        self._next()

    def _drop(self, connection: PolicyConnection) -> None:
        self._connections.discard(connection)
        connection.transport.abort()
        self._next()

    def _next(self) -> None:
        """There is, or can be, one connection more: whoever waits may look again."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _sweep(self) -> None:
        """Close what has been idle for too long; look again when the next may be due."""
        now, times = self.loop.time(), self.times
        self._idle = [c for c in self._idle if self._stays(c, now)]
        self._sweeping = bool(self._idle)
        if self._sweeping:
            due = min(min(c.used + times.max_idle, c.expires) for c in self._idle)
            self.loop.call_at(max(due, now + 0.1), self._sweep)

    def _stays(self, connection: PolicyConnection, now: float) -> bool:
        if now < connection.used + self.times.max_idle and now < connection.expires:
            return True
        self._connections.discard(connection)
        connection.transport.abort()
        return False


def _time_is_up(turn: "asyncio.Future[None]") -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())


class PolicyPools:
    """All policy servers of one process. `directory`: where relative paths of sockets begin (queue_directory).

    `own_sockets`: sockets of our own spawn services, by their relative path. `limit`: connections to one server at
    most. `clock`: wall-clock seconds.
    """

    def __init__(
        self, *, directory: str, limit: int, clock: Callable[[], float], own_sockets: Mapping[str, str] | None = None
    ) -> None:
        self._directory = directory
        self._own_sockets = own_sockets or {}
        self._limit = max(1, limit)
        self._clock = clock
        self._pools: dict[tuple[str, str, PolicyTimes], PolicyPool] = {}
        self._transactions = 0

    def pool(self, transport: str, endpoint: str, times: PolicyTimes) -> PolicyPool:
        """The connections to that server; `transport` is `inet` or `unix`."""
        key = (transport, endpoint, times)
        found = self._pools.get(key)
        if found is None:
            path = ""
            if transport == "unix":
                path = self._own_sockets.get(endpoint) or str(Path(self._directory) / endpoint)
            found = self._pools[key] = PolicyPool(endpoint, unix_path=path, times=times, limit=self._limit)
        return found

    def new_instance(self) -> str:
        """A word by which a server knows the questions that belong to one transaction."""
        seconds, fraction = divmod(self._clock(), 1)
        number = self._transactions
        self._transactions += 1
        return f"{os.getpid():x}.{int(seconds):x}.{int(fraction * 1e6):x}.{number:x}"
