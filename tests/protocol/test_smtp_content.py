import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.smtp_content import ContentEncoder, encode_content, fold_long_lines, has_long_line


@pytest.mark.parametrize(
    ("content", "wire"),
    [
        (b"", b""),
        (b"a\nb\n", b"a\r\nb\r\n"),
        (b".\n", b"..\r\n"),
        (b"a\n.\n..\n", b"a\r\n..\r\n...\r\n"),
        (b"no end", b"no end\r\n"),
        (b"\n\n", b"\r\n\r\n"),
    ],
)
def test_line_ends_and_dots(content: bytes, wire: bytes) -> None:
    assert encode_content(content, 998) == wire


def test_long_lines_are_broken_as_postfix_breaks_them() -> None:
    content = b"a" * 2500 + b"\n" + b"b" * 998 + b"\n" + b"c" * 999 + b"\n" + b"." * 1000 + b"\n"
    assert encode_content(content, 998).split(b"\r\n") == [
        b"a" * 998, b" " + b"a" * 997, b" " + b"a" * 505, b"b" * 998, b"c" * 998, b" c", b"." * 999, b" ..", b"",
    ]  # fmt: skip


def test_no_limit() -> None:
    assert encode_content(b"a" * 5000 + b"\n", 0) == b"a" * 5000 + b"\r\n"


LINES = st.lists(st.sampled_from([b"", b".", b"..", b"ab", b"x" * 9, b"y" * 10, b"z" * 11, b"w" * 45]), max_size=12)


@given(LINES, st.integers(1, 30), st.integers(2, 12))
def test_pieces_give_the_same_as_the_whole(lines: list[bytes], size: int, limit: int) -> None:
    content = b"".join(line + b"\n" for line in lines)
    encoder = ContentEncoder(limit)
    wire = b"".join(encoder.encode(content[at : at + size]) for at in range(0, len(content), size)) + encoder.finish()
    assert wire == encode_content(content, limit)
    assert encoder.folded == has_long_line(content, limit)


@given(LINES, st.integers(2, 12))
def test_what_arrives_is_what_was_sent(lines: list[bytes], limit: int) -> None:
    content = b"".join(line + b"\n" for line in lines)
    wire = encode_content(content, limit)
    assert b"\r\n.\r\n" not in b"\r\n" + wire
    received = b"".join((line[1:] if line.startswith(b".") else line) + b"\n" for line in wire.split(b"\r\n")[:-1])
    assert received == fold_long_lines(content, limit)
    assert received.replace(b"\n ", b"") == content.replace(b"\n ", b"")
    assert not has_long_line(received, limit)
