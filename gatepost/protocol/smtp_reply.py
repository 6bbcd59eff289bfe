"""Replies of an SMTP server: octets in, replies out (RFC 5321 4.2, RFC 2034). As lenient as Postfix's smtp_chat."""

import re

import msgspec

LINE_LIMIT = (
    2048  # octets kept of a line, and of a multi-line reply before further lines are dropped (line_length_limit)
)

REPLY_LIMIT = 1 << 20
"""Octets of one reply, kept or dropped, after which nobody waits for its end any more."""

UNREAD_LIMIT = 1 << 16
"""Octets that may wait while no reply is wanted."""

ODDITIES_LIMIT = 50

_DSN = re.compile(r" *([245]\.\d{1,3}\.\d{1,3})(?= |$)", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd]")


class SmtpReply(msgspec.Struct, frozen=True):
    """One reply. `text` is all its lines, codes included, joined by LF, without unprintable characters.

    `dsn` is the enhanced status code of the last line; if there is none, or its class is not that of `code`, then
    `C.0.0` with the class of `code`; `5.5.0` for codes that are neither 2xx, 4xx nor 5xx.
    """

    code: int
    dsn: str
    text: str

    @property
    def one_line(self) -> str:
        """The text as it stands in log lines."""
        return self.text.replace("\n", " ") if "\n" in self.text else self.text


class ReplyReader:
    """Cuts a stream of octets into replies.

    Lines that are no reply lines are kept as part of the text of the reply that follows. `oddities` collects what
    deserves a warning: pairs of (`stray` | `long line` | `long reply`, beginning of the text), ODDITIES_LIMIT at most;
    the caller clears it.
    """

    __slots__ = ("_at", "_buffer", "_dropped", "_kept", "_lines", "_overlong", "oddities")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0  # where the unread part of it begins
        self._dropped = 0  # octets of the present reply that are not in the buffer any more
        self._lines: list[str] = []
        self._kept = 0
        self._overlong = False
        self.oddities: list[tuple[str, str]] = []

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server."""
        self._buffer = self._buffer[self._at :] + data if self._buffer else data
        self._at = 0

    @property
    def endless(self) -> bool:
        """Does the server send more than anybody needs?"""
        return self._dropped > REPLY_LIMIT or len(self._buffer) - self._at > UNREAD_LIMIT

    @property
    def pending(self) -> bool:
        """Is there input that has not become a reply?"""
        return bool(self._buffer or self._lines)

    def next_reply(self) -> SmtpReply | None:
        """The next reply, or None if more octets are needed. Never raises."""
        while True:
            buffer, at = self._buffer, self._at
            end = buffer.find(b"\n", at)
            if end < 0:
                self._shorten()
                return None
            if end + 1 < len(buffer):
                self._at = end + 1
            else:
                self._buffer, self._at = b"", 0
            reply = self._take_line(buffer[at:end].rstrip(b"\r"))
            if reply is not None:
                self._dropped = 0
                return reply
            self._dropped += end + 1 - at

    def _shorten(self) -> None:
        """The rest of an overlong line is dropped as it comes; its beginning is all we need."""
        self._buffer, self._at = self._buffer[self._at :], 0
        if len(self._buffer) > LINE_LIMIT:
            self._overlong = True
            self._dropped += len(self._buffer) - LINE_LIMIT - 1
            self._buffer = self._buffer[: LINE_LIMIT + 1]

    def _take_line(self, raw: bytes) -> SmtpReply | None:
        if self._overlong or len(raw) > LINE_LIMIT:
            raw, self._overlong = raw[:LINE_LIMIT], False
            self._odd("long line", _printable(raw[:30]))
        line = _printable(raw)
        final = line[3:4] in ("", " ")
        if not (raw[:3].isdigit() and len(line) >= 3 and (final or line[3] == "-")):
            self._odd("stray", line[:100])
            self._keep(line)
            return None
        if not final:
            self._keep(line)
            return None
        if not self._lines:
            return make_reply(line, line)
        self._keep(line)
        text = "\n".join(self._lines).lstrip("\n")  # nothing is made of empty lines before it
        self._lines, self._kept = [], 0
        return make_reply(line, text)

    def _keep(self, line: str) -> None:
        if self._kept < LINE_LIMIT:
            self._lines.append(line)
            self._kept += len(line) + 1
            if self._kept >= LINE_LIMIT:
                self._odd("long reply", self._lines[0][:30])

    def _odd(self, kind: str, text: str) -> None:
        if len(self.oddities) < ODDITIES_LIMIT:
            self.oddities.append((kind, text))


def make_reply(last_line: str, text: str) -> SmtpReply:
    """The reply whose last line is `last_line` (it begins with three digits) and whose whole text is `text`."""
    digit = last_line[0]
    if digit not in "245":
        return SmtpReply(int(last_line[:3]), "5.5.0", text)
    found = _DSN.match(last_line, 4)
    dsn = found[1] if found is not None and found[1][0] == digit else f"{digit}.0.0"
    return SmtpReply(int(last_line[:3]), dsn, text)


def printable_line(line: bytes) -> str:
    """The first LINE_LIMIT octets of a line, with or without its end, without unprintable characters."""
    return _printable(line.rstrip(b"\r\n")[:LINE_LIMIT])


def _printable(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return text if text.isprintable() else _UNPRINTABLE.sub("?", text)
