"""Conversion to 7 bits. The expected texts are what Postfix 3.7.11 sends to a server without 8BITMIME."""

import quopri

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.mime_parts import MimeLimits
from gatepost.mail.mime_state import MimeState, NestingTooDeep, has_header_beyond_ascii, quoted_printable


def converted(text: str, piece: int = 0, *, downgrade: bool = True) -> str:
    content = text.encode()
    state = MimeState(downgrade=downgrade)
    step = piece or max(len(content), 1)
    lines = [line for at in range(0, len(content), step) for _, line in state.feed(content[at : at + step])]
    lines += [line for _, line in state.end()]
    return b"\n".join([*lines, b""]).decode()


MULTIPART = """\
Content-Type: multipart/mixed; boundary="b1"
Content-Transfer-Encoding: 8bit

preämble
--b1
Content-Type: text/plain
Content-Transfer-Encoding: 8bit
Content-Disposition: inline

ä
--b1
Content-Type: text/plain

raw ä
--b1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: nested ä
Content-Transfer-Encoding: 8bit
X: 1

nested body ä
--b1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 8bit

--b2
Content-transfer-encoding: base64

abcd
--b2
Content-Transfer-Encoding: Binary (foo)

inner ä=
--b2--
post ä
--b1--
epilogue ä
"""
MULTIPART_7 = """\
Content-Type: multipart/mixed; boundary="b1"
Content-Transfer-Encoding: 7bit

preämble
--b1
Content-Type: text/plain
Content-Disposition: inline
Content-Transfer-Encoding: quoted-printable

=C3=A4
--b1
Content-Type: text/plain

raw ä
--b1
Content-Type: message/rfc822
Content-Transfer-Encoding: 7bit

Subject: nested ä
X: 1
Content-Transfer-Encoding: quoted-printable

nested body =C3=A4
--b1
Content-Type: multipart/alternative; boundary=b2
Content-Transfer-Encoding: 7bit

--b2
Content-transfer-encoding: base64

abcd
--b2
Content-Transfer-Encoding: quoted-printable

inner =C3=A4=3D
--b2--
post ä
--b1--
epilogue ä
"""


def nested(depth: int) -> bytes:
    return b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (at, at) for at in range(depth))


def test_no_more_multiparts_in_one_another_than_may_be() -> None:
    """As many as Postfix converts: two more than mime_nesting_limit."""
    limits = MimeLimits(nesting=3)
    assert list(MimeState(downgrade=True, limits=limits).feed(nested(5)))
    with pytest.raises(NestingTooDeep, match=r"^MIME nesting exceeds safety limit$"):
        list(MimeState(downgrade=True, limits=limits).feed(nested(6)))
    assert list(MimeState(downgrade=False, limits=limits).feed(nested(6)))


def test_the_kinds_of_headers() -> None:
    given = b"""\
Subject: x
Content-Type: multipart/mixed; boundary=b
Content-Transfer-Encoding: 8bit

--b
Content-Type: message/rfc822
X: 1

Subject: y
Content-Transfer-Encoding: 8bit

text
"""
    state = MimeState(downgrade=True)
    told = [(kind, text) for kind, text in [*state.feed(given), *state.end()] if kind != "body"]
    assert told == [
        ("header", b"Subject: x"),
        ("mime_header", b"Content-Type: multipart/mixed; boundary=b"),
        ("header", b"Content-Transfer-Encoding: 7bit"),  # ours
        ("mime_header", b"Content-Type: message/rfc822"),
        ("mime_header", b"X: 1"),
        ("nested_header", b"Subject: y"),
        ("nested_header", b"Content-Transfer-Encoding: quoted-printable"),  # ours
    ]


@pytest.mark.parametrize("piece", [0, 1, 7])
def test_each_part_by_its_own_encoding(piece: int) -> None:
    assert converted(MULTIPART, piece) == MULTIPART_7


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("Subject: x\n\nä\n", "Subject: x\n\nä\n"),
        ("Content-Transfer-Encoding: 7bit\n\nä\n", "Content-Transfer-Encoding: 7bit\n\nä\n"),
        ("Content-Transfer-Encoding: 8bit\nX: y\n\n", "X: y\nContent-Transfer-Encoding: quoted-printable\n\n"),
        ("Content-Transfer-Encoding: 8bit\n", "Content-Transfer-Encoding: quoted-printable\n"),
        (
            "Content-Transfer-Encoding: 8bit\n\nend \n\t\n.dot=\n",
            "Content-Transfer-Encoding: quoted-printable\n\nend=20\n=09\n.dot=3D\n",
        ),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: ä\n"
            "Content-Transfer-Encoding: 8bit\n\nä\n",
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: 7bit\n\nSubject: ä\n"
            "Content-Transfer-Encoding: quoted-printable\n\n=C3=A4\n",
        ),
        (
            "Content-Type: message/partial; id=1\nContent-Transfer-Encoding: 8bit\n\nä\n",
            "Content-Type: message/partial; id=1\nContent-Transfer-Encoding: 7bit\n\n=C3=A4\n",
        ),
        (
            "Content-Type: multipart/digest; boundary=d\nContent-Transfer-Encoding: 8bit\n\n--d\n\nSubject: a ä\n"
            "Content-Transfer-Encoding: 8bit\n\nä\n--d--\n",
            "Content-Type: multipart/digest; boundary=d\nContent-Transfer-Encoding: 7bit\n\n--d\n\nSubject: a ä\n"
            "Content-Transfer-Encoding: quoted-printable\n\n=C3=A4\n--d--\n",
        ),
    ],
)
def test_messages(given: str, sent: str) -> None:
    assert converted(given) == sent


def test_long_lines_are_broken_where_postfix_breaks_them() -> None:
    assert [len(line) for line in quoted_printable(b"a" * 200)] == [74, 74, 54]
    assert [len(line) for line in quoted_printable("ä".encode() * 60)] == [76, 76, 76, 76, 60 * 6 - 300]


@given(st.binary(max_size=300))
def test_quoted_printable_can_be_read_again(line: bytes) -> None:
    line = line.replace(b"\n", b"")
    encoded = b"\n".join(quoted_printable(line))
    assert quopri.decodestring(encoded) == line
    assert encoded.isascii()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=20), max_size=10))
def test_without_mime_nothing_changes(lines: list[str]) -> None:
    text = "\n".join(["Subject: x", "", *lines, ""])
    assert converted(text) == text


def test_a_line_in_many_pieces() -> None:
    state = MimeState(downgrade=False)
    events = [event for piece in (b"A: b\n", b"\nx", b"y", b"z", b"\n", b"\nend") for event in state.feed(piece)]
    events += state.end()
    assert [text for _, text in events] == [b"A: b", b"", b"xyz", b"", b"end"]


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("Subject: ü\n\nbody\n", True),
        ("Subject: x\n\nSubject: ü\n", False),
        ("Subject: x\n ü", True),
        ("Content-Type: message/global\n\nSubject: ü\n\n", True),
        ("Content-Type: message/global-headers\n\nSubject: ü\n\n", False),
        ("Content-Type: multipart/mixed; boundary=b\n\nü: x\n--b\nX: ü\n\n", True),
        ("Content-Type: multipart/mixed; boundary=b\n\nü: x\n--b\nX: u\n\nX: ü\n--b--\nX: ü\n", False),
    ],
)
def test_headers_beyond_ascii(text: str, has: bool) -> None:
    content = text.encode()
    assert has_header_beyond_ascii((content,)) is has
    assert has_header_beyond_ascii(content[at : at + 3] for at in range(0, len(content), 3)) is has


def headers(content: bytes, pieces: list[int]) -> list[bytes]:
    """What MimeState.headers tells of content in pieces of these lengths, over and over."""
    state = MimeState(downgrade=False)
    found, at, turn = [], 0, 0
    while at < len(content):
        step = pieces[turn % len(pieces)]
        found += list(state.headers(content[at : at + step]))
        at, turn = at + step, turn + 1
    return found + [text for kind, text in state.end() if kind != "body"]


_SCRAPS = ["--b1", "--b2", "--", "-", "\n", "\n\n", " ", "X: 1", "Content-Type: message/rfc822\n\n", "text", "--b1--",
           "Content-Type: multipart/mixed; boundary=b2\n", "Content-Transfer-Encoding:\n 8bit\n"]  # fmt: skip


@given(st.lists(st.sampled_from(_SCRAPS), max_size=40), st.lists(st.integers(1, 20), min_size=1, max_size=5))
def test_headers_alone_are_those_of_all(scraps: list[str], pieces: list[int]) -> None:
    content = ("Content-Type: multipart/mixed; boundary=b1\n" + "".join(scraps)).encode()
    state = MimeState(downgrade=False)
    wanted = [text for kind, text in [*state.feed(content), *state.end()] if kind != "body"]
    assert headers(content, pieces) == wanted


def test_headers_alone_of_a_known_message() -> None:
    content = MULTIPART.encode()
    state = MimeState(downgrade=False)
    wanted = [text for kind, text in [*state.feed(content), *state.end()] if kind != "body"]
    assert len(wanted) > 10
    for step in range(1, 60):
        assert headers(content, [step]) == wanted


def test_headers_without_end_fill_no_memory() -> None:
    state = MimeState(downgrade=False)
    assert not list(state.headers(b"X: 1\n"))
    for _ in range(1000):
        assert not list(state.headers(b" " + b"y" * 10_000 + b"\n"))
    (header,) = state.headers(b"Y: 2\n")
    assert len(header) < 250_000
    assert [len(text) < 5000 for text in state.headers(b"Z: " + b"z" * 100_000 + b"\n\n")] == [True, True]
