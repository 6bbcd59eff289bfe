"""A message as the SMTP client looks at it on its way out, and its conversion to 7 bits (mime_state(3), RFC 2045).

Sans I/O: pieces of content in, events out.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from gatepost.mail.headers import header_name, header_value, unfolded
from gatepost.mail.mime_parts import DEFAULT_LIMITS, TSPECIALS, MimeLimits, Multiparts, PartType, without_comments

Kind = Literal["header", "mime_header", "nested_header", "body"]
"""What a text is: a header of the message itself, of a part in a multipart (and a header of MIME's wherever it stands),
of a message within; a line of a body.
"""

Event = tuple[Kind, bytes]

_ENCODING_SPECIALS = re.compile(rb"[\s" + TSPECIALS + rb"]")
_ENCODINGS = {b"7bit": False, b"8bit": True, b"binary": True, b"base64": False, b"quoted-printable": False}
"""Is content of this Content-Transfer-Encoding to be converted? One that Postfix does not know changes nothing."""
_MIME_HEADERS = frozenset(
    b"content-description content-disposition content-id content-transfer-encoding content-type mime-version".split()
)
_DASH = ord("-")
_LINES = 100
"""Lines of a header that `headers` looks at."""
_BESIDE = 52
"""Octets of a line that it looks at, beside those of a boundary."""


class NestingTooDeep(Exception):
    """There are more multiparts in one another than may be, in a message that is to be converted."""

    def __str__(self) -> str:
        return "MIME nesting exceeds safety limit"


class MimeState:
    """Feed it content with LF line ends; it tells headers whole (with their line ends inside) and bodies line by line.

    `downgrade`: convert what is 8bit or binary to quoted-printable. `look_inside`: tell the headers of parts and of
    messages within from body lines; always so with `downgrade`, which may raise NestingTooDeep.
    """

    def __init__(self, *, downgrade: bool, look_inside: bool = True, limits: MimeLimits = DEFAULT_LIMITS) -> None:
        self._downgrade = downgrade
        self._inside = look_inside or downgrade
        self._kind: Kind = "header"
        self._header: list[bytes] = []
        self._type = PartType()
        self._eight = False  # its Content-Transfer-Encoding is 8bit or binary
        self._encode = False
        self._multiparts = Multiparts(limits)
        self._longest = limits.boundary + _BESIDE
        self._rest: list[bytes] = []  # a line that is not over yet

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events of what is complete with this piece."""
        cut = piece.rfind(b"\n")
        if cut < 0:
            self._rest.append(piece)
            return
        first, *others = piece[:cut].split(b"\n")
        yield from self._line(b"".join((*self._rest, first)) if self._rest else first)
        self._rest = [piece[cut + 1 :]] if cut + 1 < len(piece) else []
        for line in others:
            yield from self._line(line)

    def end(self) -> Iterator[Event]:
        """The events of the rest."""
        if self._rest:
            yield from self._line(b"".join(self._rest))
        self._rest = []
        yield from self._end_header()
        if self._kind != "body":
            yield from self._converted_encoding()

    def headers(self, piece: bytes) -> Iterator[bytes]:
        """In the place of `feed`, from the first piece on: the headers only, the first _LINES lines of each.

        Lines that can be no boundary are passed over quickly.
        """
        at = 0
        while at < len(piece):
            if self._kind == "body" and not self._rest and piece[at] != _DASH:
                found = piece.find(b"\n-", at)
                if found < 0:
                    if not piece.endswith(b"\n"):
                        self._rest = [b"."]  # the next piece goes on with a line that is no boundary
                    return
                at = found + 1
            end = piece.find(b"\n", at)
            line = piece[at : end if end >= 0 else None]
            at = end + 1 or len(piece)
            line = b"".join((*self._rest, line))[: self._longest]
            self._rest = [line] if end < 0 else []
            if end >= 0 and (len(self._header) < _LINES or line[:1] not in (b" ", b"\t")):
                yield from (text for kind, text in self._line(line) if kind != "body")

    def _line(self, line: bytes) -> Iterator[Event]:
        if self._kind != "body":
            if self._header and line[:1] in (b" ", b"\t"):
                self._header.append(line)
                return
            yield from self._end_header()
            if header_name(line):
                self._header.append(line)
                return
            yield from self._converted_encoding()
            self._encode = self._downgrade and self._eight
            if not line:
                yield "body", line
                self._kind = self._after_headers()
                return
            if self._kind == "header":  # parts are left as they are
                yield "body", b""
            self._kind = "body"
        yield from self._body_line(line)

    def _end_header(self) -> Iterator[Event]:
        if not self._header:
            return
        text = b"\n".join(self._header)
        self._header = []
        name = header_name(text).lower()
        if self._inside:
            if name == b"content-type":
                self._type = self._multiparts.content_type(unfolded(header_value(text))) or self._type
                if self._downgrade and self._multiparts.too_deep:
                    raise NestingTooDeep
            elif name == b"content-transfer-encoding":
                value = without_comments(unfolded(header_value(text))).strip()
                token = (_ENCODING_SPECIALS.split(value, maxsplit=1) or [b""])[0].lower()
                self._eight = _ENCODINGS.get(token, self._eight)
                if self._downgrade and self._eight:
                    return
        yield "mime_header" if name in _MIME_HEADERS else self._kind, text

    def _converted_encoding(self) -> Iterator[Event]:
        """What takes the place of the header that said 8bit, behind the others. It is not told as one of MIME's, which
        Postfix does not do either.
        """
        if self._downgrade and self._eight:
            encoding = b"quoted-printable" if self._type.takes_encoding else b"7bit"
            yield self._kind, b"Content-Transfer-Encoding: " + encoding

    def _after_headers(self) -> Kind:
        part = self._type
        self._begin_part(PartType())
        if self._inside and part.nests and not (self._encode and part.takes_encoding):
            return "nested_header"
        self._encode = self._encode and part.type != b"multipart"
        return "body"

    def _begin_part(self, kind: PartType) -> None:
        """Headers follow that may say otherwise."""
        self._type, self._eight = kind, False

    def _body_line(self, line: bytes) -> Iterator[Event]:
        ended = self._multiparts.boundary(line) if self._inside else None
        if ended is not None:
            last, inner = ended
            self._encode = False
            if not last:
                self._kind = "mime_header"
            self._begin_part(inner)
            yield "body", line
            return
        if self._encode:
            for encoded in quoted_printable(line):
                yield "body", encoded
        else:
            yield "body", line


def has_header_beyond_ascii(content: Iterable[bytes], *, look_inside: bool = True) -> bool:
    """Has any header an octet beyond ASCII: of the message, and with `look_inside` of its parts and of messages within?

    `content`: in pieces.

    That is what makes a message that declares SMTPUTF8 need it, beside its addresses.
    """
    state = MimeState(downgrade=False, look_inside=look_inside)
    for piece in content:
        if any(kind != "body" and not text.isascii() for kind, text in state.feed(piece)):
            return True
    return any(kind != "body" and not text.isascii() for kind, text in state.end())


_PLAIN = re.compile(rb"[\t -<>-~]*")


def quoted_printable(line: bytes) -> Iterator[bytes]:
    """One line of a body in quoted-printable (RFC 2045 6.7), broken as Postfix does: behind 73 to 75 octets."""
    if len(line) <= 72 and _PLAIN.fullmatch(line) and line[-1:] not in (b" ", b"\t"):
        yield line
        return
    out = bytearray()
    for octet in line:
        if len(out) > 72:
            yield bytes(out) + b"="
            out.clear()
        if (octet < 32 and octet != 9) or octet == 61 or octet > 126:
            out += b"=%02X" % octet
        else:
            out.append(octet)
    if out.endswith((b" ", b"\t")):
        out[-1:] = b"=%02X" % out[-1]
    yield bytes(out)
