"""A connection to Dovecot's authentication service, shared by the sessions of a process: many requests under way."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from gatepost.net.connect import ConnectFailure, connect_tcp, connect_unix
from gatepost.sasl import dovecot_protocol as protocol
from gatepost.sasl.dovecot_protocol import Answer, DovecotError, DovecotReader
from gatepost.sasl.security import Properties
from gatepost.sasl.server import BackEndUnavailable

CONNECT_LIMIT = 10.0
"""Seconds to connect, and to be told the mechanisms."""

ANSWER_LIMIT = 30.0
"""Seconds to be answered. Dovecot makes who guesses passwords wait for up to 17; Postfix gives up after 10."""


class Lost(Exception):
    """The connection ended before the answer."""


class DovecotConnection(asyncio.Protocol):
    """`greeted` is done once the mechanisms are known."""

    transport: asyncio.Transport

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.reader = DovecotReader()
        self.greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.open = True
        self._warn = warn
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._number = 0

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        # Not our process ID as Postfix says: after a reload, and through inet:, others have the same.
        self.transport.write(protocol.greeting(secrets.randbits(31) | 1))

    def data_received(self, data: bytes) -> None:
        try:
            answers = self.reader.feed(data)
        except DovecotError as error:
            self._warn(f"SASL: {error}")
            self.transport.abort()
            self._over()
            return
        if self.reader.ready and not self.greeted.done():
            self.greeted.set_result(None)
        for answer in answers:
            waiting = self._waiting.get(answer.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def _over(self) -> None:
        self.open = False
        if not self.greeted.done():
            self.greeted.set_exception(Lost())
            self.greeted.exception()  # nobody need be waiting any more
        for waiting in self._waiting.values():
            _give_up(waiting)

    # Requests.

    def number(self) -> int:
        """For a new request."""
        self._number = self._number % 0x7FFFFFFF + 1
        return self._number

    async def ask(self, number: int, line: bytes) -> Answer:
        """Say `line`, and take the answer to that request. Raises Lost."""
        if not self.open:
            raise Lost()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting[number] = answer
        timer = loop.call_later(ANSWER_LIMIT, _give_up, answer)
        self.transport.write(line)
        try:
            return await answer
        finally:
            timer.cancel()
            del self._waiting[number]

    def tell(self, line: bytes) -> None:
        """Without an answer."""
        if self.open:
            self.transport.write(line)

    def close(self) -> None:
        self.transport.close()


def _give_up(waiting: asyncio.Future[Answer]) -> None:
    if not waiting.done():
        waiting.set_exception(Lost())


class DovecotService:
    """The service at `path` (smtpd_sasl_path): a Unix socket, relative to `directory`; or `inet:host:port`.

    It is connected to when it is needed, and again when it was lost. `warn` writes to the log.
    """

    def __init__(self, path: str, directory: str, warn: Callable[[str], None]) -> None:
        self.path = path
        self._directory = directory
        self._warn = warn
        self._connection: DovecotConnection | None = None
        self._connecting: asyncio.Task[DovecotConnection] | None = None
        self._mechanisms: dict[str, Properties] | None = None

    async def mechanisms(self) -> dict[str, Properties]:
        """Those of the last connection that there was; they are asked for once. Raises BackEndUnavailable."""
        if self._mechanisms is None:
            await self.connection()
        assert self._mechanisms is not None
        return self._mechanisms

    async def connection(self) -> DovecotConnection:
        """An open one; may be awaited where there is no task. Raises BackEndUnavailable, which has been logged."""
        found = self._connection
        if found is not None and found.open:
            return found
        task = self._connecting
        if task is None or task.done():
            task = self._connecting = asyncio.get_running_loop().create_task(self._connect())
        try:
            # Whoever else waits for it is not to be disturbed if this session ends.
            return await asyncio.shield(task)
        except ConnectFailure as failure:
            raise BackEndUnavailable(str(failure)) from None
        except (Lost, TimeoutError):
            raise BackEndUnavailable("no greeting") from None

    async def _connect(self) -> DovecotConnection:
        connection = DovecotConnection(self._warn)
        try:
            await self._open(connection)
        except ConnectFailure as failure:
            self._warn(f"SASL: Connect to Dovecot auth socket '{self.path}' failed: {failure}")
            raise
        try:
            async with asyncio.timeout(CONNECT_LIMIT):
                await connection.greeted
        except BaseException:
            connection.transport.abort()
            raise
        self._connection = connection
        self._mechanisms = connection.reader.mechanisms
        return connection

    async def _open(self, connection: DovecotConnection) -> None:
        path = self.path
        if path.startswith("inet:"):
            host, _, port = path.removeprefix("inet:").rpartition(":")
            await _connect_inet(connection, host.removeprefix("[").removesuffix("]"), port)
            return
        await connect_unix(connection, self.place, limit=CONNECT_LIMIT)

    @property
    def place(self) -> str:
        """The socket's file; empty if it is none."""
        if self.path.startswith("inet:"):
            return ""
        return str(Path(self._directory) / self.path.removeprefix("unix:"))

    def close(self) -> None:
        if self._connection is not None and self._connection.open:
            self._connection.close()


async def _connect_inet(connection: DovecotConnection, host: str, port: str) -> None:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host or "localhost", port, type=1)
    except (OSError, UnicodeError) as error:
        raise ConnectFailure(getattr(error, "strerror", None) or str(error)) from None
    failure = ConnectFailure("no address")
    for _, _, _, _, where in found:
        try:
            await connect_tcp(connection, str(where[0]), int(where[1]), limit=CONNECT_LIMIT)
        except ConnectFailure as failed:
            failure = failed
        else:
            return
    raise failure
