"""The rows in a page of a queue file (queue/page_file.py), whatever has become of the pages around it.

Source: "Database File Format" of SQLite, sections 1.6 (B-tree pages) and 2.1 (records).
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from gatepost.queue.log_file import PAGE
from gatepost.queue.page_file import FIRST_OVERFLOW, OVERFLOW, UNKNOWN, PageFile

TABLE_LEAF: Final = 13
INDEX_LEAF: Final = 10
_INDEX_INNER: Final = 2
_TABLE_INNER: Final = 5
_LIMIT = 1 << 30  # octets of a row
_INTEGERS = (0, 1, 2, 3, 4, 6, 8)  # octets of an integer, by serial type

Value = None | int | float | str | bytes


class BadPage(Exception):
    """This is no page of a tree, or a part of it makes no sense."""


class Row(NamedTuple):
    """`number` is the rowid, None in tables without. Of the last columns something is missing if it is not `whole`.

    `pages`: the further ones on which it stands.
    """

    number: int | None
    columns: tuple[Value, ...]
    whole: bool
    pages: tuple[int, ...] = ()


def rows_in(file: PageFile, page: int, data: bytes, *, newest: bool = True) -> Iterator[Row | None]:
    """The rows that a page holds, None for one that makes no sense. Raises BadPage, if no row can be told.

    `newest`: the map of pages tells which further pages belong to it.
    """
    start = 100 if page == 1 else 0
    kind, cells = data[start], int.from_bytes(data[start + 3 : start + 5])
    if kind == _TABLE_INNER:
        return
    if kind not in (TABLE_LEAF, INDEX_LEAF, _INDEX_INNER):
        raise BadPage
    start += 12 if kind == _INDEX_INNER else 8
    if start + 2 * cells > PAGE:
        raise BadPage
    for at in struct.unpack_from(f">{cells}H", data, start):
        try:
            yield _row(file, page if newest else 0, data, at, kind)
        except (IndexError, ValueError, struct.error):
            yield None


def _row(file: PageFile, page: int, data: bytes, at: int, kind: int) -> Row:
    """Raises IndexError, ValueError, struct.error for what is none."""
    number = None
    at += 4 if kind == _INDEX_INNER else 0
    length, at = _varint(data, at)
    if kind == TABLE_LEAF:
        number, at = _varint(data, at)
        most = PAGE - 35
    else:
        most = (PAGE - 12) * 64 // 255 - 23
    if length > _LIMIT:
        raise ValueError("a row of that length")
    if length <= most:
        here = length
    else:
        least = (PAGE - 12) * 32 // 255 - 23
        here = least + (length - least) % (PAGE - 4)
        here = here if here <= most else least
    payload = data[at : at + here]
    if len(payload) < here:
        raise ValueError("a row that leaves its page")
    pages: list[int] = []
    if here < length:
        following = int.from_bytes(data[at + here : at + here + 4])
        payload = _continued(file, page, payload, following, length, pages)
    return Row(number, *_columns(payload, length), tuple(pages))


def _continued(file: PageFile, page: int, payload: bytes, following: int, length: int, pages: list[int]) -> bytes:
    """With what stands on further `pages`; cut where one cannot be read, or belongs to another row.

    `page`: to which the first belongs; 0: that is not to be asked.
    """
    parts, have, expected = [payload], len(payload), FIRST_OVERFLOW
    mapped = bool(page)
    while have < length:
        kind, owner = file.link(following) if mapped and 1 < following <= file.count else (UNKNOWN, 0)
        data = file.read(following)
        if data is None or (kind != UNKNOWN and (kind, owner) != (expected, page)):
            break
        pages.append(following)
        parts.append(data[4 : 4 + length - have])
        have += len(parts[-1])
        page, following, expected = following, int.from_bytes(data[:4]), OVERFLOW
    return b"".join(parts)


def _columns(payload: bytes, length: int) -> tuple[tuple[Value, ...], bool]:
    """Raises IndexError, ValueError, struct.error."""
    at, types = 0, []
    header, at = _varint(payload, at)
    while at < header:
        serial, at = _varint(payload, at)
        types.append(serial)
    columns: list[Value] = []
    for serial in types:
        value, at = _value(payload, at, serial)
        columns.append(value)
    if at != length:
        raise ValueError("columns of another length")
    return tuple(columns), len(payload) == length


def _value(payload: bytes, at: int, serial: int) -> tuple[Value, int]:
    if serial >= 12:
        end = at + (serial - 12) // 2
        if end > _LIMIT:
            raise ValueError("a column of that length")
        octets = payload[at:end]
        return (octets.decode() if serial % 2 else octets), end
    if serial == 7:
        return struct.unpack_from(">d", payload, at)[0], at + 8
    if serial in (8, 9):
        return serial - 8, at
    if serial == 0:
        return None, at
    end = at + _INTEGERS[serial]
    if end > len(payload):
        raise ValueError("a column that is not there")
    return int.from_bytes(payload[at:end], signed=True), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and where the next one begins. Raises IndexError."""
    value = 0
    for place in range(at, at + 8):
        octet = data[place]
        if octet < 0x80:
            return value << 7 | octet, place + 1
        value = value << 7 | octet & 0x7F
    return value << 8 | data[at + 8], at + 9
