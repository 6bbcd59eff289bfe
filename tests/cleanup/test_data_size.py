"""The sizes are those that Postfix 3.7.11 logged for messages with these lines."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.cleanup.data_size import DataSize, data_size

LIMIT = 2048


@pytest.mark.parametrize(
    ("length", "in_header", "in_body"),
    [
        (10, 12, 12), (126, 128, 128), (127, 129, 129), (128, 131, 131), (129, 132, 132), (1000, 1003, 1003),
        (2045, 2048, 2048), (2046, 2049, 2049), (2047, 2050, 2050), (2048, 2051, 2053), (2049, 2054, 2054),
        (4095, 4101, 4101), (4096, 4102, 4104), (4097, 4105, 4105), (5000, 5009, 5009), (6144, 6153, 6155),
    ],
)  # fmt: skip
def test_one_line(length: int, in_header: int, in_body: int) -> None:
    assert data_size(b"S: x\n\n" + b"a" * length + b"\n", LIMIT) == 8 + in_body
    assert data_size(b"S:".ljust(length, b"a") + b"\n\nx\n", LIMIT) == in_header + 5


def test_short_and_empty_lines() -> None:
    assert data_size(b"S: x\n" + b"\n" * 10 + b"hi\n", LIMIT) == 6 + 20 + 4
    assert data_size(b"", LIMIT) == 0
    assert data_size(b"\n" + b"a" * LIMIT + b"\n", LIMIT) == 2 + LIMIT + 5


def test_other_limits() -> None:
    assert data_size(b"S: x\n\n" + b"a" * 16384 + b"\n", 20000) == 8 + 16384 + 4
    assert data_size(b"S: x\n\n" + b"a" * 1500 + b"\n", 600) == 8 + 603 + 603 + 303


_LINES = st.one_of(st.sampled_from([0, 0, 1, 100, 127, 128, 512, 513, 1024, 1500]), st.integers(0, 1600))


@given(st.lists(_LINES, max_size=12), st.lists(st.integers(0, 4000), max_size=6))
def test_pieces_give_what_the_whole_gives(lengths: list[int], cuts: list[int]) -> None:
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    counted = DataSize(512)
    places = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    for start, end in pairwise(places):
        counted.feed(content[start:end])
    assert counted.size == data_size(content, 512)
