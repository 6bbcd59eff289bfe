"""Whose fault a refusal is, and what is written down of a session."""

import pytest

from gatepost.mail.reply import Reply
from gatepost.protocol.smtp_server import NEED_DATA
from gatepost.smtpd import replies
from gatepost.smtpd.transcript import RecordingProtocol, error_class


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(554, "5.7.1", "<a@b>: Relay access denied"), "policy"),
        (Reply(550, "5.1.1", "<a@b>: Recipient address rejected: User unknown", "bounce"), "bounce"),
        (Reply(501, "5.5.4", "<a@b>: Recipient address rejected: Syntax", "policy"), "policy"),
        (Reply(501, "", "Syntax: HELO hostname"), "protocol"),
        (Reply(535, "5.7.8", "Error: authentication failed: no", "none"), "none"),
        (replies.SIZE_LIMIT, "policy"),
        (replies.WRITE_ERROR, "resource"),
        (replies.TLS_UNAVAILABLE, "software"),
    ],
)
def test_error_classes(reply: Reply, expected: str) -> None:
    """Which class which refusal has is compared with Postfix in tests/compat."""
    assert error_class(reply) == expected


def test_content_is_not_written_down_and_a_long_transcript_is_cut() -> None:
    protocol = RecordingProtocol(2048, threshold=6)
    protocol.send_reply(b"220 hello\r\n")
    protocol.receive_data(b"DATA\r\nSubject: secret\r\n\r\n.\r\nRSET\r\n")
    protocol.next_event()
    protocol.send_reply(b"354 go\r\n")
    protocol.read_data()
    protocol.next_event()
    protocol.send_reply(b"250-one\r\n250 two\r\n")
    assert protocol.lines == ["Out: 220 hello", "In:  DATA", "Out: 354 go", "Out: 250-one", "Out: 250 two"]
    protocol.next_event()
    protocol.send_reply(b"250 reset\r\n")
    assert len(protocol.lines) == 7
    protocol.receive_data(b"EHLO x\r\n")
    protocol.next_event()
    assert protocol.lines == []
    protocol.send_reply(b"250 x\r\n")
    assert protocol.next_event() is NEED_DATA


def test_passwords_are_not_written_down() -> None:
    protocol = RecordingProtocol(2048, threshold=60)
    said = ["AUTH PLAIN c2VjcmV0", "auth  plain c2VjcmV0", "AUTH LOGIN", "c2VjcmV0", "c2VjcmV0=", "NOOP", "c2VjcmV0"]
    for line in said:
        protocol.receive_data(line.encode() + b"\r\n")
        protocol.next_event()
        protocol.send_reply(b"503 5.5.1 Error: authentication not enabled\r\n")
    assert [line for line in protocol.lines if line.startswith("In:")] == [
        "In:  AUTH PLAIN ...", "In:  auth  plain ...", "In:  AUTH LOGIN", "In:  ...", "In:  ...", "In:  NOOP",
        "In:  c2VjcmV0",
    ]  # fmt: skip
    protocol.send_reply(b"334 \r\n")
    protocol.read_response(12288)
    protocol.receive_data(b"c2VjcmV0\r\n")
    protocol.next_event()
    assert protocol.lines[-1] == "In:  ..."
