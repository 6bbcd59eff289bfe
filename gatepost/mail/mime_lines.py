"""A message as the lines that header_checks(5) and body_checks(5) look at: headers whole, the rest line by line."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from gatepost.mail.headers import header_name, header_value, unfolded

Kind = Literal["header", "body"]

_COMMENT = re.compile(rb"\([^()]*\)")
_TYPE = re.compile(rb"\s*([^\s/;]+)(?:\s*/\s*([^\s;]+))?")
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.I)
_ESCAPED = re.compile(rb"\\(.)")

# Of message/ these hold a message whose headers are looked at, as Postfix has it.
_NESTED = frozenset((b"rfc822", b"global"))
_MAX_BOUNDARY = 2048
_MAX_NESTING = 100


class _Type(NamedTuple):
    """A part's Content-Type, as far as it matters."""

    type: bytes = b"text"
    subtype: bytes = b"plain"


class _Multipart(NamedTuple):
    boundary: bytes
    part: _Type


class MimeLines:
    """Feeds on lines (without their ends) and tells what each is. `mime`: look into multiparts and messages."""

    def __init__(self, *, mime: bool) -> None:
        self._mime = mime
        self._in_headers = True
        self._header: list[bytes] = []
        self._type = _Type()
        self._stack: list[_Multipart] = []

    def lines(self, given: Iterable[bytes]) -> Iterator[tuple[Kind, bytes]]:
        """(kind, text) of all that the lines make up. A header has its line ends inside, and none behind."""
        for line in given:
            if self._in_headers:
                if self._header and line[:1] in (b" ", b"\t"):
                    self._header.append(line)
                    continue
                yield from self._end_header()
                if header_name(line):
                    self._header = [line]
                    continue
                self._in_headers = not line and self._nested()
                if not line:
                    yield "body", line
                    continue
            yield self._body_line(line)
        yield from self._end_header()

    def _end_header(self) -> Iterator[tuple[Kind, bytes]]:
        if self._header:
            text = b"\n".join(self._header)
            self._header = []
            if self._mime and header_name(text).lower() == b"content-type":
                self._content_type(unfolded(header_value(text)))
            yield "header", text

    def _content_type(self, value: bytes) -> None:
        value = _COMMENT.sub(b" ", value)
        found = _TYPE.match(value)
        if found is None:
            return
        kind = self._type = _Type(found.group(1).lower(), (found.group(2) or b"").lower())
        boundary = _BOUNDARY.search(value)
        if kind.type == b"multipart" and boundary is not None and len(self._stack) < _MAX_NESTING:
            quoted, plain = boundary.groups()
            text = plain if quoted is None else _ESCAPED.sub(rb"\1", quoted)
            part = _Type(b"message", b"rfc822") if kind.subtype == b"digest" else _Type()
            self._stack.append(_Multipart(text[:_MAX_BOUNDARY], part))

    def _nested(self) -> bool:
        """At the end of headers: do those of a message within follow?"""
        kind, self._type = self._type, _Type()
        return kind.type == b"message" and kind.subtype in _NESTED

    def _body_line(self, line: bytes) -> tuple[Kind, bytes]:
        if line[:2] == b"--":
            for level in range(len(self._stack) - 1, -1, -1):
                boundary, part = self._stack[level]
                if line.startswith(boundary, 2):
                    # Postfix looks at the beginning only: `--boundaryX` is as good.
                    last = line.startswith(b"--", 2 + len(boundary))
                    del self._stack[level + (not last) :]
                    self._in_headers = not last
                    self._type = part
                    break
        return "body", line
