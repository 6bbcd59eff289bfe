"""Connections to the hosts of a database table: opened as needed, kept while they are used, given up when they fail.

The rules are those of mysql_table(5) and pgsql_table(5): hosts with a connection first, Unix sockets before TCP,
otherwise in random order; a host that failed is left alone for `retry_interval`, unless it is the only one (a load
balancer, or nothing to lose); an idle connection is closed after `idle_interval`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from gatepost.tables.environment import TableEnvironment


class Closable(Protocol):
    """Something that holds connections or files."""

    def close(self) -> None:
        """Let go what is idle. It may be used again."""


S = TypeVar("S", bound=Closable)


class Shared:
    """What tables share that ask the same server with the same login, or the same file."""

    def __init__(self) -> None:
        self._all: dict[Hashable, Closable] = {}

    def get(self, key: Hashable, make: Callable[[], S]) -> S:
        """What goes by `key` (the type of table first), made if it is the first time."""
        found = self._all.get(key)
        if found is None:
            found = self._all[key] = make()
        return found  # type: ignore[return-value]

    def close(self) -> None:
        """Let go everything that is idle."""
        for shared in self._all.values():
            shared.close()


class Connection(Protocol):
    """One connection to a server."""

    def close(self) -> None:
        """Give it up at once, whatever it is doing."""


C = TypeVar("C", bound=Connection)
T = TypeVar("T")


class ConnectionFailure(Exception):
    """The host cannot be reached, or has gone away; another one may do."""


class NoConnection(ConnectionFailure):
    """The host cannot be reached. `reason`: why, without its name."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class QuestionFailure(Exception):
    """The server has refused the question; its connection is as good as before."""


class NoAnswer(Exception):
    """No host has answered. The text says what the last one said."""


class NotReached(NoAnswer):
    """The last host could not be reached."""


@dataclass(slots=True)
class Host(Generic[C]):
    """`text`: as configured, for the log. `idle`: connections to it, with the time they were last used."""

    text: str
    is_local: bool
    failed_until: float = 0.0
    idle: list[tuple[C, float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`connections` at a time; all else in seconds. `timeout`: for one question to one host, and for one's turn."""

    connections: int = 5
    timeout: float = 10.0
    retry_interval: float = 60.0
    idle_interval: float = 60.0


class ConnectionPool(Generic[C]):
    """All connections of one process to the same servers with the same login."""

    def __init__(
        self,
        env: TableEnvironment,
        kind: str,
        hosts: Sequence[tuple[str, bool]],
        connect: Callable[[str], Awaitable[C]],
        limits: PoolLimits,
        *,
        in_order: bool = False,
        no_connection: Callable[[str], NoConnection] | None = None,
    ) -> None:
        """`hosts`: (text, is it a Unix socket?). `connect` takes the text and raises ConnectionFailure.

        `in_order`: the first host that works, not any. `no_connection` finds words of its own for a failure to connect,
        given its reason.
        """
        self.hosts: list[Host[C]] = [Host(text, is_local) for text, is_local in hosts]
        self._env = env
        self._kind = kind
        self._connect = connect
        self._limits = limits
        self._in_order = in_order
        self._no_connection = no_connection
        self._turns: asyncio.Semaphore | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def ask(self, question: Callable[[C], Awaitable[T]]) -> T:
        """What `question` makes of a connection. To be awaited in a task.

        `question` raises ConnectionFailure, and QuestionFailure. Raises NoAnswer.
        """
        if self._turns is None:
            self._turns = asyncio.Semaphore(self._limits.connections)
        try:
            async with asyncio.timeout(self._limits.timeout):
                await self._turns.acquire()
        except TimeoutError:
            raise NoAnswer(f"all {self._limits.connections} connections are busy") from None
        try:
            return await self._ask_each(question)
        finally:
            self._turns.release()

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back and the time is over."""
        for host in self.hosts:
            self._close_idle(host)
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _ask_each(self, question: Callable[[C], Awaitable[T]]) -> T:
        reason = "all hosts have failed lately"
        why: ConnectionFailure | None = None
        tried: list[Host[C]] = []
        while (host := self._next_host(tried)) is not None:
            tried.append(host)
            try:
                async with asyncio.timeout(self._limits.timeout):
                    return await self._ask_one(host, question)
            except TimeoutError:
                reason = f"{self._kind} server {host.text}: no answer within {self._limits.timeout:g} s"
                self._env.warn(reason)
            except ConnectionFailure as failure:
                self._env.warn(str(failure))
                reason, why = str(failure), failure
            except QuestionFailure as failure:
                # The next server may know better, yet this one is up: a key that it refuses must not take it away.
                reason = f"{self._kind} query failed: {failure}"
                self._env.warn(reason)
                continue
            self._close_idle(host)
            if len(self.hosts) > 1:
                host.failed_until = self._env.clock() + self._limits.retry_interval
        if isinstance(why, NoConnection):
            raise NotReached(why.reason)
        raise NoAnswer(reason)

    def _next_host(self, tried: list[Host[C]]) -> Host[C] | None:
        now = self._env.clock()
        left = [host for host in self.hosts if host not in tried and host.failed_until <= now]
        if self._in_order:
            return left[0] if left else None
        for candidates in (
            [host for host in left if host.idle and host.is_local],
            [host for host in left if host.idle],
            [host for host in left if host.is_local],
            left,
        ):
            if len(candidates) > 1:
                text = self._env.choose([host.text for host in candidates])
                return next(host for host in candidates if host.text == text)
            if candidates:
                return candidates[0]
        return None

    async def _ask_one(self, host: Host[C], question: Callable[[C], Awaitable[T]]) -> T:
        if host.idle:
            try:
                return await self._use(host, host.idle.pop()[0], question)
            except ConnectionFailure:
                # The server may have closed it long ago. What it says to a new one counts.
                self._close_idle(host)
        try:
            connection = await self._connect(host.text)
        except ConnectionFailure as failure:
            if self._no_connection is not None:
                raise self._no_connection(str(failure)) from None
            raise ConnectionFailure(f"connect to {self._kind} server {host.text}: {failure}") from None
        except TimeoutError:
            raise
        except Exception as error:
            raise ConnectionFailure(f"connect to {self._kind} server {host.text}: {_fault(error)}") from None
        return await self._use(host, connection, question)

    async def _use(self, host: Host[C], connection: C, question: Callable[[C], Awaitable[T]]) -> T:
        try:
            answer = await question(connection)
        except QuestionFailure:
            self._keep(host, connection)
            raise
        except ConnectionFailure as failure:
            connection.close()
            raise ConnectionFailure(f"{self._kind} server {host.text}: {failure}") from None
        except BaseException as error:
            # Also when the time is over: an answer may still come, and must not be taken for the next one's.
            connection.close()
            if isinstance(error, Exception) and not isinstance(error, TimeoutError):
                raise ConnectionFailure(f"{self._kind} server {host.text}: {_fault(error)}") from None
            raise
        self._keep(host, connection)
        return answer

    def _keep(self, host: Host[C], connection: C) -> None:
        host.failed_until = 0.0
        host.idle.append((connection, self._env.clock()))
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._limits.idle_interval, self._close_old)

    def _close_old(self) -> None:
        """Close what has been idle for too long, and come back while there is anything left."""
        self._sweep = None
        oldest = self._env.clock() - self._limits.idle_interval
        left = False
        for host in self.hosts:
            for connection, used in host.idle:
                if used <= oldest:
                    connection.close()
            host.idle = [(connection, used) for connection, used in host.idle if used > oldest]
            left = left or bool(host.idle)
        if left:
            self._sweep = asyncio.get_running_loop().call_later(self._limits.idle_interval / 2, self._close_old)

    def _close_idle(self, host: Host[C]) -> None:
        for connection, _ in host.idle:
            connection.close()
        host.idle.clear()


def _fault(error: Exception) -> str:
    """What a client library raises that has met an answer which its makers had not thought of."""
    return f"{type(error).__name__}: {error}"
