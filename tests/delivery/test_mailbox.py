import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.delivery.mailbox import MailCopy, write_all


@given(st.lists(st.sampled_from([b"From ", b"From", b"\n", b"x", b">", b"y" * 70000]), max_size=12))
def test_file_and_memory_give_the_same(parts: list[bytes]) -> None:
    content = b"".join(parts)
    small = MailCopy("a@b.example", "", "c@d.example", content)
    large = MailCopy("a@b.example", "", "c@d.example", io.BytesIO(content))
    for quote in (False, True):
        text = b"".join(small.pieces(quote_from=quote))
        assert b"".join(large.pieces(quote_from=quote)) == text
        body = text.removeprefix(small.head())
        assert not quote or not any(line.startswith(b"From ") for line in body.split(b"\n"))


def test_room(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    try:
        write_all(descriptor, iter([b"abc", b"de"]), 5)
        with pytest.raises(OSError, match="too large"):
            write_all(descriptor, iter([b"abc", b"def"]), 5)
        write_all(descriptor, iter([b"abc", b"def"]), -1)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("content", [b"x" * 200_000 + b"\n", b"From a\n" * 40_000, b"x" * 65_535 + b"\nFrom b\nend"])
def test_lines_are_quoted_alike_in_memory_and_from_a_file(content: bytes) -> None:
    copies = [MailCopy("", "", "d@x", given) for given in (content, io.BytesIO(content))]
    assert b"".join(copies[1].pieces(quote_from=True)) == b"".join(copies[0].pieces(quote_from=True))
    assert b"".join(copies[1].pieces()) == b"".join(copies[0].pieces())
