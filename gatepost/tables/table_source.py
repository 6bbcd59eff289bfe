"""What postmap(1) and postalias(1) read: the entries of a table's source, and the same text with entries changed."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gatepost.tables.postmap_text import split_alias, split_entry
from gatepost.tables.source import BLANKS, Remarks, logical_lines, printable

Warn = Callable[[str], None]


class Entry(NamedTuple):
    """One entry: key and value as they are stored, and the logical line that it comes from."""

    key: str
    value: str
    line: str
    number: int


class _Spoken(Remarks):
    """Remarks that are told at once, so that they stand in their order among other warnings."""

    def __init__(self, where: str, warn: Warn) -> None:
        super().__init__(where)
        self._warn = warn

    def add(self, line: int, what: str, *, skipped: bool = True) -> None:
        super().add(line, what, skipped=skipped)
        self._warn(self.problems[-1].text)


def source_entries(text: str, where: str, syntax: str, *, utf8: bool, warn: Warn) -> Iterator[Entry]:
    """The entries of a source in the syntax `postmap` or `aliases`, duplicates included; `warn` hears what is wrong.

    `utf8`: lines that are not UTF-8 are left out.
    """
    remarks = _Spoken(where, warn)
    read = _alias if syntax == "aliases" else _postmap_entry
    for number, line in logical_lines(text, remarks, utf8=utf8):
        entry = read(number, line, remarks)
        if entry is not None:
            yield entry


def _postmap_entry(number: int, line: str, remarks: Remarks) -> Entry | None:
    key, value, unbalanced = split_entry(line)
    if unbalanced:
        remarks.add(number, f"unbalanced '\"' in '{printable(line)}' -- ignoring this line")
        return None
    if not key or not value:
        remarks.add(number, "expected format: key whitespace value")
        return None
    if key[-1] == ":":
        remarks.add(number, 'record is in "key: value" format; is this an alias file?', skipped=False)
    return Entry(key, value, line, number)


def _alias(number: int, line: str, remarks: Remarks) -> Entry | None:
    name, value, fault = split_alias(line)
    if fault:
        remarks.add(number, fault)
        return None
    return Entry(name, value, line, number)


class SourceText:
    """A source whose entries can be replaced and taken out; comments and all other lines stay as they are."""

    def __init__(self, text: str, syntax: str, fold: Callable[[str], str]) -> None:
        self._lines: list[str | None] = [*text.split("\n")]
        if self._lines[-1] == "":
            self._lines.pop()
        self._places: dict[str, list[list[int]]] = {}
        for group in self._groups():
            key = self._key("".join(self._lines[number] or "" for number in group), syntax)
            if key:
                self._places.setdefault(fold(key), []).append(group)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    @property
    def text(self) -> str:
        """The text as it is now."""
        return "".join(f"{line}\n" for line in self._lines if line is not None)

    def remove(self, key: str) -> bool:
        """Take all entries of a (folded) key out. False: there is none."""
        groups = self._places.pop(key, [])
        for group in groups:
            for number in group:
                self._lines[number] = None
        return bool(groups)

    def put(self, key: str, line: str) -> None:
        """Make `line` the entry of this (folded) key, in the place of the one that was there."""
        groups = self._places.get(key)
        at = groups[0][0] if groups else len(self._lines)
        self.remove(key)
        if groups:
            self._lines[at] = line
        else:
            self._lines.append(line)
        self._places[key] = [[at]]

    def _groups(self) -> Iterator[list[int]]:
        """The numbers of the lines of each logical line."""
        group: list[int] = []
        for number, line in enumerate(self._lines):
            stripped = (line or "").lstrip(BLANKS)
            if not line or not stripped or stripped[0] == "#":
                continue
            if line[0] in BLANKS:
                if group:
                    group.append(number)
                continue
            if group:
                yield group
            group = [number]
        if group:
            yield group

    @staticmethod
    def _key(line: str, syntax: str) -> str:
        if syntax == "aliases":
            name, _, fault = split_alias(line)
            return "" if fault else name
        key, value, unbalanced = split_entry(line)
        return "" if unbalanced or not value else key
