from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.mime_lines import MimeLines


def told(text: bytes, *, mime: bool = True) -> list[tuple[str, bytes]]:
    return list(MimeLines(mime=mime).lines(text.split(b"\n")))


def test_headers_are_whole_and_the_rest_line_by_line() -> None:
    assert told(b"A: b\n c\n\td\nB: c\n\none\n two\n") == [
        ("header", b"A: b\n c\n\td"), ("header", b"B: c"), ("body", b""), ("body", b"one"), ("body", b" two"),
        ("body", b""),
    ]  # fmt: skip


def test_what_is_no_header_begins_the_body() -> None:
    assert told(b"A: b\nno header\nB: c") == [("header", b"A: b"), ("body", b"no header"), ("body", b"B: c")]
    assert told(b"\nA: b") == [("body", b""), ("body", b"A: b")]


def parts(kind: bytes, *lines: bytes) -> Iterator[bytes]:
    for place, text in told(b"Content-Type: " + kind + b"\n\n--x\n" + b"\n".join(lines)):
        if place == "header" and not text.startswith(b"Content-Type"):
            yield text


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/mixed; boundary=x", b'Multipart/Mixed;\n BOUNDARY="x"', b'multipart/x; a="b;c"; boundary="\\x"',
        b"multipart/mixed (why) ; boundary=x (because)", b"multipart;boundary=x",
    ],
)  # fmt: skip
def test_headers_of_parts(kind: bytes) -> None:
    assert list(parts(kind, b"H: 1", b"", b"N: body", b"--x", b"H: 2", b"--x--", b"N: after")) == [b"H: 1", b"H: 2"]


def test_a_part_of_a_digest_is_a_message() -> None:
    assert list(parts(b"multipart/digest; boundary=x", b"", b"H: 1", b"", b"N: 2")) == [b"H: 1"]


def test_messages_within() -> None:
    for kind, seen in ((b"rfc822", True), (b"global", True), (b"partial", False), (b"delivery-status", False)):
        found = list(parts(b"multipart/mixed; boundary=x", b"Content-Type: message/" + kind, b"", b"H: 1"))
        assert found == ([b"H: 1"] if seen else [])


def test_without_mime_only_the_first_headers_are_headers() -> None:
    text = b"Content-Type: multipart/mixed; boundary=x\n\n--x\nA: b\n\nc"
    assert [kind for kind, _ in told(text, mime=False)] == ["header"] + ["body"] * 5


@given(st.lists(st.sampled_from([
    b"Content-Type: multipart/mixed; boundary=x", b"Content-Type: multipart/digest; boundary=xx", b"--x", b"--xx",
    b"--x--", b"", b"A: b", b" c", b"text", b"Content-Type: message/rfc822", b"Content-Type:", b"Content-Type: (((",
    b"--",
])))  # fmt: skip
def test_nothing_is_lost(lines: list[bytes]) -> None:
    found = [line for _, text in MimeLines(mime=True).lines(lines) for line in text.split(b"\n")]
    assert found == lines
