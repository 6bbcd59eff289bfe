"""Does a message say of itself that it is 8-bit mail (detect_8bit_encoding_header)?"""

import re

from gatepost.mail.mime_parts import MimeLimits
from gatepost.mail.mime_state import MimeState

EIGHT_BIT = re.compile(rb"^content-transfer-encoding[ \t]*:\s*(?:8bit|binary)$", re.I | re.M)


class EightBitParts:
    """Takes content in pieces. `found`: a header of it says so, perhaps one of a part or of a message within."""

    def __init__(self, limits: MimeLimits) -> None:
        self.found = False
        self._state = MimeState(downgrade=False, limits=limits)

    def feed(self, piece: bytes) -> None:
        if not self.found:
            self.found = any(EIGHT_BIT.match(text) for text in self._state.headers(piece))

    def end(self) -> None:
        """No more content comes."""
        if not self.found:
            self.found = any(kind != "body" and EIGHT_BIT.match(text) for kind, text in self._state.end())
