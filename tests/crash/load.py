"""Clients that know what was acknowledged, and a sink that knows what arrived."""

import asyncio
import contextlib
import re
import time
from collections import Counter
from collections.abc import Callable

from tests.crash.sessions import kept, leave


class RecordingSink:
    """An SMTP server that counts each message by its X-Id header when it has answered 250 to its data.

    `delay` gives the seconds that each answer takes: what is under way at the kill.
    """

    def __init__(self, delay: Callable[[], float] = lambda: 0.0) -> None:
        self._delay = delay
        self.arrived: Counter[str] = Counter()
        self.first_at: dict[str, float] = {}  # when each message arrived first, monotonic seconds
        self.first = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(kept(self._serve), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 sink ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await writer.drain()
                    content = await reader.readuntil(b"\r\n.\r\n")
                    found = re.search(rb"^X-Id: (\S+)", content, re.M)
                    if seconds := self._delay():
                        await asyncio.sleep(seconds)
                    if found is not None:  # else a transcript for the postmaster (notify_classes)
                        ident = found[1].decode()
                        self.arrived[ident] += 1
                        self.first_at.setdefault(ident, time.monotonic())
                    self.first.set()
                    writer.write(b"250 2.0.0 Ok\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 bye\r\n")
                    break
                else:
                    writer.write(b"250 2.0.0 Ok\r\n")
                await writer.drain()


class Load:
    """`sessions` clients send `total` messages; `acknowledged` are the IDs that got 250 after their data."""

    def __init__(self, port: int, total: int, sessions: int) -> None:
        self.port = port
        self.sessions = sessions
        self.acknowledged: set[str] = set()
        self.attempted = 0
        self.progress = asyncio.Condition()
        self._todo = [f"m{number}" for number in range(total)][::-1]
        self._size = total

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self.sessions):
                group.create_task(self._session())

    async def _session(self) -> None:
        while self._todo:
            try:
                await self._connection()
            except (OSError, ConnectionError, asyncio.IncompleteReadError, ValueError):
                await asyncio.sleep(0.01)  # the server is being killed: do not spin

    async def _connection(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            await self._expect(reader, b"220")
            await self._say(reader, writer, b"EHLO load.example", b"250")
            for _ in range(5):
                if not self._todo:
                    break
                await self._message(reader, writer, self._todo.pop())
            writer.write(b"QUIT\r\n")
            await self._expect(reader, b"221")
        finally:
            leave(writer)

    async def _message(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ident: str) -> None:
        async with self.progress:
            self.attempted += 1
            self.progress.notify_all()
        await self._say(reader, writer, b"MAIL FROM:<" + ident.encode() + b"@client.example>", b"250")
        await self._say(reader, writer, b"RCPT TO:<b@elsewhere.example>", b"250")
        await self._say(reader, writer, b"DATA", b"354")
        body = b"x" * 70 + b"\r\n"
        writer.write(b"X-Id: " + ident.encode() + b"\r\nSubject: load\r\n\r\n" + body * 30 + b".\r\n")
        await self._expect(reader, b"250")
        self.acknowledged.add(ident)

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, line: bytes, code: bytes) -> None:
        writer.write(line + b"\r\n")
        await self._expect(reader, code)

    async def _expect(self, reader: asyncio.StreamReader, code: bytes) -> None:
        while True:
            line = await asyncio.wait_for(reader.readline(), 30)
            if not line:
                raise ConnectionError
            if line[3:4] != b"-":
                break
        if not line.startswith(code):
            raise ValueError(line)

    async def reached(self, attempted: int) -> None:
        async with self.progress:
            await self.progress.wait_for(lambda: self.attempted >= attempted)
