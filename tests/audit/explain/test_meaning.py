"""Lines of the log in plain words."""

import pytest

from gatepost.audit.explain.meaning import meaning
from gatepost.maillog import lines
from tests.dialogs.dialog import all_dialogs

DEFERRED = (
    "Nov 22 20:00:00 mx postfix/smtp[9]: 4F0000001: to=<x@far.example>, orig_to=<y@ours.example>, relay=none, "
    "delay=30, delays=0.1/0.2/29/0, dsn=4.4.1, "
    "status=deferred (connect to mx.far.example[192.0.2.9]:25: Connection timed out)"
)


def test_a_delivery_that_waits() -> None:
    said = " ".join(meaning(DEFERRED))
    assert "One attempt to deliver to <x@far.example>." in said
    assert "The mail came for <y@ours.example>" in said
    assert "It waits in the queue and is tried again" in said
    assert "No connection came about" in said
    assert "Status 4.4.1 (RFC 3463): it is about the network" in said
    assert "29 to connect" in said
    assert "gatepost route x@far.example" in said
    assert "Written by smtp: the client that sends mail on by SMTP." in said


def test_another_server_has_refused() -> None:
    line = lines.delivery(
        "A1", "x@far.example", "", "mx.far.example[192.0.2.9]:25", 1, (0.1, 0.0, 0.2, 0.3), "5.7.1", "bounced",
        "host mx.far.example[192.0.2.9] said: 550 5.7.1 no (in reply to RCPT TO command)",
    )  # fmt: skip
    said = " ".join(meaning(line))
    assert "The sender gets a notice" in said
    assert "the reason lies there, not here" in said


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("connect from c.example[192.0.2.7]", "opened a connection"),
        ("disconnect from c.example[192.0.2.7] ehlo=1 quit=1 commands=2", "The connection is over"),
        ("lost connection after DATA from c.example[192.0.2.7]", "hung up without goodbye, after DATA"),
        ("warning: hostname c.example does not resolve to address 192.0.2.7", "counts as `unknown`"),
        ("error: open database /etc/postfix/access.db: No such file or directory", "A table cannot be opened"),
        ("warning: connect to TCP map 127.0.0.1:9: Connection refused", "The server of a tcp: table"),
        ("warning: something new", "Something is not as it should be"),
        ("A1B2C3: removed", "has left the queue"),
        ("A1B2C3: from=<>, size=99, nrcpt=1 (queue active)", "without a sender (a notice), 99 octets"),
        ("A1B2C3: client=c.example[192.0.2.7], sasl_method=PLAIN, sasl_username=jane", "logged in as jane"),
        ("A1B2C3: sender non-delivery notification: D4E5F6", "It is message D4E5F6"),
        ("fatal: no", "could not go on"),
    ],
)
def test_kinds(line: str, words: str) -> None:
    assert words in " ".join(meaning(line))


def test_what_is_no_line_of_a_log() -> None:
    assert meaning("hello there") == []


def test_what_the_server_logs_is_known() -> None:
    """Nearly: refusals are told by playing them, and texts that access tables log are the operator's own."""
    logged = {line for dialog in all_dialogs() for line in dialog.log if ": reject" not in line}
    known = [line for line in logged if meaning(line)]
    assert len(logged) > 300
    assert len(known) / len(logged) > 0.95
