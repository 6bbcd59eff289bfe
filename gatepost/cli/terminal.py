"""Colour where a person reads: on a terminal, unless NO_COLOR is set."""

import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator

WIDTH = 80
"""Columns."""

_RESET = "\x1b[0m"


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


def filled(text: str, indent: int = 0, width: int = WIDTH) -> list[str]:
    """A paragraph in lines, each behind so many blanks; words stay whole."""
    blanks = " " * indent
    return textwrap.wrap(
        text, width, initial_indent=blanks, subsequent_indent=blanks, break_on_hyphens=False, break_long_words=False
    )


def show(lines: Iterable[str], painted: Callable[[str], str] = str) -> None:
    """Print lines as `for_output` has them. A line that is `painted` as a whole is so where it goes on below, too."""
    for line in lines:
        first, *others = for_output([line])
        shown = painted(first)
        print(shown)
        for other in others:
            before, _, after = shown.partition(first)
            print(f"{before}{other}{after}" if after == _RESET else other)


class Paint:
    """Wraps text in colours, or leaves it alone."""

    def __init__(self, on: bool) -> None:
        self.on = on

    @classmethod
    def for_output(cls) -> "Paint":
        """As standard output is."""
        return cls(sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}{_RESET}" if self.on and text else text

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
