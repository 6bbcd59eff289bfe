"""The server side of an SMTP conversation: bytes in, events out; replies in, bytes out. No sockets, clock or logging.

    ┌─────────┐  a line: Command   ┌────────────┐
    │ COMMAND │ ─────────────────▶ │ REPLY_OWED │   next_event() is PAUSED until send_reply(): pipelined input waits
    └─────────┘ ◀───────────────── └────────────┘   read_response(): a 334 was given, the next line is a Response
         ▲        send_reply()        │ read_data() / read_chunk()
         │                            ▼
         │   last Content      ┌──────────────┐
         └── via REPLY_OWED ── │ DATA │ CHUNK │   Content events, as much as is here
                               └──────────────┘
    close() leads to CLOSED from anywhere: what is still in the buffer is not looked at.

The driver calls `receive_data`, then `next_event` until it says NEED_DATA or PAUSED, then writes `data_to_send`.
Replies to pipelined commands therefore leave in one piece. No input raises anything.
"""

import enum

import msgspec

from gatepost.protocol.data_scanner import BareScanner, ChunkReader, DataScanner


class State(enum.Enum):
    COMMAND = "command"
    REPLY_OWED = "reply owed"
    DATA = "data"
    CHUNK = "chunk"
    RESPONSE = "response"
    CLOSED = "closed"


# Looking a member up costs more than a comparison; these are asked for with every command.
_COMMAND, _REPLY_OWED, _DATA = State.COMMAND, State.REPLY_OWED, State.DATA


class Command(msgspec.Struct, frozen=True, gc=False):
    """One command line.

    `verb` is its first word in upper case, `argument` what follows the blank; `line` the whole, for the log.
    `bare_newline`: it ended in `<LF>` alone. `too_long`: it was cut at the line limit. `bad_utf8`: it is not UTF-8;
    then nothing else is set.
    """

    verb: str
    argument: str
    line: str
    bare_newline: bool = False
    too_long: bool = False
    bad_utf8: bool = False


class Content(msgspec.Struct, frozen=True, gc=False):
    """A piece of message content, possibly empty; `last`: the content (or chunk) is complete and a reply is owed."""

    data: bytes
    last: bool


class Response(msgspec.Struct, frozen=True, gc=False):
    """The client's answer to a challenge of AUTH (RFC 4954): a line of base64, or `*`.

    `too_long`: it was longer than may be, and is not kept.
    """

    text: str
    too_long: bool = False

    def __repr__(self) -> str:
        return "Response(...)"  # most of them hold a password


class Waiting(enum.Enum):
    NEED_DATA = "need data"
    PAUSED = "paused"


NEED_DATA = Waiting.NEED_DATA
PAUSED = Waiting.PAUSED

Event = Command | Content | Response | Waiting


class SmtpServerProtocol:
    """One connection. `line_limit` in octets is line_length_limit: longer commands are cut (as Postfix 3.7 does)."""

    __slots__ = (
        "_buffer", "_chunk", "_line_limit", "_out", "_response_limit", "_scanner", "_searched", "_skipping", "state",
    )  # fmt: skip

    def __init__(self, line_limit: int = 2048) -> None:
        self.state = _COMMAND
        self._buffer = b""
        self._searched = 0  # octets at the start of the buffer that hold no line end
        self._skipping = False  # the rest of a line that was cut
        self._line_limit = line_limit
        self._out: list[bytes] = []
        self._scanner: DataScanner | None = None
        self._chunk: ChunkReader | None = None
        self._response_limit = 0

    # Input.

    def receive_data(self, data: bytes) -> None:
        if self.state is State.CLOSED:
            return
        self._buffer = self._buffer + data if self._buffer else data

    @property
    def buffered(self) -> int:
        """Octets that wait: while a reply is owed, what the client has sent ahead."""
        return len(self._buffer)

    def sent_ahead(self, limit: int = 100) -> bytes:
        """The first octets of what waits, for the log."""
        return self._buffer[:limit]

    def drop_input(self) -> None:
        """Forget what waits (RFC 3207 4.2: nothing sent before a handshake may count after it)."""
        self._buffer = b""
        self._searched = 0

    def next_event(self) -> Event:
        state = self.state
        if state is _COMMAND:
            return self._next_command() if self._buffer else NEED_DATA
        if state is _DATA:
            return self._next_content()
        if state is State.CHUNK:
            return self._next_chunk()
        if state is State.RESPONSE:
            return self._next_response()
        return PAUSED if state is _REPLY_OWED else NEED_DATA

    def _next_command(self) -> Event:
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            if self._searched > self._line_limit + 1:
                self._keep_line_start()
            return NEED_DATA
        self.state = _REPLY_OWED
        self._buffer = buffer[end + 1 :]
        self._searched = 0
        line = buffer[:end].rstrip(b"\r")
        bare = len(line) == end
        too_long = False
        if end > self._line_limit or self._skipping:
            too_long = self._skipping or end > self._line_limit + 1 or len(line) > self._line_limit
            self._skipping = False
            line = line[: self._line_limit]
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return Command("", "", "", bare, too_long, True)
        if "\0" in text:
            # Postfix's strings end there.
            text = text.partition("\0")[0]
        verb, _, argument = text.partition(" ")
        return Command(verb.upper(), argument, text, bare, too_long)

    def _keep_line_start(self) -> None:
        """A line without end: keep what will be looked at, and the last octet for the kind of its end."""
        self._skipping = True
        self._buffer = self._buffer[: self._line_limit] + self._buffer[-1:]
        self._searched = len(self._buffer)

    def _next_content(self) -> Event:
        if not self._buffer:
            return NEED_DATA
        scanner = self._scanner
        assert scanner is not None
        data = scanner.feed(self._buffer)
        if scanner.done:
            self._buffer = scanner.rest
            self.state = _REPLY_OWED
            self._scanner = None
            return Content(data, True)
        self._buffer = b""
        return Content(data, False)

    def _next_chunk(self) -> Event:
        chunk = self._chunk
        assert chunk is not None
        if not self._buffer:
            return NEED_DATA
        piece = self._buffer[: chunk.left]
        self._buffer = self._buffer[len(piece) :]
        data = chunk.feed(piece)
        if chunk.left:
            return Content(data, False)
        self.state = State.REPLY_OWED
        return Content(data, True)

    def _next_response(self) -> Event:
        buffer, limit = self._buffer, self._response_limit
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(buffer)
            if self._searched > limit + 1:
                self._skipping = True
                self._buffer = buffer[-1:]
                self._searched = 1
            return NEED_DATA
        self.state = _REPLY_OWED
        self._buffer = buffer[end + 1 :]
        self._searched = 0
        # As with Postfix, a carriage return counts, a line feed does not.
        if self._skipping or end > limit:
            self._skipping = False
            return Response("", True)
        return Response(buffer[:end].rstrip(b"\r").partition(b"\0")[0].decode("latin-1"))

    # Output.

    def send_reply(self, wire: bytes) -> None:
        """The reply that is owed, or a greeting: octets with CRLF. The next command may be taken."""
        self._out.append(wire)
        if self.state is _REPLY_OWED:
            self.state = _COMMAND

    def read_data(self, *, bare: bool = False) -> DataScanner:
        """Content follows (after the 354 was sent). `bare`: the client ends lines with `<LF>` and may do so."""
        self._scanner = BareScanner() if bare else DataScanner()
        self.state = _DATA
        return self._scanner

    def read_chunk(self, octets: int, reader: ChunkReader) -> None:
        """The next `octets` (at least one) are a chunk (RFC 3030), taken by `reader`. The reply is owed at its end."""
        reader.left = octets
        self._chunk = reader
        self.state = State.CHUNK

    def read_response(self, limit: int) -> None:
        """A challenge was sent: the next line, of at most `limit` octets, is a Response."""
        self._response_limit = limit
        self.state = State.RESPONSE

    def close(self) -> None:
        """No further input counts."""
        self.state = State.CLOSED
        self.drop_input()

    def data_to_send(self) -> bytes:
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data
