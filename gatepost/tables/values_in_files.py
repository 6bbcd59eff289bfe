"""Values that are the content of files, kept as base64 (postmap -F)."""

import base64
import binascii

from gatepost.config.values import split_list
from gatepost.tables.environment import error_text, read_file


class FileValueError(Exception):
    """No value can be made of it; the text tells why."""


def content_of(names: str) -> bytes:
    """The files that a value names, a line end between them. Raises FileValueError."""
    parts = []
    for name in split_list(names):
        try:
            parts.append(read_file(name))
        except OSError as error:
            raise FileValueError(f"open {name}: {error_text(error)}") from None
    if not parts:
        raise FileValueError("empty pathname list")
    return b"\n".join(parts)


def encoded(content: bytes) -> str:
    """The value that is stored."""
    return base64.b64encode(content).decode("ascii")


def decoded(value: str) -> bytes:
    """The content that a stored value stands for. Raises FileValueError."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise FileValueError(f"malformed BASE64 value: {value[:100]}") from None
