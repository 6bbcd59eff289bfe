"""Base64 as AUTH carries it (RFC 4954 4: no line ends, padding complete)."""

import base64
import re

_VALID = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", re.ASCII).fullmatch

SIGNS = re.compile(r"[A-Za-z0-9+/=]*", re.ASCII).fullmatch
"""Has the text no other signs than base64?"""

NOTHING = "="
"""An initial response that is there and empty."""


def valid(text: str) -> bool:
    return _VALID(text) is not None


def decode(text: str) -> bytes | None:
    """None if it is not base64."""
    return base64.b64decode(text) if valid(text) else None


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
