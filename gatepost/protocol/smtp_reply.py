"""Replies of an SMTP server: octets in, replies out (RFC 5321 4.2, RFC 2034). As lenient as Postfix's smtp_chat."""

import re

import msgspec

LINE_LIMIT = (
    2048  # octets kept of a line, and of a multi-line reply before further lines are dropped (line_length_limit)
)

_DSN = re.compile(r" *([245]\.\d{1,3}\.\d{1,3})(?= |$)", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ufffd]")


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
    deserves a warning: pairs of (`stray` | `long line` | `long reply`, beginning of the text); the caller clears it.
    """

    __slots__ = ("_buffer", "_kept", "_lines", "_overlong", "oddities")

    def __init__(self) -> None:
        self._buffer = b""
        self._lines: list[str] = []
        self._kept = 0
        self._overlong = False
        self.oddities: list[tuple[str, str]] = []

    def receive_data(self, data: bytes) -> None:
        """Take octets from the server."""
        self._buffer = self._buffer + data if self._buffer else data

    @property
    def pending(self) -> bool:
        """Is there input that has not become a reply?"""
        return bool(self._buffer or self._lines)

    def next_reply(self) -> SmtpReply | None:
        """The next reply, or None if more octets are needed. Never raises."""
        while True:
            raw, newline, rest = self._buffer.partition(b"\n")
            if not newline:
                if len(raw) > LINE_LIMIT:
                    # The rest of an overlong line is dropped as it comes; its beginning is all we need.
                    self._overlong = True
                    self._buffer = raw[: LINE_LIMIT + 1]
                return None
            self._buffer = rest
            reply = self._take_line(raw.rstrip(b"\r"))
            if reply is not None:
                return reply

    def _take_line(self, raw: bytes) -> SmtpReply | None:
        if self._overlong or len(raw) > LINE_LIMIT:
            raw, self._overlong = raw[:LINE_LIMIT], False
            self.oddities.append(("long line", _printable(raw[:30])))
        line = _printable(raw)
        final = line[3:4] in ("", " ")
        if not (raw[:3].isdigit() and len(line) >= 3 and (final or line[3] == "-")):
            self.oddities.append(("stray", line[:100]))
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
                self.oddities.append(("long reply", self._lines[0][:30]))


def make_reply(last_line: str, text: str) -> SmtpReply:
    """The reply whose last line is `last_line` (it begins with three digits) and whose whole text is `text`."""
    digit = last_line[0]
    if digit not in "245":
        return SmtpReply(int(last_line[:3]), "5.5.0", text)
    found = _DSN.match(last_line, 4)
    dsn = found[1] if found is not None and found[1][0] == digit else f"{digit}.0.0"
    return SmtpReply(int(last_line[:3]), dsn, text)


def _printable(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return text if text.isprintable() else _UNPRINTABLE.sub("?", text)
