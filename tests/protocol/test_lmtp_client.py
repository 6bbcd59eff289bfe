from gatepost.protocol.lmtp_client import LmtpClientProtocol
from gatepost.protocol.smtp_client import NEED_DATA
from gatepost.protocol.smtp_client_events import Kind, Stage


def fed(core: LmtpClientProtocol, data: bytes) -> list[tuple[Kind, int]]:
    core.receive_data(data)
    found = []
    while (event := core.next_event()) is not NEED_DATA:
        found.append((event.kind, event.recipient))
    return found


def ready() -> LmtpClientProtocol:
    core = LmtpClientProtocol("me.example")
    assert fed(core, b"220 there LMTP\r\n") == []
    assert core.data_to_send() == b"LHLO me.example\r\n"
    assert core.stage is Stage.LHLO
    assert fed(core, b"250-there\r\n250 PIPELINING\r\n") == [(Kind.READY, -1)]
    return core


def test_the_last_answer_ends_the_transaction() -> None:
    core = ready()
    core.start_transaction(b"MAIL\r\n", [b"RCPT 0\r\n", b"RCPT 1\r\n", b"RCPT 2\r\n"], keep=True)
    told = fed(core, b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n")
    assert told == [
        (Kind.MAIL, -1), (Kind.RCPT, 0), (Kind.RCPT, 1), (Kind.RCPT, 2), (Kind.DATA, -1), (Kind.CONTENT, -1),
    ]  # fmt: skip
    assert core.content_sent() == b".\r\n"
    assert fed(core, b"250 first\r\n") == [(Kind.ANSWER, 0)]
    assert not core.idle
    assert fed(core, b"452 third\r\n") == [(Kind.END, -1)]
    assert core.idle


def test_answers_that_come_too_many_are_stray() -> None:
    core = ready()
    core.start_transaction(b"MAIL\r\n", [b"RCPT 0\r\n"], keep=True)
    fed(core, b"250 ok\r\n250 ok\r\n354 go\r\n")
    core.content_sent()
    assert fed(core, b"250 first\r\n250 second\r\n") == [(Kind.END, -1), (Kind.STRAY, -1)]
    assert core.stage is Stage.CLOSED


def test_no_other_greeting_is_tried() -> None:
    core = LmtpClientProtocol("me.example")
    fed(core, b"220 there\r\n")
    assert fed(core, b"500 what\r\n") == [(Kind.REFUSED, -1)]
    assert core.stage is Stage.LHLO
