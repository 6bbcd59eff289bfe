"""cdb files, whole: written anew or listed (cdb(5): constant database, at most 4 GiB)."""

import struct
from collections.abc import Iterable, Iterator

_TABLES = 256
_HEADER = _TABLES * 8
_PAIR = struct.Struct("<II")
_LIMIT = 1 << 32


class CdbError(ValueError):
    """Not a cdb file, or too much for one."""


def cdb_hash(key: bytes) -> int:
    """The hash function of the format."""
    value = 5381
    for octet in key:
        value = ((value << 5) + value ^ octet) & 0xFFFFFFFF
    return value


def cdb_bytes(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A file with these entries, in this order. Raises CdbError beyond 4 GiB."""
    out = bytearray(_HEADER)
    slots: list[list[tuple[int, int]]] = [[] for _ in range(_TABLES)]
    for key, value in entries:
        digest = cdb_hash(key)
        slots[digest & 255].append((digest, len(out)))
        out += _PAIR.pack(len(key), len(value)) + key + value
    for number, found in enumerate(slots):
        _PAIR.pack_into(out, number * 8, len(out) & 0xFFFFFFFF, 2 * len(found))
        out += _hash_table(found)
    if len(out) >= _LIMIT:
        raise CdbError("a cdb file holds at most 4 GiB")
    return bytes(out)


def _hash_table(found: list[tuple[int, int]]) -> bytes:
    """Twice as many slots as records, so that a search soon meets an empty one."""
    size = 2 * len(found)
    table = [(0, 0)] * size
    for digest, position in found:
        place = (digest >> 8) % size
        while table[place][1]:
            place = (place + 1) % size
        table[place] = (digest, position)
    return b"".join(_PAIR.pack(*slot) for slot in table)


def cdb_entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All records in their order. Raises CdbError for what is no cdb file."""
    if len(data) < _HEADER:
        raise CdbError("not a cdb file")
    end = min(_PAIR.unpack_from(data, number * 8)[0] for number in range(_TABLES))
    at = _HEADER
    while at < end:
        if at + 8 > len(data):
            raise CdbError("not a cdb file")
        key_length, value_length = _PAIR.unpack_from(data, at)
        at += 8
        if at + key_length + value_length > end:
            raise CdbError("not a cdb file")
        yield data[at : at + key_length], data[at + key_length : at + key_length + value_length]
        at += key_length + value_length
