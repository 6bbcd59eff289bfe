"""A fast scanner of message headers (RFC 5322 2.2), over bytes with LF line ends. Takes any bytes and never raises."""

import re
from collections.abc import Iterator

# A header name is printable ASCII without the colon. Blanks before the colon are obsolete (RFC 5322 4.5) but seen.
_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
# `(?>(?:...)*)`, not `(?:...)*+`: Python before 3.11.5 ends the latter where its last, vain attempt has got to.
_SECTION = re.compile(rb"(?>(?:[!-9;-~]++[ \t]*+:[^\n]*+\n(?>(?:[ \t][^\n]*+\n)*))*)")


def header_name(line: bytes) -> bytes:
    """The name that starts a header line, as written; empty if the line starts no header."""
    found = _NAME.match(line)
    return found.group(1) if found else b""


def header_value(header: bytes) -> bytes:
    """What follows the colon of a logical header, without the white space before it (line ends count as such)."""
    return header[header.find(b":") + 1 :].lstrip(b" \t\r\n\v\f")


def header_end(content: bytes) -> int:
    """Where the header section ends: at an empty line, at a line that is no header, or at the end of `content`.

    A last line without line end does not belong to the section. What stands there tells what comes: `\\n` the
    separator, nothing if there is no body, and anything else a body whose separator is missing.
    """
    found = _SECTION.match(content)
    return found.end() if found else 0


def headers(section: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name (lower case) and text with its last line end of each logical header, up to the first non-header."""
    start, length = 0, len(section)
    while start < length:
        found = _NAME.match(section, start)
        if found is None:
            return
        end = line_end(section, start)
        while end < length and section[end] in b" \t":
            end = line_end(section, end)
        yield found.group(1).lower(), section[start:end]
        start = end


def line_end(content: bytes, start: int) -> int:
    """Just behind the line that begins at `start`."""
    return content.find(b"\n", start) + 1 or len(content)


def unfolded(value: bytes) -> bytes:
    """A header's value on one line: line ends are taken out, the blanks that follow them stay (RFC 5322 2.2.3)."""
    return value.replace(b"\r\n", b"").replace(b"\n", b"") if b"\n" in value else value
