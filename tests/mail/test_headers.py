import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.headers import header_end, header_name, header_value, headers, line_end, unfolded


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"Subject: x\n", b"Subject"),
        (b"X-Y_1.2 \t: x\n", b"X-Y_1.2"),
        (b"a b: x\n", b""),
        (b" a: x\n", b""),
        (b": x\n", b""),
        (b"no header\n", b""),
        (b"\xc3\xa9: x\n", b""),
        (b"\n", b""),
        (b"", b""),
    ],
)
def test_header_name(line: bytes, name: bytes) -> None:
    assert header_name(line) == name


@pytest.mark.parametrize(
    ("content", "rest"),
    [
        (b"A: b\nC: d\n e\n\tf\n\nbody\n", b"\nbody\n"),
        (b"A: b\nbody\n", b"body\n"),
        (b"A: b\n", b""),
        (b"A: b\nC: unfinished", b"C: unfinished"),
        (b" x\nA: b\n", b" x\nA: b\n"),
        (b"\n", b"\n"),
        (b"", b""),
    ],
)
def test_header_end(content: bytes, rest: bytes) -> None:
    assert content[header_end(content) :] == rest


def test_headers() -> None:
    assert list(headers(b"To: a,\n b\nX-Y : z\nSubject:\n\nA: b\n")) == [
        (b"to", b"To: a,\n b\n"),
        (b"x-y", b"X-Y : z\n"),
        (b"subject", b"Subject:\n"),
    ]


def test_values() -> None:
    assert header_value(b"To:\n  a b\n") == b"a b\n"
    assert unfolded(b"a,\n b\r\n\tc") == b"a, b\tc"
    assert line_end(b"ab\ncd", 0) == 3
    assert line_end(b"ab\ncd", 3) == 5


@given(st.lists(st.sampled_from([b"A", b": ", b":", b"\n", b" ", b"\t", b"\r", b"\xff", b"\0"]), max_size=30))
def test_scanners_agree_on_any_input(parts: list[bytes]) -> None:
    content = b"".join(parts)
    end = header_end(content)
    assert b"".join(text for _, text in headers(content[:end])) == content[:end]


def test_a_body_without_separator_is_no_part_of_the_header_section() -> None:
    for body in (b"A", b"text: none here\n", b"AB: x\nAB", b"hello world\n", b"AB :\n"):
        content = b"Subject: x\n folded\n" + body
        end = header_end(content)
        assert b"".join(text for _, text in headers(content[:end])) == content[:end]
    assert header_end(b"Subject: x\nhello world\n") == 11
    assert header_end(b"hello") == 0
