"""The pages of a queue file as they lie on the disk, for when SQLite cannot read it any more (queue/salvage.py).

Nothing is changed, and no page is needed to read another one. Source: "Database File Format" of SQLite, sections 1.3
(header), 1.5 (free pages), 1.7 (overflow) and 1.8 (pointer maps). Of the write-ahead log: queue/log_frames.py.

Queue files have a pointer map (`auto_vacuum`): for each page what it is, and to which page it belongs. It tells pages
in use from those of mail that was removed, though nothing may lead to them any more.
"""

import os
import struct
from pathlib import Path

from gatepost.queue.log_file import PAGE, log_of
from gatepost.queue.log_frames import IN_THE_FILE, LogPages, read_log

UNKNOWN, ROOT, FREE, FIRST_OVERFLOW, OVERFLOW, TREE = range(6)
"""What a page is. A tree page belongs to the one above it, an overflow page to the one that leads to it."""

_MAPPED = PAGE // 5  # pages that a page of the pointer map tells of
_NEVER_USED = 0x40000000 // PAGE + 1
_DEPTH = 32  # of a tree; more is a circle


class PageFile:
    """`count` is how many pages there should be; `errors` how many the disk could not give, as far as was asked.

    `logged` is what the log has; if that was damaged, some pages are not the newest. Raises OSError if the file cannot
    be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._log = -1
        self.errors = 0
        try:
            self._log = os.open(log_of(path), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            pass
        there = os.fstat(self._file).st_size // PAGE
        self.logged = read_log(self._log, there) if self._log >= 0 else LogPages({}, 0)
        self._maps: dict[int, bytes | None] = {}
        self.count = self.logged.count or self._counted(there)
        self._listed_free = self._free_list()

    def close(self) -> None:
        os.close(self._file)
        if self._log >= 0:
            os.close(self._log)

    def read(self, number: int) -> bytes | None:
        """A page; None if it cannot be read."""
        if not 1 <= number <= self.count:
            return None
        return self.read_at(number, self.logged.pages.get(number, IN_THE_FILE))

    def read_at(self, number: int, at: int) -> bytes | None:
        """Its image that stands there in the log, or IN_THE_FILE."""
        try:
            if at != IN_THE_FILE:
                data = os.pread(self._log, PAGE, at)
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

    def link(self, number: int) -> tuple[int, int]:
        """As `kind`, but UNKNOWN if what the map says of that page may be old."""
        if number - (number - 2) % (_MAPPED + 1) in self.logged.doubtful:
            return UNKNOWN, 0
        return self.kind(number)

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
