"""Sessions from lines of the log."""

from gatepost.audit.explain.log_line import told_by
from tests.dialogs.dialog import all_dialogs


def test_all_of_it() -> None:
    told = told_by(
        "Nov 22 20:00:00 mx postfix/smtpd[33]: 1A2B: reject: RCPT from c.example[192.0.2.7]:4711: 554 5.7.1 Service "
        "unavailable; Client host [192.0.2.7] blocked using list.example; see http://list.example/?to=<x>; "
        "from=<a@b.example> to=<x@y.example> proto=ESMTP helo=<laptop>"
    )
    assert told is not None
    assert (told.stage, told.name, told.address) == ("RCPT", "c.example", "192.0.2.7")
    assert told.reply.endswith("blocked using list.example; see http://list.example/?to=<x>")
    assert (told.sender, told.recipient, told.helo, told.protocol) == ("a@b.example", "x@y.example", "laptop", "ESMTP")


def test_what_is_not_said() -> None:
    told = told_by("NOQUEUE: reject: CONNECT from unknown[2001:db8::7]: 554 5.7.1 no; proto=SMTP")
    assert told is not None
    assert (told.address, told.reply, told.sender, told.recipient, told.helo) == (
        "2001:db8::7", "554 5.7.1 no", None, None, None
    )  # fmt: skip


def test_the_null_sender() -> None:
    told = told_by("NOQUEUE: reject: RCPT from c.example[192.0.2.7]: 450 4.7.1 no; from=<> to=<x@y.example> proto=SMTP")
    assert told is not None
    assert told.sender == ""


def test_every_refusal_of_the_dialogues_is_understood() -> None:
    lines = {(dialog.name, line) for dialog in all_dialogs() for line in dialog.log if "E: reject: " in line}
    assert len(lines) > 500
    for name, line in lines:
        told = told_by(line)
        assert told is not None, (name, line)
        assert told.reply[:1] in ("4", "5") or "bare <LF>" in told.reply, (name, line)
        assert ("from=<" in line) == (told.sender is not None), (name, line)


def test_other_lines() -> None:
    assert told_by("connect from c.example[192.0.2.7]") is None
    assert told_by("") is None
