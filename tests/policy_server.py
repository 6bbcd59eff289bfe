"""A policy server (SMTPD_POLICY_README) whose answers are written down, for both sides of a comparison.

Answers are taken in turn, the last one again and again: `action=...` (sent with the empty line), `raw ...` (octets with
C escapes, as they stand), `<close>` (no answer, the end) and `<hang>`. `raw ...<close>` closes after the octets.
"""

import asyncio
import codecs
import tempfile
from pathlib import Path

PLACE = "POLICY"
"""Stands for `127.0.0.1:PORT` in parameters."""
UNIX_PLACE = "POLICY_SOCKET"
"""Stands for the path of a Unix socket that leads to the same server."""


class PolicyServer:
    """`requests` are the questions in their order, `connections` the number of the connection for each."""

    def __init__(self, answers: list[str], *, listen: bool = True) -> None:
        self.listen = listen
        self.answers = answers or ["action=dunno"]
        self.requests: list[str] = []
        self.connections: list[int] = []
        self.accepted = 0
        self.open = 0
        self.port = 0
        self._servers: list[asyncio.Server] = []
        self._folder = tempfile.TemporaryDirectory(prefix="policy-server-")
        self.path = str(Path(self._folder.name) / "socket")
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> "PolicyServer":
        if not self.listen:
            return self
        Path(self._folder.name).chmod(0o755)
        inet = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = int(inet.sockets[0].getsockname()[1])
        unix = await asyncio.start_unix_server(self._accept, self.path)
        Path(self.path).chmod(0o777)
        self._servers = [inet, unix]
        return self

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._servers = []

    async def close(self) -> None:
        await self.stop()
        self._folder.cleanup()

    async def __aenter__(self) -> "PolicyServer":
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def placed(self, text: str) -> str:
        """`text` with the real addresses."""
        return text.replace(UNIX_PLACE, self.path).replace(PLACE, f"127.0.0.1:{self.port}")

    def unplaced(self, text: str) -> str:
        return text.replace(self.path, UNIX_PLACE).replace(f"127.0.0.1:{self.port}", PLACE)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        self.open += 1
        try:
            await self._serve(reader, writer, self.accepted)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            request = (await reader.readuntil(b"\n\n")).decode()
            self.requests.append(request)
            self.connections.append(number)
            answer = self.answer(request)
            if answer == "<close>":
                return
            if answer == "<hang>":
                await asyncio.Event().wait()
            closes = answer.endswith("<close>")
            answer = answer.removesuffix("<close>")
            if answer.startswith("raw "):
                octets = codecs.escape_decode(answer.removeprefix("raw ").encode())[0]
                assert isinstance(octets, bytes)
                writer.write(octets)
            else:
                writer.write(f"{answer}\n\n".encode())
            await writer.drain()
            if closes:
                return

    def answer(self, request: str) -> str:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def normal_request(request: str) -> str:
    """One line for a question, without what differs from run to run."""
    found = []
    for line in request.rstrip("\n").split("\n"):
        name, equals, value = line.partition("=")
        if value:
            if name == "instance":
                value = "INSTANCE"
            elif name == "queue_id":
                value = "QID"
            elif name in ("client_port", "server_port") and len(value) > 3 and value.isdigit():
                value = "PORT"
        found.append(name + equals + value)
    return " ".join(found)
