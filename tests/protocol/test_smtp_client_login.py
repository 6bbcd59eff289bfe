"""AUTH in the client's protocol: order, what is offered, what is concealed."""

import pytest

from gatepost.protocol.lmtp_client import LmtpClientProtocol
from gatepost.protocol.smtp_client import NEED_DATA, SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Kind, Stage
from gatepost.protocol.smtp_client_login import LoginProtocol, offered_logins, with_login
from gatepost.protocol.smtp_reply import make_reply

EHLO = b"220 peer.example ESMTP\r\n250-peer.example\r\n250-AUTH PLAIN LOGIN\r\n250 PIPELINING\r\n"


def ready(protocol: type[SmtpClientProtocol] = SmtpClientProtocol, offers: bytes = EHLO) -> LoginProtocol:
    core = with_login(protocol)("me.example")
    core.receive_data(offers)
    assert core.next_event().kind is Kind.READY
    core.data_to_send()
    return core


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ("250-AUTH PLAIN LOGIN\n250 SIZE", ("PLAIN LOGIN",)),
        ("250 AUTH=PLAIN LOGIN", ("PLAIN LOGIN",)),
        ("250-auth PLAIN\n250-AUTH=LOGIN\n250 SIZE", ("PLAIN", "LOGIN")),
        ("250 AUTH", ("",)),
        ("250 AUTH =PLAIN", ("=PLAIN",)),
        ("250 XAUTH PLAIN", ()),
        ("250 SIZE AUTH", ()),
    ],
)
def test_what_is_offered(lines: str, found: tuple[str, ...]) -> None:
    text = f"250-peer.example\n{lines}"
    assert offered_logins(make_reply("250 x", text)) == found


def test_a_login_and_a_message() -> None:
    core = ready()
    assert core.offered_logins == ("PLAIN LOGIN",)
    core.send_login("AUTH LOGIN")
    assert core.data_to_send() == b"AUTH LOGIN\r\n"
    assert core.stage is Stage.EHLO
    core.receive_data(b"334 VXNlcm5hbWU6\r\n")
    event = core.next_event()
    assert event.kind is Kind.LOGIN and event.reply is not None and event.reply.text == "334 VXNlcm5hbWU6"
    assert core.next_event() is NEED_DATA
    core.send_login("dXNlcg==")
    assert core.data_to_send() == b"dXNlcg==\r\n"
    core.receive_data(b"235 2.7.0 ok\r\n")
    assert core.next_event().kind is Kind.LOGIN
    core.logged_in()
    assert core.idle
    core.start_transaction(b"MAIL FROM:<a@b.example>\r\n", [b"RCPT TO:<c@d.example>\r\n"], keep=False)
    assert core.data_to_send().startswith(b"MAIL FROM")


def test_lmtp() -> None:
    core = ready(LmtpClientProtocol)
    core.send_login("AUTH PLAIN AHVzZXIAc2VjcmV0")
    assert core.stage is Stage.LHLO
    core.receive_data(b"535 5.7.8 no\r\n")
    assert core.next_event().kind is Kind.LOGIN


def test_an_answer_before_the_question_counts_as_the_answer() -> None:
    core = ready()
    core.send_login("AUTH LOGIN")
    core.receive_data(b"334 \r\n334 \r\n235 ok\r\n")
    for line in ("dXNlcg==", "c2VjcmV0"):
        assert core.next_event().kind is Kind.LOGIN
        assert core.next_event() is NEED_DATA
        core.send_login(line)
    event = core.next_event()
    assert event.reply is not None and event.reply.code == 235


def test_what_was_said_is_concealed_in_replies() -> None:
    core = ready()
    core.send_login("AUTH PLAIN AHVzZXIAc2VjcmV0")
    core.receive_data(b"500-what is AUTH PLAIN\r\n500 AHVzZXIAc2VjcmV0?\r\n")
    event = core.next_event()
    assert event.reply is not None and event.reply.text == "500-what is AUTH PLAIN\n500 ...?"
    core = ready()
    core.send_login("AUTH LOGIN")
    core.receive_data(b"334 LOGIN\r\n")
    assert core.next_event().reply == make_reply("334 LOGIN", "334 LOGIN")
    core.send_login("c2VjcmV0")
    assert core.conceal("no c2VjcmV0") == "no ..."


def test_discarded_keywords_and_helo() -> None:
    core = with_login(SmtpClientProtocol)("me.example", ignored_keywords=frozenset(("auth",)))
    core.receive_data(EHLO)
    core.next_event()
    assert core.offered_logins == ()
    core = ready(offers=b"220 peer.example\r\n500 no\r\n250 peer.example AUTH PLAIN\r\n")
    assert core.offered_logins == ()


def test_after_starttls_only_what_is_offered_there_counts() -> None:
    core = with_login(SmtpClientProtocol)("me.example", starttls="may")
    core.receive_data(b"220 x\r\n250-peer.example\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n220 go\r\n")
    assert core.next_event().kind is Kind.STARTTLS
    core.encrypted()
    core.receive_data(b"500 what?\r\n250 peer.example\r\n")
    assert core.next_event().kind is Kind.READY
    assert core.offered_logins == ()
