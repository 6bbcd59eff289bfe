"""The multiparts of a message: what Content-Type says of a part, and which line ends one (RFC 2046 5.1), as Postfix."""

import re
from typing import NamedTuple

_COMMENT = re.compile(rb"\([^()]*\)")
TSPECIALS = rb'()<>@,;:\\"/\[\]?='
"""What ends a token (RFC 2045 5.1), for a class of characters in a pattern."""
_TOKEN = rb"([^\s\x00-\x1f\x7f" + TSPECIALS + rb"]+)"
_TYPE = re.compile(rb"\s*%b(?:\s*/\s*%b)?" % (_TOKEN, _TOKEN))
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.I)
_ESCAPED = re.compile(rb"\\(.)")

_TYPES = frozenset((b"text", b"message", b"multipart"))
# Of message/ these hold a message whose headers are looked at, as Postfix has it.
_NESTED = frozenset((b"rfc822", b"global"))


class MimeLimits(NamedTuple):
    """mime_nesting_limit and mime_boundary_length_limit (octets)."""

    nesting: int = 100
    boundary: int = 2048


DEFAULT_LIMITS = MimeLimits()


class PartType(NamedTuple):
    """A part's Content-Type, as far as it matters, in lower case."""

    type: bytes = b"text"
    subtype: bytes = b"plain"

    @property
    def nests(self) -> bool:
        """Does its body begin with the headers of a message?"""
        return self.type == b"message" and self.subtype in _NESTED

    @property
    def takes_encoding(self) -> bool:
        """May its body as a whole be quoted-printable? Of composite types only message/global's (RFC 6532 3.7)."""
        return self.type == b"text" or (self.type, self.subtype) == (b"message", b"global")


class Multiparts:
    """The multiparts that a line is in, the innermost last. `too_deep`: there was one more than may be."""

    def __init__(self, limits: MimeLimits = DEFAULT_LIMITS) -> None:
        # Postfix counts from -1, and compares before it counts.
        self._depth, self._boundary = limits.nesting + 2, limits.boundary
        self.too_deep = False
        self._levels: list[tuple[bytes, PartType]] = []  # boundary; type of a part that does not say its own

    def content_type(self, value: bytes) -> PartType | None:
        """What a Content-Type says, unfolded; a multipart with a boundary begins.

        None: nothing. So it is with all other types, which leave in force what an earlier Content-Type of the same
        headers has said.
        """
        value = without_comments(value)
        if not value.strip():
            return PartType()
        found = _TYPE.match(value)
        if found is None or found.group(1).lower() not in _TYPES:
            return None
        kind = PartType(found.group(1).lower(), (found.group(2) or b"").lower())
        boundary = _BOUNDARY.search(value)
        if kind.type == b"multipart" and boundary is not None:
            if len(self._levels) == self._depth:
                self.too_deep = True
                return kind
            quoted, plain = boundary.groups()
            text = plain if quoted is None else _ESCAPED.sub(rb"\1", quoted)
            part = PartType(b"message", b"rfc822") if kind.subtype == b"digest" else PartType()
            self._levels.append((text[: self._boundary], part))
        return kind

    def boundary(self, line: bytes) -> tuple[bool, PartType] | None:
        """Does a line end a part: was it the last one, and what is the next by default? None: it is no boundary."""
        if line[:2] == b"--":
            for level in range(len(self._levels) - 1, -1, -1):
                text, part = self._levels[level]
                if line.startswith(text, 2):
                    # Postfix looks at the beginning only: `--boundaryX` is as good.
                    last = line.startswith(b"--", 2 + len(text))
                    del self._levels[level + (not last) :]
                    return last, part
        return None


def without_comments(value: bytes) -> bytes:
    """A structured header's value without what stands in parentheses."""
    return _COMMENT.sub(b" ", value)
