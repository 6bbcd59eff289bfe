import pytest

from gatepost.delivery.smtp_transcript import recording, transcript_classes
from gatepost.protocol.smtp_client import NEED_DATA, SmtpClientProtocol
from gatepost.protocol.smtp_client_login import with_login
from tests.rewrite.services import settings_for

MAIL, RCPT = b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<c@d.example>\r\n"


def play(*replies: bytes) -> tuple[list[str], set[str]]:
    """A session with a server that offers nothing; the replies to MAIL and what follows."""
    core = recording(SmtpClientProtocol)("me.example")
    for at, reply in enumerate((b"220 x\r\n", b"250 x\r\n", *replies)):
        if at == 2:
            core.start_transaction(MAIL, [RCPT], keep=False)
            core.data_to_send()
        core.receive_data(reply)
        while core.next_event() is not NEED_DATA:
            pass
        core.data_to_send()
    return core.said, core.classes  # type: ignore[attr-defined]


def test_what_is_said_is_written_down() -> None:
    said, classes = play(b"501-one\r\n501 two\r\n")
    assert said == [
        "In:  220 x", "Out: EHLO me.example", "In:  250 x", "Out: MAIL FROM:<a@b.example>", "In:  501-one",
        "In:  501 two", "Out: QUIT",
    ]  # fmt: skip
    assert classes == {"protocol"}


@pytest.mark.parametrize(
    ("replies", "found"),
    [
        ((b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"), set()),
        ((b"550 5.1.8 no\r\n",), set()),
        ((b"451 later\r\n",), set()),
        ((b"250 ok\r\n", b"555 what\r\n"), {"protocol"}),
        ((b"250 ok\r\n", b"250 ok\r\n", b"250 what\r\n"), {"protocol"}),
        ((b"354 what\r\n",), {"protocol"}),
        ((b"999 what\r\n",), {"protocol"}),
    ],
)
def test_complaints_about_form(replies: tuple[bytes, ...], found: set[str]) -> None:
    assert play(*replies)[1] == found


def test_classes() -> None:
    assert transcript_classes(settings_for()) == set()
    assert transcript_classes(settings_for("notify_classes = Protocol, bounce")) == {"protocol"}


def test_logins_are_left_out() -> None:
    core = recording(with_login(SmtpClientProtocol))("me.example")
    core.receive_data(b"220 x\r\n250-x\r\n250 AUTH PLAIN LOGIN\r\n")
    core.next_event()
    core.data_to_send()
    for line, reply in (
        ("AUTH LOGIN", b"334 VXNlcm5hbWU6"),
        ("dXNlcg==", b"334 no dXNlcg=="),
        ("c2VjcmV0", b"500 what"),
    ):
        core.send_login(line)  # type: ignore[attr-defined]
        core.data_to_send()
        core.receive_data(reply + b"\r\n")
        core.next_event()
    core.quit()
    assert core.said[-7:] == [  # type: ignore[attr-defined]
        "Out: AUTH LOGIN", "In:  334 VXNlcm5hbWU6", "Out: ...", "In:  334 no ...",
        "Out: ...", "In:  500 what", "Out: QUIT",
    ]  # fmt: skip
    assert not core.classes, "Postfix tells nobody of refused logins"  # type: ignore[attr-defined]
