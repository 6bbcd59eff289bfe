"""Reading the text that tables are made of: logical lines, and what is wrong with them (postmap(1))."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# What isspace() calls blank in the C locale. str.strip() would take Unicode blanks away, too.
BLANKS = " \t\n\v\f\r"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One remark about a source. `skipped`: part of the source does not count because of it."""

    text: str
    line: int = 0
    skipped: bool = True
    what: str = ""  # the text without file and line: the same mistake on another line is the same mistake


@dataclass(slots=True)
class Parsed(Generic[T]):
    """A source, read."""

    content: T
    problems: list[Problem] = field(default_factory=list)


class Remarks:
    """Collects the problems of one source, worded as Postfix words them: `WHERE, line N: WHAT`."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def add(self, line: int, what: str, *, skipped: bool = True) -> None:
        place = f"{self.where}, line {line}" if line else self.where
        self.problems.append(Problem(f"{place}: {what}", line, skipped, what))


def decode(data: bytes) -> str:
    """The text of a file; octets that are not UTF-8 become surrogates, for `printable` and checks to find."""
    return data.decode("utf-8", "surrogateescape")


def is_valid(text: str) -> bool:
    """Is this decoded line free of octets that were not UTF-8?"""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def key_end(text: str, ends: str) -> tuple[int, bool]:
    """Where the first of `ends` stands that is in no quotes and behind no backslash; and is a quote open there?"""
    quoted = escaped = False
    for index, char in enumerate(text):
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif not quoted and char in ends:
            return index, False
    return len(text), quoted


def printable(text: str) -> str:
    """`text` fit for a log line."""
    return "".join(char if char.isprintable() else "?" for char in text)


def logical_lines(text: str, remarks: Remarks, *, utf8: bool = True) -> Iterator[tuple[int, str]]:
    """(number of the first line, text) of each logical line.

    A line that starts with a blank continues the one before it; empty lines and whole-line comments end nothing. With
    `utf8` lines that are not UTF-8 are left out.
    """
    start, parts = 0, ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.lstrip(BLANKS)
        if not stripped or stripped[0] == "#":
            continue
        if parts and line[0] in BLANKS:
            parts += line
            continue
        if parts:
            yield from _complete(start, parts, remarks, utf8)
        start, parts = number, line
    if parts:
        yield from _complete(start, parts, remarks, utf8)


def _complete(start: int, line: str, remarks: Remarks, utf8: bool) -> Iterator[tuple[int, str]]:
    if line[0] in BLANKS:
        remarks.add(0, f'logical line must not start with whitespace: "{printable(line[:30])}"')
    elif utf8 and not is_valid(line):
        remarks.add(start, f'non-UTF-8 input "{printable(line)}" -- ignoring this line')
    else:
        yield start, line


def split_word(text: str) -> tuple[str, str]:
    """The first word, and the rest without the blanks around it."""
    for index, char in enumerate(text):
        if char in BLANKS:
            return text[:index], text[index:].strip(BLANKS)
    return text, ""
