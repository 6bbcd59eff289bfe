"""A content filter after the queue: gives each message back to the mail system, and answers what that answered."""

import asyncio
import contextlib

from tests.crash.sessions import kept, leave

LIMIT = 8 << 20


class Refilter:
    """`back`: the port of the listener that takes filtered mail."""

    def __init__(self) -> None:
        self.port = 0
        self.back = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(kept(self._serve), "127.0.0.1", 0, limit=LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        envelope: list[bytes] = []
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 filter ESMTP\r\n")
            while line := await reader.readline():
                verb = line[:4].upper()
                answer = b"250 2.0.0 Ok\r\n"
                if verb == b"EHLO":
                    answer = b"250-filter\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
                elif verb == b"MAIL":
                    envelope = [line]
                elif verb == b"RCPT":
                    envelope.append(line)
                elif verb == b"DATA":
                    writer.write(b"354 go\r\n")
                    await writer.drain()
                    answer = await self._give_back(envelope, await reader.readuntil(b"\r\n.\r\n"))
                elif verb == b"QUIT":
                    break
                writer.write(answer)
                await writer.drain()

    async def _give_back(self, envelope: list[bytes], content: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.back)
        except OSError:
            return b"451 4.3.0 Not now\r\n"
        try:
            last = b""
            for line in [b"", b"EHLO filter.test\r\n", *envelope, b"DATA\r\n", content]:
                writer.write(line)
                last = await self._reply(reader)
                if last[:1] not in b"23":
                    return last
            return last
        except (OSError, asyncio.IncompleteReadError):
            return b"451 4.3.0 Not now\r\n"
        finally:
            leave(writer)

    async def _reply(self, reader: asyncio.StreamReader) -> bytes:
        while line := await reader.readline():
            if line[3:4] != b"-":
                return line
        raise ConnectionResetError
