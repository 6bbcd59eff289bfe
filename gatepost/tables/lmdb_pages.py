"""The pages of an lmdb file, read without its library: one key is looked for (lmdb.h, mdb.c of OpenLDAP).

The library maps the file into memory and believes what stands there: a file that is cut short or overwritten while it
is in use ends the process, and all sessions with it. Here it is an error of one lookup.
"""

import os
import struct
from typing import NamedTuple

# Page: number, unused, flags, end of the list of nodes, beginning of the nodes. Numbers are in the host's order.
_PAGE = struct.Struct("=QHHHH")
# Meta page, behind the page's header: magic, version, address, size; page size, flags, depth and numbers of the free
# list; the same of the entries: flags, depth, pages (three kinds), entries, root; last page, transaction.
_META = struct.Struct("=IIQQ I44x 4xHHQQQQQ QQ")
# Node: two halves of the size of its value (or the page below), flags (or the page's highest bits), size of its key.
_NODE = struct.Struct("=HHHH")
_NUMBER = struct.Struct("=Q")

_MAGIC = 0xBEEFC0DE
_VERSION = 1
_BRANCH, _LEAF, _OVERFLOW = 1, 2, 4
_VALUE_ELSEWHERE = 1  # node flag
_NO_ROOT = 2**64 - 1
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_DEEPEST = 32


class DamagedLmdb(Exception):
    """What is there is no lmdb file, or not all of it."""


class Snapshot(NamedTuple):
    """The table as its last complete transaction has left it."""

    page_size: int
    entries: int
    root: int
    transaction: int


def snapshot(descriptor: int) -> Snapshot:
    """The table in an open file now. Raises DamagedLmdb and OSError."""
    first = _meta(descriptor, 0)
    # As the library: both must be there. One alone may be that of an empty table, as which the file has begun.
    return max(first, _meta(descriptor, first.page_size), key=lambda meta: meta.transaction)


def _meta(descriptor: int, place: int) -> Snapshot:
    data = os.pread(descriptor, _PAGE.size + _META.size, place)
    if len(data) < _PAGE.size + _META.size:
        raise DamagedLmdb("file is too short")
    magic, version, _, _, page_size, flags, _, _, _, _, entries, root, _, transaction = _META.unpack_from(
        data, _PAGE.size
    )
    if magic != _MAGIC or version != _VERSION or page_size not in _PAGE_SIZES or flags:
        raise DamagedLmdb("not an lmdb file")
    return Snapshot(page_size, entries, root, transaction)


def find(descriptor: int, table: Snapshot, key: bytes) -> bytes | None:
    """The value of exactly this key. Raises DamagedLmdb and OSError."""
    if table.root == _NO_ROOT:
        if table.entries:
            raise DamagedLmdb("no root")
        return None
    try:
        return _Search(descriptor, table.page_size).find(table.root, key)
    except (struct.error, OverflowError):
        raise DamagedLmdb("file is damaged") from None


class _Search:
    __slots__ = ("_descriptor", "_size")

    def __init__(self, descriptor: int, page_size: int) -> None:
        self._descriptor = descriptor
        self._size = page_size

    def find(self, number: int, key: bytes) -> bytes | None:
        for _ in range(_DEEPEST):
            page, nodes, flags = self._page(number)
            index = self._last_not_beyond(page, nodes, key, first=1 if flags == _BRANCH else 0)
            if index < 0:
                return None
            low, high, node_flags, found, at = self._node(page, nodes[index])
            if flags == _BRANCH:
                number = low | high << 16 | node_flags << 32
                continue
            if found != key:
                return None
            return self._value(page, at, low | high << 16, elsewhere=bool(node_flags & _VALUE_ELSEWHERE))
        raise DamagedLmdb("pages go round in a circle")

    def _page(self, number: int) -> tuple[bytes, tuple[int, ...], int]:
        """A page, where its nodes are, and what it is."""
        page = os.pread(self._descriptor, self._size, number * self._size)
        own_number, _, flags, lower, upper = _PAGE.unpack_from(page)
        flags &= _BRANCH | _LEAF | _OVERFLOW
        if own_number != number or flags not in (_BRANCH, _LEAF) or not _PAGE.size < lower <= upper <= len(page):
            raise DamagedLmdb(f"page {number} is damaged")
        return page, struct.unpack_from(f"={(lower - _PAGE.size) // 2}H", page, _PAGE.size), flags

    def _last_not_beyond(self, page: bytes, nodes: tuple[int, ...], key: bytes, *, first: int) -> int:
        """The last node from `first` on whose key is not beyond `key`; the one before `first` if there is none."""
        low, high = first, len(nodes)
        while low < high:
            middle = (low + high) // 2
            if self._node(page, nodes[middle])[3] <= key:
                low = middle + 1
            else:
                high = middle
        return low - 1

    def _node(self, page: bytes, at: int) -> tuple[int, int, int, bytes, int]:
        """Two halves of a size or page, flags, the key, and where it ends."""
        low, high, flags, key_size = _NODE.unpack_from(page, at)
        end = at + _NODE.size + key_size
        if at < _PAGE.size or end > len(page):
            raise DamagedLmdb("file is damaged")
        return low, high, flags, page[at + _NODE.size : end], end

    def _value(self, page: bytes, at: int, size: int, *, elsewhere: bool) -> bytes:
        if not elsewhere:
            value = page[at : at + size]
        else:
            (number,) = _NUMBER.unpack_from(page, at)
            head = os.pread(self._descriptor, _PAGE.size, number * self._size)
            own_number, _, flags, _, _ = _PAGE.unpack_from(head)
            if own_number != number or not flags & _OVERFLOW:
                raise DamagedLmdb(f"page {number} is damaged")
            value = os.pread(self._descriptor, size, number * self._size + _PAGE.size)
        if len(value) != size:
            raise DamagedLmdb("file is damaged")
        return value
