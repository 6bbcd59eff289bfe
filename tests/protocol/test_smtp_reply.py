import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.smtp_reply import LINE_LIMIT, ODDITIES_LIMIT, REPLY_LIMIT, UNREAD_LIMIT, ReplyReader, SmtpReply


def read(data: bytes, size: int = 0) -> list[SmtpReply]:
    reader, replies = ReplyReader(), []
    for at in range(0, len(data), size or len(data) or 1):
        reader.receive_data(data[at : at + (size or len(data))])
        while (reply := reader.next_reply()) is not None:
            replies.append(reply)
    return replies


@pytest.mark.parametrize(
    ("line", "code", "dsn"),
    [
        (b"250 2.1.5 Ok", 250, "2.1.5"),
        (b"250", 250, "2.0.0"),
        (b"250 ", 250, "2.0.0"),
        (b"550   5.1.1", 550, "5.1.1"),
        (b"550 5.1.1x", 550, "5.0.0"),
        (b"550 4.1.1 class differs", 550, "5.0.0"),
        (b"450 4.1000.1 too long", 450, "4.0.0"),
        (b"354 go", 354, "5.5.0"),
        (b"199 2.0.0 hm", 199, "5.5.0"),
    ],
)
def test_codes(line: bytes, code: int, dsn: str) -> None:
    assert read(line + b"\r\n") == [SmtpReply(code, dsn, line.decode())]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_multi_line_replies_and_what_follows(size: int) -> None:
    data = b"250-a\r\n250-b\n250 2.0.0 c\r\r\n354 go\r\n550 5.1.1"
    assert read(data, size) == [SmtpReply(250, "2.0.0", "250-a\n250-b\n250 2.0.0 c"), SmtpReply(354, "5.5.0", "354 go")]


def test_one_line() -> None:
    assert SmtpReply(250, "2.0.0", "250-a\n250 b").one_line == "250-a 250 b"


def test_stray_lines_become_part_of_the_text() -> None:
    reader = ReplyReader()
    reader.receive_data(b"hello\r\n2500 x\r\n25 x\r\n250 Ok\r\n")
    assert reader.next_reply() == SmtpReply(250, "2.0.0", "hello\n2500 x\n25 x\n250 Ok")
    assert reader.oddities == [("stray", "hello"), ("stray", "2500 x"), ("stray", "25 x")]


@pytest.mark.parametrize("size", [0, 100])
def test_long_lines_are_cut(size: int) -> None:
    reply = read(b"250 2.0.0 " + b"x" * 5000 + b"\r\n250 Ok\r\n", size)
    assert len(reply[0].text) == LINE_LIMIT
    assert reply[1] == SmtpReply(250, "2.0.0", "250 Ok")


def test_long_replies_are_cut() -> None:
    reader = ReplyReader()
    reader.receive_data(b"250-" + b"y" * 70 + b"\r\n")
    for _ in range(10_000):
        reader.receive_data(b"250-" + b"y" * 70 + b"\r\n")
        assert reader.next_reply() is None
    reader.receive_data(b"250 2.0.0 end\r\n")
    reply = reader.next_reply()
    assert reply is not None
    assert len(reply.text) < 2 * LINE_LIMIT
    assert [kind for kind, _ in reader.oddities] == ["long reply"]


@pytest.mark.parametrize("piece", [b"\n" * 4096, b"250-x\r\n" * 600, b"x" * 4096])
def test_what_never_ends_is_told_and_kept_nowhere(piece: bytes) -> None:
    reader = ReplyReader()
    for _ in range(REPLY_LIMIT // len(piece)):
        reader.receive_data(piece)
        assert reader.next_reply() is None
        assert not reader.endless
    reader.receive_data(piece * 2)
    assert reader.next_reply() is None
    assert reader.endless
    assert len(reader.oddities) <= ODDITIES_LIMIT
    reader.receive_data(b"\r\n250 Ok\r\n")
    assert reader.next_reply() is not None
    assert not reader.endless


def test_what_nobody_reads_is_told() -> None:
    reader = ReplyReader()
    reader.receive_data(b"250 early\r\n")
    assert not reader.endless
    reader.receive_data(b"x" * UNREAD_LIMIT)
    assert reader.endless


def test_characters_that_steer_terminals_are_unprintable() -> None:
    assert read("250 a\x9b1mb\u2028c\x85\r\n".encode())[0].text == "250 a?1mb?c?"


def test_unprintable_characters_are_replaced() -> None:
    assert read(b"250 a\tb\x00\xe9\xc3\xa9\r\n")[0].text == "250 a?b??é"


@given(st.binary(max_size=200), st.integers(1, 5))
def test_any_octets_in_any_pieces_give_the_same_printable_replies(data: bytes, size: int) -> None:
    replies = read(data)
    assert read(data, size) == replies
    for reply in replies:
        assert 0 <= reply.code <= 999
        assert all(c == "\n" or ord(c) >= 32 for c in reply.text)
        reply.text.encode()
