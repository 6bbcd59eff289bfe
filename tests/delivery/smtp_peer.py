"""A scripted SMTP server on loopback for tests: says what it is told to say, and keeps what it was sent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

EHLO = (
    b"250-peer.example\r\n250-PIPELINING\r\n250-SIZE 10240000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 DSN\r\n"
)
PLAIN = b"250-peer.example\r\n250 SIZE 10240000\r\n"
USUAL: dict[str, bytes | None] = {
    "greeting": b"220 peer.example ESMTP\r\n", "EHLO": EHLO, "LHLO": EHLO, "HELO": b"250 peer.example\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n", "RCPT": b"250 2.1.5 Ok\r\n", "DATA": b"354 go\r\n",
    "END": b"250 2.0.0 Ok: queued as X\r\n", "RSET": b"250 2.0.0 Ok\r\n", "QUIT": b"221 2.0.0 Bye\r\n",
}  # fmt: skip


class Peer:
    """`replies`: by command; `greeting` and `END` are no commands. None closes the connection; "" says nothing.

    A key `RCPT:address` is for that recipient. `close_after`: commands after whose reply it hangs up.
    """

    def __init__(self, replies: dict[str, bytes | None], close_after: tuple[str, ...] = ()) -> None:
        self.replies = {**USUAL, **replies}
        self.close_after = close_after
        self.chunks: list[bytes] = []  # as they came, all connections in one
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.connections = 0
        self.open: set[asyncio.Transport] = set()
        self.all_closed = asyncio.Event()
        self.host, self.port = "", 0
        self.once: dict[str, bytes | None] = {}  # replies that are given one time
        self.cut_after = 0  # octets of content after which it says `CUT` and hangs up
        self.stop_reading = False  # once content comes
        self.one_by_one = False  # replies go out octet by octet
        self.lmtp = False  # an answer for each recipient, told by `END:address` if not by `END`

    @property
    def nexthop(self) -> str:
        return f"[{self.host}]:{self.port}"

    @property
    def name(self) -> str:
        return f"{self.host}[{self.host}]"


class _Connection(asyncio.Protocol):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._buffer = b""
        self._in_data = False
        self._recipients: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._peer.connections += 1
        self._peer.open.add(self._transport)
        self._peer.all_closed.clear()
        self._say("greeting")

    def connection_lost(self, exc: Exception | None) -> None:
        self._peer.open.discard(self._transport)
        if not self._peer.open:
            self._peer.all_closed.set()

    def data_received(self, data: bytes) -> None:
        self._peer.chunks.append(data)
        self._buffer += data
        while not self._transport.is_closing():
            if self._in_data:
                if 0 < self._peer.cut_after < len(self._buffer):
                    self._say("CUT")
                    self._transport.close()
                    return
                content, end, rest = (b"\r\n" + self._buffer).partition(b"\r\n.\r\n")
                if not end:
                    return
                self._peer.messages.append(content[2:] + b"\r\n" if content else b"")
                self._buffer, self._in_data = rest, False
                self._answer()
                continue
            line, newline, rest = self._buffer.partition(b"\r\n")
            if not newline:
                return
            self._buffer = rest
            self._command(line.decode())

    def _answer(self) -> None:
        if not self._peer.lmtp:
            self._say("END")
            return
        for recipient in self._recipients:
            if not self._transport.is_closing():
                self._say(f"END:{recipient}" if f"END:{recipient}" in self._peer.replies else "END")

    def _command(self, line: str) -> None:
        self._peer.commands.append(line)
        verb = line[:4].upper()
        if verb == "RCPT":
            address = line.partition("<")[2].partition(">")[0]
            verb = f"RCPT:{address}" if f"RCPT:{address}" in self._peer.replies else verb
        reply = self._say(verb)
        if verb == "MAIL":
            self._recipients = []
        elif verb.startswith("RCPT") and reply is not None and reply.startswith(b"2"):
            self._recipients.append(address)
        if verb == "DATA" and reply is not None and reply.startswith(b"3"):
            self._in_data = True
            if self._peer.stop_reading:
                self._transport.pause_reading()
        if verb == "QUIT":
            self._transport.close()

    def _say(self, key: str) -> bytes | None:
        if key in self._peer.once:
            reply = self._peer.once.pop(key)
        else:
            reply = self._peer.replies.get(key, b"500 5.5.1 unknown\r\n")
        if reply is None:
            self._transport.close()
            return None
        if self._peer.one_by_one:
            for octet in reply:
                self._transport.write(bytes((octet,)))
        else:
            self._transport.write(reply)
        if key in self._peer.close_after:
            self._transport.close()
        return reply


@contextlib.asynccontextmanager
async def peer(
    replies: dict[str, bytes | None] | None = None,
    *,
    close_after: tuple[str, ...] = (),
    host: str = "127.0.0.1",
    port: int = 0,
    lmtp: bool = False,
    path: str = "",
) -> AsyncIterator[Peer]:
    """A server for the time of a `with` block; with `path` on a Unix socket."""
    it = Peer(replies or {}, close_after)
    it.lmtp = lmtp
    loop = asyncio.get_running_loop()
    if path:
        server = await loop.create_unix_server(lambda: _Connection(it), path)
    else:
        server = await loop.create_server(lambda: _Connection(it), host, port)
        it.host, it.port = server.sockets[0].getsockname()[:2]
    try:
        yield it
    finally:
        for transport in tuple(it.open):
            transport.abort()
        server.close()
        await server.wait_closed()
