"""The pages of a queue file as they lie on the disk, for when SQLite cannot read it any more (queue/salvage.py).

Nothing is changed, and no page is needed to read another one. Source: "Database File Format" of SQLite, sections 1.3
(header), 1.5 (free pages), 1.7 (overflow), 1.8 (pointer maps), and "WAL-mode File Format", section 2.

Queue files have a pointer map (`auto_vacuum`): for each page what it is, and to which page it belongs. It tells pages
in use from those of mail that was removed, though nothing may lead to them any more.
"""

import os
import struct
from array import array
from pathlib import Path
from sys import byteorder
from typing import Final

PAGE: Final = 4096
"""Octets, in each queue file (queue/schema.py, open_connection)."""

UNKNOWN, ROOT, FREE, FIRST_OVERFLOW, OVERFLOW, TREE = range(6)
"""What a page is. A tree page belongs to the one above it, an overflow page to the one that leads to it."""

_MAPPED = PAGE // 5  # pages that a page of the pointer map tells of
_NEVER_USED = 0x40000000 // PAGE + 1
_DEPTH = 32  # of a tree; more is a circle
_WORD = 0xFFFFFFFF


class PageFile:
    """`count` is how many pages there should be; `errors` how many the disk could not give, as far as was asked.

    Raises OSError if the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._log = -1
        self.errors = 0
        try:
            self._log = os.open(path.with_name(f"{path.name}-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        self._logged, self.count = _read_log(self._log) if self._log >= 0 else ({}, 0)
        self._maps: dict[int, bytes | None] = {}
        if not self.count:
            self.count = self._counted(os.fstat(self._file).st_size // PAGE)
        self._listed_free = self._free_list()

    def close(self) -> None:
        os.close(self._file)
        if self._log >= 0:
            os.close(self._log)

    def read(self, number: int) -> bytes | None:
        """A page; None if it cannot be read."""
        if not 1 <= number <= self.count:
            return None
        logged = self._logged.get(number)
        try:
            if logged is not None:
                data = os.pread(self._log, PAGE, logged)
            else:
                data = os.pread(self._file, PAGE, (number - 1) * PAGE)
        except OSError:  # a sector that is bad
            self.errors += 1
            return None
        return data if len(data) == PAGE else None

    def kind(self, number: int) -> tuple[int, int]:
        """What a page is, and the page it belongs to (0: none, or not known)."""
        if number == 1:
            return ROOT, 0
        if number == _NEVER_USED:
            return FREE, 0
        place = (number - 2) % (_MAPPED + 1)
        entries = self._map(number - place)
        if entries is not None:
            return _entry(entries, place - 1) if place else (FREE, 0)  # the map itself holds no rows
        return (FREE if number in self._listed_free else UNKNOWN), 0

    def root(self, number: int) -> int | None:
        """The topmost page of the tree that a page belongs to; None if that is not known."""
        for _ in range(_DEPTH):
            kind, owner = self.kind(number)
            if kind == ROOT:
                return number
            if kind != TREE:
                return None
            number = owner
        return None

    def _counted(self, there: int) -> int:
        """By the header, if that can be trusted. More than there are: the file was cut."""
        self.count = max(there, 1)
        header = self.read(1)
        if header is None or not header.startswith(b"SQLite format 3\0"):
            return there
        (count,) = struct.unpack_from(">I", header, 28)
        return int(count) or there

    def _map(self, number: int) -> bytes | None:
        """That page of the pointer map, if it makes sense."""
        if number not in self._maps:
            data = self.read(number)
            self._maps[number] = data if data is not None and self._sensible(data, number) else None
        return self._maps[number]

    def _sensible(self, data: bytes, number: int) -> bool:
        for place in range(min(_MAPPED, self.count - number)):
            kind, owner = _entry(data, place)
            if number + 1 + place == _NEVER_USED:
                continue
            owned = kind in (FIRST_OVERFLOW, OVERFLOW, TREE)
            if not (0 < owner <= self.count if owned else kind in (ROOT, FREE) and owner == 0):
                return False
        return True

    def _free_list(self) -> set[int]:
        """Unused pages by the list of them, as far as it can be read: asked where the map cannot tell."""
        free: set[int] = set()
        header = self.read(1)
        trunk = struct.unpack_from(">I", header, 32)[0] if header is not None else 0
        while 1 < trunk <= self.count and trunk not in free and (data := self.read(trunk)) is not None:
            following, count = struct.unpack_from(">II", data)
            if count > PAGE // 4 - 2:
                break
            free.add(trunk)
            free.update(struct.unpack_from(f">{count}I", data, 8))
            trunk = following
        return free


def _entry(entries: bytes, place: int) -> tuple[int, int]:
    kind, owner = struct.unpack_from(">BI", entries, place * 5)
    return kind, owner


def _read_log(log: int) -> tuple[dict[int, int], int]:
    """Where the pages of whole transactions stand in the write-ahead log, and the number of pages after the last."""
    header = os.pread(log, 32, 0)
    if len(header) < 32:
        return {}, 0
    magic, _, page, _, salt, salt_2, *sums = struct.unpack(">8I", header)
    order = {0x377F0682: "little", 0x377F0683: "big"}.get(magic, "")
    if not order or page != PAGE or _sum(header[:24], order, 0, 0) != tuple(sums):
        return {}, 0
    pages: dict[int, int] = {}
    uncommitted: dict[int, int] = {}
    count, at = 0, 32
    first, second = sums
    while True:
        try:
            frame = os.pread(log, 24 + PAGE, at)
        except OSError:
            break
        if len(frame) < 24 + PAGE:
            break
        number, committed, *salts = struct.unpack_from(">4I", frame)
        if salts != [salt, salt_2]:
            break
        first, second = _sum(frame[:8], order, first, second)
        first, second = _sum(frame[24:], order, first, second)
        if struct.unpack_from(">2I", frame, 16) != (first, second):
            break
        uncommitted[number] = at + 24
        if committed:
            pages.update(uncommitted)
            uncommitted.clear()
            count = committed
        at += 24 + PAGE
    return pages, count


def _sum(data: bytes, order: str, first: int, second: int) -> tuple[int, int]:
    """The log's checksum, continued ("WAL-mode File Format", 4.2)."""
    words = array("I", data)
    if order != byteorder:
        words.byteswap()
    each = iter(words)
    for word in each:
        first = (first + word + second) & _WORD
        second = (second + next(each) + first) & _WORD
    return first, second
