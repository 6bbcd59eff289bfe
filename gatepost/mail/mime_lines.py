"""A message as the lines that header_checks(5) and body_checks(5) look at: headers whole, the rest line by line."""

from collections.abc import Iterable, Iterator
from typing import Literal

from gatepost.mail.headers import header_name, header_value, unfolded
from gatepost.mail.mime_parts import Multiparts, PartType

Kind = Literal["header", "body"]


class MimeLines:
    """Feeds on lines (without their ends) and tells what each is. `mime`: look into multiparts and messages."""

    def __init__(self, *, mime: bool) -> None:
        self._mime = mime
        self._in_headers = True
        self._header: list[bytes] = []
        self._type = PartType()
        self._multiparts = Multiparts()

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
                self._type = self._multiparts.content_type(unfolded(header_value(text))) or self._type
            yield "header", text

    def _nested(self) -> bool:
        """At the end of headers: do those of a message within follow?"""
        kind, self._type = self._type, PartType()
        return kind.nests

    def _body_line(self, line: bytes) -> tuple[Kind, bytes]:
        ended = self._multiparts.boundary(line)
        if ended is not None:
            last, self._type = ended
            self._in_headers = not last
        return "body", line
