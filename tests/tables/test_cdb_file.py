import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.tables.cdb_file import CdbError, cdb_bytes, cdb_entries, cdb_hash

ENTRIES = st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=300)), max_size=60)


def test_the_hash_of_the_format() -> None:
    assert cdb_hash(b"") == 5381
    assert cdb_hash(b"a") == (5381 * 33) ^ ord("a")


@given(ENTRIES)
def test_what_is_written_is_listed(entries: list[tuple[bytes, bytes]]) -> None:
    assert list(cdb_entries(cdb_bytes(entries))) == entries


@given(st.binary(max_size=3000), ENTRIES, st.integers(0, 2047), st.integers(0, 255))
def test_damaged_files(noise: bytes, entries: list[tuple[bytes, bytes]], place: int, octet: int) -> None:
    damaged = bytearray(cdb_bytes(entries))
    damaged[place] = octet
    for data in (noise, bytes(damaged), bytes(damaged[: len(damaged) // 2])):
        try:
            list(cdb_entries(data))
        except CdbError:
            pass


def test_too_short() -> None:
    with pytest.raises(CdbError):
        list(cdb_entries(b"short"))
