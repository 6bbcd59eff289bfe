"""The size that Postfix's logs and listings give for a message: that of its content in the records of a queue file.

Each line is a record of its own: a type octet, the length in groups of seven bits, the text without its line end.
A line longer than line_length_limit takes several, and one in the body whose length is a multiple of it an empty one
at the end. So `size=` is a little more than the content has octets with LF line ends.
"""

import re

# One pass at the speed of a search: the lines whose length fits into one octet. Possessive, so nothing is kept to go
# back to. (Python before 3.11.5 gets that wrong for a group, but not for one that begins with its only repetition.)
_short_lines = re.compile(rb"(?:.{0,127}+\n)*+").match


def data_size(content: bytes, line_length_limit: int) -> int:
    """The size of a whole message. `content` has LF line ends and ends in one."""
    end = len(content)
    size = end + end - len(content.replace(b"\n", b""))  # faster than count()
    found = _short_lines(content)
    if found is None or found.end() == end:
        return size
    return size + _long_lines(content, found.end(), end, line_length_limit, in_body=content[:1] == b"\n")


def _long_lines(content: bytes, start: int, end: int, limit: int, *, in_body: bool) -> int:
    """What lines of 128 octets or more add. The line at `start` is the first; `in_body`: the headers came earlier."""
    more = 0
    at = start
    while at < end:
        line_end = content.find(b"\n", at, end)
        if line_end < 0:
            line_end = end
        length = line_end - at
        if not in_body and length % limit == 0:
            in_body = content.find(b"\n\n", 0, at) >= 0
        more += _long_line(length, limit, in_body=in_body)
        found = _short_lines(content, line_end + 1, end)
        at = found.end() if found is not None else line_end + 1
    return more


def _long_line(length: int, limit: int, *, in_body: bool) -> int:
    """The octets beyond length + 2 of a line's records."""
    if length <= limit and not (in_body and length == limit):
        return _length_octets(length) - 1
    full, rest = divmod(length, limit)
    octets = full * (1 + _length_octets(limit))
    if rest or in_body:
        octets += 1 + _length_octets(rest)
    return octets - 2


def _length_octets(length: int) -> int:
    return (max(1, length.bit_length()) + 6) // 7


class DataSize:
    """The same for content that comes in pieces. `size` counts whole lines."""

    __slots__ = ("_in_body", "_limit", "_open", "size")

    def __init__(self, line_length_limit: int) -> None:
        self.size = 0
        self._limit = line_length_limit
        # Octets of the line that has not ended yet.
        self._open = 0
        self._in_body = False

    def feed(self, data: bytes) -> None:
        start = 0
        if self._open:
            start = data.find(b"\n") + 1
            if not start:
                self._open += len(data)
                return
            length = self._open + start - 1
            self.size += length + 2
            if length >= 128:
                self.size += _long_line(length, self._limit, in_body=self._in_body)
        elif data[:1] == b"\n":
            self._in_body = True
        end = data.rfind(b"\n") + 1
        self._open = len(data) - end
        # Line ends behind `start`; the line that ends there is counted already.
        self.size += end - start + len(data) - len(data.replace(b"\n", b"")) - (start > 0)
        found = _short_lines(data, start, end)
        if found is not None and found.end() < end:
            self.size += _long_lines(data, found.end(), end, self._limit, in_body=self._in_body)
        if not self._in_body:
            self._in_body = b"\n\n" in data
