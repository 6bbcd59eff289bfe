"""Colour where a person reads: on a terminal, unless NO_COLOR is set."""

import os
import sys
import textwrap
from collections.abc import Iterable, Iterator

WIDTH = 80
"""Columns."""


def for_output(lines: Iterable[str]) -> Iterator[str]:
    """As they are where a program reads them; wrapped on a terminal."""
    return wrapped(lines) if sys.stdout.isatty() else iter(lines)


def wrapped(lines: Iterable[str], width: int = WIDTH) -> Iterator[str]:
    """The lines, those that are too long broken between words, with what follows indented below."""
    for line in lines:
        indent = line[: len(line) - len(line.lstrip(" *"))].replace("*", " ")
        if line.strip().startswith("-> "):
            indent += "   "
        elif not line.strip().startswith("because "):
            indent += "  "
        yield from textwrap.wrap(
            line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
        ) or [""]


class Paint:
    """Wraps text in colours, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self.on = on

    @classmethod
    def for_output(cls) -> "Paint":
        """As standard output is."""
        return cls(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text

    def bold(self, text: str) -> str:
        return self._in("1", text)

    def faint(self, text: str) -> str:
        return self._in("2", text)

    def red(self, text: str) -> str:
        return self._in("31", text)

    def green(self, text: str) -> str:
        return self._in("32", text)

    def yellow(self, text: str) -> str:
        return self._in("33", text)
