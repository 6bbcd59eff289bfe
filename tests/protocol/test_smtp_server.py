"""Bytes in, events out: whole, cut anywhere, and with rubbish."""

from hypothesis import given
from hypothesis import strategies as st

from gatepost.protocol.data_scanner import ChunkReader
from gatepost.protocol.smtp_server import NEED_DATA, PAUSED, Command, Content, Response, SmtpServerProtocol, State


def commands(pieces: list[bytes], limit: int = 2048) -> list[Command]:
    protocol = SmtpServerProtocol(limit)
    found = []
    for piece in pieces:
        protocol.receive_data(piece)
        while isinstance(event := protocol.next_event(), Command):
            found.append(event)
            assert protocol.next_event() is PAUSED
            protocol.send_reply(b"250 Ok\r\n")
        assert event is NEED_DATA
    return found


def octets(data: bytes) -> list[bytes]:
    return [data[i : i + 1] for i in range(len(data))]


def test_a_command_is_handed_out_once_its_reply_is_owed_then() -> None:
    protocol = SmtpServerProtocol()
    protocol.receive_data(b"mail FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
    assert protocol.next_event() == Command("MAIL", "FROM:<a@b>", "mail FROM:<a@b>")
    assert protocol.next_event() is PAUSED
    assert protocol.sent_ahead() == b"RCPT TO:<c@d>\r\n"
    protocol.send_reply(b"250 2.1.0 Ok\r\n")
    assert protocol.next_event() == Command("RCPT", "TO:<c@d>", "RCPT TO:<c@d>")
    protocol.send_reply(b"250 2.1.5 Ok\r\n")
    assert protocol.next_event() is NEED_DATA
    assert protocol.data_to_send() == b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n"
    assert protocol.data_to_send() == b""


def test_odd_lines() -> None:
    wire = b"\r\nNOOP\nQUIT\r\r\nHELO \xe9\r\nHELO \xc3\xa9\r\nRSET\x00x\r\n"
    for pieces in ([wire], octets(wire)):
        found = commands(pieces)
        assert [(c.verb, c.argument, c.bare_newline, c.bad_utf8) for c in found] == [
            ("", "", False, False),
            ("NOOP", "", True, False),
            ("QUIT", "", False, False),
            ("", "", False, True),
            ("HELO", "é", False, False),
            ("RSET", "", False, False),
        ]


def test_long_lines_are_cut() -> None:
    wire = b"NOOP " + b"x" * 5000 + b"\r\n" + b"HELO " + b"y" * 507 + b"\r\nHELO " + b"z" * 508 + b"\r\n"
    for pieces in ([wire], octets(wire)):
        found = commands(pieces, 512)
        assert [(c.verb, len(c.line), c.too_long, c.bare_newline) for c in found] == [
            ("NOOP", 512, True, False),
            ("HELO", 512, False, False),
            ("HELO", 512, True, False),
        ]


def test_data_and_what_follows() -> None:
    protocol = SmtpServerProtocol()
    protocol.receive_data(b"DATA\r\na\r\n..b\r\n.\r\nQUIT\r\n")
    assert isinstance(protocol.next_event(), Command)
    protocol.send_reply(b"354 go\r\n")
    protocol.read_data()
    assert protocol.next_event() == Content(b"a\n.b\n", True)
    assert protocol.next_event() is PAUSED
    protocol.send_reply(b"250 Ok\r\n")
    assert protocol.next_event() == Command("QUIT", "", "QUIT")


def test_chunks_are_counted() -> None:
    protocol = SmtpServerProtocol()
    reader = ChunkReader()
    protocol.receive_data(b"BDAT 6\r\nab")
    assert isinstance(protocol.next_event(), Command)
    protocol.read_chunk(6, reader)
    assert protocol.next_event() == Content(b"ab", False)
    assert protocol.next_event() is NEED_DATA
    protocol.receive_data(b"\r\n.\rBDAT 3 LAST\r\n\ncd")
    assert protocol.next_event() == Content(b"\n.", True)
    assert protocol.next_event() is PAUSED
    protocol.send_reply(b"250 Ok\r\n")
    assert isinstance(protocol.next_event(), Command)
    protocol.read_chunk(3, reader)
    assert protocol.next_event() == Content(b"\ncd", True)
    assert reader.finish() == b"\n"


def test_after_close_nothing_counts() -> None:
    protocol = SmtpServerProtocol()
    protocol.receive_data(b"QUIT\r\nNOOP\r\n")
    protocol.next_event()
    protocol.send_reply(b"221 Bye\r\n")
    protocol.close()
    protocol.receive_data(b"NOOP\r\n")
    assert protocol.next_event() is NEED_DATA
    assert protocol.state is State.CLOSED
    assert protocol.data_to_send() == b"221 Bye\r\n"


PARTS = [
    b"DATA\r\n",
    b"BDAT 5\r\n",
    b"NOOP",
    b"\r\n",
    b"\r",
    b"\n",
    b".",
    b"\0",
    b"\xff",
    b"<",
    b'"',
    b"x" * 600,
    b"\r\n.\r\n",
]


@given(st.lists(st.one_of(st.sampled_from(PARTS), st.binary(max_size=20)), max_size=20))
def test_no_input_raises(parts: list[bytes]) -> None:
    protocol = SmtpServerProtocol(512)
    reader = ChunkReader()
    for part in parts:
        protocol.receive_data(part)
        while (event := protocol.next_event()) is not NEED_DATA:
            if isinstance(event, Command) and event.verb == "BDAT":
                protocol.read_chunk(5, reader)
            elif isinstance(event, Command) or (isinstance(event, Content) and event.last):
                protocol.send_reply(b"250 Ok\r\n")
                if isinstance(event, Command) and event.verb == "DATA":
                    protocol.read_data()
            assert event is not PAUSED
        assert protocol.buffered <= 1200


def responses(pieces: list[bytes], limit: int) -> list[Response]:
    protocol = SmtpServerProtocol()
    protocol.send_reply(b"334 \r\n")
    protocol.read_response(limit)
    found = []
    for piece in pieces:
        protocol.receive_data(piece)
        while isinstance(event := protocol.next_event(), Response):
            found.append(event)
            assert protocol.next_event() is PAUSED
            protocol.send_reply(b"334 \r\n")
            protocol.read_response(limit)
        assert event is NEED_DATA
    return found


def test_responses_of_auth() -> None:
    wire = b"abcd\r\n*\n\r\n" + b"x" * 19 + b"\r\n" + b"x" * 20 + b"\r\n" + b"x" * 500 + b"\r\nQUIT\0x\r\n\xff\r\n"
    for pieces in ([wire], octets(wire)):
        found = responses(pieces, 20)
        assert [event.text for event in found] == ["abcd", "*", "", "x" * 19, "", "", "QUIT", "\xff"]
        assert [event.too_long for event in found] == [False, False, False, False, True, True, False, False]


def test_a_response_does_not_show() -> None:
    assert "abcd" not in repr(Response("abcd"))


def test_a_command_follows_the_last_response() -> None:
    protocol = SmtpServerProtocol()
    protocol.read_response(12288)
    protocol.receive_data(b"abcd\r\nQUIT\r\n")
    assert protocol.next_event() == Response("abcd")
    protocol.send_reply(b"235 2.7.0 Authentication successful\r\n")
    assert protocol.next_event() == Command("QUIT", "", "QUIT")
