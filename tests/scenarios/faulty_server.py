"""Servers that tables and policy services ask, and that can be made to misbehave while they are asked."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Literal

Mode = Literal["well", "hang", "garbage", "half", "megabytes", "close"]
"""`hang`: takes the question and says nothing. `half`: breaks off in the middle of an answer. `megabytes`: a line
without end. `close`: hangs up when asked.
"""
BAD_ANSWERS: tuple[Mode, ...] = ("garbage", "half", "megabytes", "close")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Question = Callable[[asyncio.StreamReader], Awaitable[bytes]]
Answer = Callable[[bytes], bytes]

_NOISE = b"\xff\x00garbage \r\n\x01\x02" * 40
_LINE = b"x" * (4 << 20)


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class FaultyServer:
    """A server on a port of its own. `mode` counts from the next question on, also on open connections."""

    def __init__(self, loop: Loop, port: int) -> None:
        self.port = port
        self.mode: Mode = "well"
        self.questions = 0
        self._loop = loop
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.up()

    def up(self) -> None:
        self.mode = "well"
        if self._server is None:
            self._loop.run(self._listen())

    def down(self) -> None:
        """As if it had never been there."""
        self._loop.run(self._close())

    def hang_up(self) -> None:
        """End all connections, and go on listening."""
        self._loop.run(self._abort())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._abort()

    async def _abort(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _misbehave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes) -> None:
        """What this mode has in place of `answer`; the connection is over then."""
        if self.mode == "half":
            writer.write(answer[: (len(answer) + 1) // 2])
            await writer.drain()
            writer.close()
            return
        if self.mode == "close":
            return
        writer.write({"garbage": _NOISE, "megabytes": _LINE, "hang": b""}[self.mode])
        await writer.drain()
        while await reader.read(65536):
            pass


class OwnServer(FaultyServer):
    """Speaks a protocol of the test's own: `read` takes a question from a connection, `answer` has what to say."""

    def __init__(self, loop: Loop, port: int, read: Question, answer: Answer) -> None:
        self._read = read
        self.answer = answer
        super().__init__(loop, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while question := await self._read(reader):
            self.questions += 1
            answer = self.answer(question)
            if self.mode != "well":
                await self._misbehave(reader, writer, answer)
                return
            writer.write(answer)
            await writer.drain()


class Front(FaultyServer):
    """Stands before a real server on `behind`, and passes on what is said as long as all is well."""

    def __init__(self, loop: Loop, port: int, behind: int) -> None:
        self._behind = behind
        super().__init__(loop, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode in ("garbage", "megabytes", "close"):
            await self._misbehave(reader, writer, b"")
            return
        theirs, to_them = await asyncio.open_connection("127.0.0.1", self._behind)
        back = asyncio.create_task(self._pass_back(theirs, writer))
        try:
            while data := await reader.read(65536):
                if self.mode in ("well", "half"):
                    to_them.write(data)
                elif self.mode != "hang":
                    await self._misbehave(reader, writer, b"")
                    return
        finally:
            back.cancel()
            to_them.transport.abort()

    async def _pass_back(self, theirs: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await theirs.read(65536):
                if self.mode == "half":
                    writer.write(data[: (len(data) + 1) // 2])
                    await writer.drain()
                    break
                writer.write(data)
        writer.close()


async def line(reader: asyncio.StreamReader) -> bytes:
    """A question that is a line (tcp tables, memcached)."""
    return await reader.readline()


async def netstring(reader: asyncio.StreamReader) -> bytes:
    """A question of a socketmap table: the text inside."""
    size = int((await reader.readuntil(b":"))[:-1])
    return (await reader.readexactly(size + 1))[:-1]


async def paragraph(reader: asyncio.StreamReader) -> bytes:
    """A question to a policy server."""
    return await reader.readuntil(b"\n\n")
