"""Message content as it comes over SMTP, to content as it is stored (RFC 5321 sections 2.3.8, 4.5.2; RFC 3030).

Rules of this file:

1. Content after DATA ends at `<CR><LF>.<CR><LF>` and nowhere else, so no other party on the way can see an end that we
   do not see ("SMTP smuggling"). The CRLF that ends the DATA command counts as the first one.
2. Every `<LF>`, alone or after `<CR>`, ends a line; other `<CR>` are left as they are.
3. One dot at the start of a line is removed. A line that is a dot alone, and does not end the content, is dropped (as
   Postfix 3.7.11 does with smtpd_forbid_bare_newline).
4. Searching is done by `find` and `replace` on whole pieces: nothing here walks over lines in Python.

The one exception to rule 1 is `BareScanner`, for a client that has ended the DATA command itself with a bare `<LF>`
and whom smtpd_forbid_bare_newline does not bind: it knows no CRLF, and nobody else's text can be smuggled into what
it says, since all lines of it end in the same way.

`octets` counts as Postfix does for message_size_limit: what is stored, with two octets for each line end.
"""

import re

_END = b"\r\n.\r\n"
_dot_line = re.compile(rb"\r\n\.").search  # faster than find() where there is none for long
_BARE_END = re.compile(rb"\n\.\r*\n")
# What the next piece may turn into an end of line or of content: held back until it is here.
_UNDECIDED = re.compile(rb"(?:\r?\n\.?\r?|\r)\Z")
_LONGEST_UNDECIDED = 4


class DataScanner:
    """Content after DATA.

    `feed` gives back what can be stored; after the end, `done` is set and `rest` is what came behind it.
    `bare_newline`: a line ended in `<LF>` alone.
    """

    __slots__ = ("_begun", "_dots", "_held", "bare_newline", "done", "octets", "rest")

    def __init__(self) -> None:
        self._held = b"\r\n"
        self._begun = False
        self._dots = False
        self.bare_newline = False
        self.done = False
        self.octets = 0
        self.rest = b""

    @property
    def undecided(self) -> int:
        """Octets that wait for what follows them."""
        return len(self._held) if self._begun else 0

    def feed(self, data: bytes) -> bytes:
        """Content with LF line ends, dots removed. Pieces join to the whole; they may be empty."""
        raw = self._held + data
        end = self._find_end(raw)
        if end >= 0:
            return self._convert(raw[:end])
        undecided = _UNDECIDED.search(raw, max(0, len(raw) - _LONGEST_UNDECIDED))
        if undecided is None:
            self._held = b""
            return self._convert(raw)
        cut = undecided.start()
        self._held = raw[cut:]
        return self._convert(raw[:cut]) if cut else b""

    def _find_end(self, raw: bytes) -> int:
        """Where the last line's end is over, -1 if it is not here yet."""
        # Mostly the first line with a dot is the end: then there is none to unstuff either.
        found = _dot_line(raw)
        if found is None:
            self._dots = False
            return -1
        first = found.start()
        self._dots = True
        if raw.startswith(_END, first):
            self._dots = False
            end = first
        else:
            end = raw.find(_END, first)
            if end < 0:
                return -1
        self.done = True
        self.rest = raw[end + 5 :]
        return end + 2

    def _convert(self, body: bytes) -> bytes:
        # No piece begins within a line end, so its first line is either the middle of one or follows its line end here.
        lines = body.replace(b"\r", b"")
        ends = len(body) - len(lines)
        # Putting all of it back and comparing is the fastest way to see that each CR and each LF has its other half.
        if lines.replace(b"\n", b"\r\n") != body:
            lines = body.replace(b"\r\n", b"\n")
            ends = lines.count(b"\n")
            if ends != len(body) - len(lines):
                self.bare_newline = self._dots = True
        if self._dots:
            lines = _remove_dots(lines)
            ends = lines.count(b"\n")
        if not self._begun and lines:
            # The first piece starts with the line end of the DATA command.
            self._begun = True
            lines = lines[1:]
            ends -= 1
        self.octets += len(lines) + ends
        return lines


class BareScanner(DataScanner):
    """Content from a client that ends all its lines with `<LF>`: a dot between two of them ends it."""

    __slots__ = ()

    def _find_end(self, raw: bytes) -> int:
        self._dots = True
        found = _BARE_END.search(raw)
        if found is None:
            return -1
        self.done = True
        self.rest = raw[found.end() :]
        return found.start() + 1


class ChunkReader:
    """Content of BDAT chunks: octets are counted, dots mean nothing. `left` is what the present chunk still lacks."""

    __slots__ = ("_held", "_open_line", "bare_newline", "left", "octets")

    def __init__(self) -> None:
        self._held = b""
        self._open_line = False
        self.bare_newline = False
        self.left = 0
        self.octets = 0

    @property
    def undecided(self) -> int:
        """Octets that wait for what follows them."""
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        """Content with LF line ends; `data` must not go beyond the chunk. A final CR waits for the next piece."""
        self.left -= len(data)
        raw = self._held + data
        if raw.endswith(b"\r"):
            self._held = b"\r"
            raw = raw[:-1]
        else:
            self._held = b""
        return self._convert(raw) if raw else b""

    def finish(self) -> bytes:
        """What is left after the last chunk, with the line end that the last line may lack."""
        last = self._held
        self._held = b""
        if last or self._open_line:
            self._open_line = False
            last += b"\n"
            self.octets += len(last) + 1
        return last

    def _convert(self, raw: bytes) -> bytes:
        lines = raw.replace(b"\r\n", b"\n")
        ends = lines.count(b"\n")
        if ends != len(raw) - len(lines):
            self.bare_newline = True
        self._open_line = not lines.endswith(b"\n")
        self.octets += len(lines) + ends
        return lines


def _remove_dots(lines: bytes) -> bytes:
    while b"\n.\n" in lines:
        lines = lines.replace(b"\n.\n", b"\n")
    # What was held back then begins with a line end, so this is a whole line too.
    while lines.endswith(b"\n."):
        lines = lines[:-2]
    return lines.replace(b"\n.", b"\n")
