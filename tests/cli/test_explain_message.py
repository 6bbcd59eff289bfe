"""gatepost explain QUEUEID, and lines of the log that tell of no refusal."""

import json
from pathlib import Path

import pytest

from gatepost.mail.envelope import Message, Recipient
from tests.cli.stopped_queue import ARRIVAL, StoppedQueue

LOG = """\
Nov 22 16:06:10 mx postfix/smtpd[33]: connect from other.example[192.0.2.8]
Nov 22 16:06:10 mx postfix/smtpd[33]: connect from c.example[192.0.2.7]
Nov 22 16:06:11 mx postfix/smtpd[33]: 1A00000001: client=c.example[192.0.2.7]
Nov 22 16:06:11 mx postfix/smtpd[33]: 1A00000002: client=other.example[192.0.2.8]
Nov 22 16:06:11 mx postfix/qmgr[34]: 1A00000001: from=<a@x.example>, size=99, nrcpt=1 (queue active)
Nov 22 16:06:12 mx postfix/smtpd[33]: disconnect from other.example[192.0.2.8] ehlo=1 quit=1 commands=2
Nov 22 16:06:12 mx postfix/smtpd[33]: disconnect from c.example[192.0.2.7] ehlo=1 quit=1 commands=2
Nov 22 16:06:13 mx postfix/smtp[35]: 1A00000001: to=<b@far.example>, relay=none, delay=2, delays=1/0/1/0, dsn=4.4.1, \
status=deferred (connect to far.example[192.0.2.9]:25: Connection refused)
""".replace("\\\n", "")


@pytest.fixture
def queue(tmp_path: Path) -> StoppedQueue:
    queue = StoppedQueue(tmp_path)
    queue.log.write_text(LOG)
    return queue


def _put(queue: StoppedQueue, queue_id: str) -> None:
    queue.put(Message(queue_id, ARRIVAL, "a@x.example", [Recipient("b@far.example")], 14, b"Subject: x\n\nx\n"))


def test_a_message_that_waits(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    _put(queue, "1A00000001")
    assert queue.run("explain", "1A00000001") == 0
    said = capsys.readouterr().out
    assert "connect from c.example[192.0.2.7]\n" in said
    assert "other.example" not in said
    assert "disconnect from c.example[192.0.2.7]" in said
    assert "No connection came about" in said
    assert "Now: it has just come in" in said
    assert "<b@far.example> waits" in said


def test_a_message_that_is_gone(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    with queue.log.open("a") as log:
        log.write("Nov 22 16:07:13 mx postfix/qmgr[34]: 1A00000001: removed\n")
    assert queue.run("explain", "1A00000001") == 0
    assert "Now: it has left the queue; all recipients are settled." in capsys.readouterr().out


def test_nothing_is_known(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("explain", "1A000000FF") == 1
    assert "says nothing of it" in capsys.readouterr().out


def test_another_log(queue: StoppedQueue, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other"
    other.write_text(LOG.replace("1A00000001", "1A000000FF"))
    assert queue.run("explain", "--log", str(other), "1A000000FF") == 0
    assert "No connection came about" in capsys.readouterr().out


def test_json(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    _put(queue, "1A00000001")
    queue.run("explain", "--json", "1A00000001")
    told = json.loads(capsys.readouterr().out)
    assert told["queue_id"] == "1A00000001"
    assert len(told["lines"]) == 5
    assert told["queued"][0] == "1A00000001"


def test_a_line_of_another_kind(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("explain", LOG.splitlines()[-1]) == 0
    assert "One attempt to deliver to <b@far.example>." in capsys.readouterr().out
