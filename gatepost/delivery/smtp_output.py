"""Content that is not sent as it is stored: in a file, converted to 7 bits, or changed by header and body checks."""

import re
from typing import BinaryIO, Protocol

from gatepost.delivery.smtp_checks import ContentChecks
from gatepost.mail.mime_parts import DEFAULT_LIMITS, MimeLimits
from gatepost.mail.mime_state import Event, MimeState

PIECE = 65536
"""Octets of a content file in memory at a time."""

_EIGHT_BIT = re.compile(rb"8bit|binary", re.I)
_MULTIPART = re.compile(rb"multipart", re.I)


class ContentReader(Protocol):
    """Content in pieces."""

    async def read(self) -> bytes:
        """The next piece; empty at the end. Raises OSError, CheckFailure, NestingTooDeep."""
        ...


class FileReader:
    """A content file as it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    async def read(self) -> bytes:
        return self._file.read(PIECE)


class ChangedContent:
    """Content on its way through a MimeState, and through checks if there are any."""

    def __init__(
        self,
        content: bytes | BinaryIO,
        queue_id: str,
        checks: ContentChecks | None,
        *,
        downgrade: bool,
        limits: MimeLimits = DEFAULT_LIMITS,
    ) -> None:
        self._content = content
        self._queue_id = queue_id
        self._checks = checks
        look_inside = checks is not None and checks.mime
        self._state = MimeState(downgrade=downgrade, look_inside=look_inside, limits=limits)
        self._ended = False

    async def read(self) -> bytes:
        while not self._ended:
            piece = self._piece()
            events = self._state.feed(piece) if piece else self._state.end()
            self._ended = not piece
            out = [text for event in events for text in await self._texts(event)]
            if out:
                out.append(b"")
                return b"\n".join(out)
        return b""

    def _piece(self) -> bytes:
        if isinstance(self._content, bytes):
            piece, self._content = self._content, b""
            return piece
        return self._content.read(PIECE)

    async def _texts(self, event: Event) -> tuple[bytes, ...]:
        if self._checks is None:
            return (event[1],)
        return await self._checks.apply(*event, self._queue_id)


def changed(
    content: bytes | BinaryIO,
    queue_id: str,
    checks: ContentChecks | None,
    *,
    downgrade: bool,
    limits: MimeLimits = DEFAULT_LIMITS,
) -> bytes | ContentReader:
    """`content` (a file at its beginning) as it is to be sent."""
    if downgrade and isinstance(content, bytes) and _EIGHT_BIT.search(content) is None:
        # There is nothing to convert; but what is nested too deep is refused none the less.
        downgrade = len(_MULTIPART.findall(content)) > limits.nesting
    if checks is None and not downgrade:
        return content if isinstance(content, bytes) else FileReader(content)
    return ChangedContent(content, queue_id, checks, downgrade=downgrade, limits=limits)
