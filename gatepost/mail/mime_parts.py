"""The multiparts of a message: what Content-Type says of a part, and which line ends one (RFC 2046 5.1), as Postfix."""

import re
from typing import NamedTuple

_COMMENT = re.compile(rb"\([^()]*\)")
_TYPE = re.compile(rb"\s*([^\s/;]+)(?:\s*/\s*([^\s;]+))?")
_BOUNDARY = re.compile(rb';\s*boundary\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]+))', re.I)
_ESCAPED = re.compile(rb"\\(.)")

# Of message/ these hold a message whose headers are looked at, as Postfix has it.
_NESTED = frozenset((b"rfc822", b"global"))
_MAX_BOUNDARY = 2048
_MAX_NESTING = 100


class PartType(NamedTuple):
    """A part's Content-Type, as far as it matters, in lower case."""

    type: bytes = b"text"
    subtype: bytes = b"plain"

    @property
    def nests(self) -> bool:
        """Does its body begin with the headers of a message?"""
        return self.type == b"message" and self.subtype in _NESTED


class Multiparts:
    """The multiparts that a line is in, the innermost last."""

    def __init__(self) -> None:
        self._levels: list[tuple[bytes, PartType]] = []  # boundary; type of a part that does not say its own

    def content_type(self, value: bytes) -> PartType | None:
        """What a Content-Type says (None: nothing), unfolded; a multipart with a boundary begins."""
        value = without_comments(value)
        found = _TYPE.match(value)
        if found is None:
            return None
        kind = PartType(found.group(1).lower(), (found.group(2) or b"").lower())
        boundary = _BOUNDARY.search(value)
        if kind.type == b"multipart" and boundary is not None and len(self._levels) < _MAX_NESTING:
            quoted, plain = boundary.groups()
            text = plain if quoted is None else _ESCAPED.sub(rb"\1", quoted)
            part = PartType(b"message", b"rfc822") if kind.subtype == b"digest" else PartType()
            self._levels.append((text[:_MAX_BOUNDARY], part))
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
