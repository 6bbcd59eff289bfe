"""The line format that main.cf, master.cf and the text tables share (postconf(5), "The general format ...")."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from gatepost.config.errors import ConfigError

BLANKS = " \t\r\n\v\f"


class LogicalLine(NamedTuple):
    """One line with its continuations joined. `number` (from 1) is that of its first physical line."""

    number: int
    text: str


def read_file(path: str) -> bytes:
    """The content of `path`; raises ConfigError in Postfix's words if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise ConfigError(f"open {path}: {reason}") from None


def logical_lines(data: bytes, path: str, warnings: list[str]) -> Iterator[LogicalLine]:
    """Join continuation lines; comments and empty lines are dropped, also between a line and its continuation.

    A continuation with nothing to continue is dropped with a warning. Raises ConfigError for text that is not UTF-8
    and for NUL characters.
    """
    started = 0
    pieces: list[bytes] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        line = raw.lstrip(b" \t\r\n\v\f")
        if not line or line.startswith(b"#"):
            continue
        if len(line) != len(raw):
            if pieces:
                pieces.append(raw)
            else:
                shown = raw[:30].decode("utf-8", "replace") + ("..." if len(raw) > 30 else "")
                warnings.append(f'{path}: logical line must not start with whitespace: "{shown}"')
            continue
        if pieces:
            yield _joined(started, pieces, path)
        started, pieces = number, [raw]
    if pieces:
        yield _joined(started, pieces, path)


def split_name_value(text: str) -> tuple[str, str]:
    """Take `name = value` apart; ValueError with Postfix's words if it is not that."""
    text = text.strip(BLANKS)
    if text.startswith("=") or not text:
        raise ValueError("missing attribute name")
    end = 0
    while end < len(text) and text[end] != "=" and text[end] not in BLANKS:
        end += 1
    rest = text[end:].lstrip(BLANKS)
    if not rest.startswith("="):
        raise ValueError("missing '=' after attribute name")
    return text[:end], rest[1:].lstrip(BLANKS)


def _joined(number: int, pieces: list[bytes], path: str) -> LogicalLine:
    data = b"".join(pieces)
    if b"\0" in data:
        raise ConfigError("NUL character", path=path, line=number)
    try:
        return LogicalLine(number, data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError("text is not valid UTF-8", path=path, line=number) from None
