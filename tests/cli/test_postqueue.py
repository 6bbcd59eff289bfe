"""The expected listings are those of Postfix 3.7 for the same messages."""

import zlib
from pathlib import Path

import pytest

from gatepost.cli.postqueue import json_line, traditional
from gatepost.control.listing import by_reason
from gatepost.mail.envelope import Message, Recipient
from gatepost.queue.store import Batch, Deferral, Listed
from tests.cli.stopped_queue import ARRIVAL, StoppedQueue

REFUSED_9 = "connect to 127.0.0.1[127.0.0.1]:9: Connection refused"
REFUSED_10 = "connect to 127.0.0.1[127.0.0.1]:10: Connection refused"


def message(queue_id: str, sender: str, recipients: list[str], size: int, *, hold: bool = False) -> Message:
    content = b"x" * (size - 1) + b"\n"
    envelope = [Recipient(recipient) for recipient in recipients]
    return Message(queue_id, ARRIVAL, sender, envelope, size, content, checksum=zlib.crc32(content), hold=hold)


def fill(queue: StoppedQueue, ids: tuple[str, str, str]) -> None:
    first, bounce, held = ids
    queue.put(
        message(first, "e@example.com", ["x@fail.example", "y@two.example", "z@fail.example"], 349),
        message(bounce, "", ["b@def.example", "done@def.example"], 12289),
        message(held, "quoted sender@example.com", ["quo ted@long.example", "h@hold.example"], 363, hold=True),
    )
    reasons = [(0, "4.4.1", REFUSED_9), (1, "4.4.1", REFUSED_10), (2, "4.4.1", REFUSED_9)]
    waiting = [(0, "4.3.2", "deferred transport")]
    queue.commit(
        Batch(deferred=[Deferral(first, ARRIVAL + 300, reasons), Deferral(bounce, ARRIVAL + 300, waiting)]),
        Batch(done=[(bounce, [1])]),
    )


SHORT = ("0000B00001", "0000A20C20A", "0000A00003")

SHORT_LISTING = """\
-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------
0000B00001      349 Sun Nov 22 16:06:11  e@example.com
                       (connect to 127.0.0.1[127.0.0.1]:9: Connection refused)
                                         x@fail.example
                                         z@fail.example
                      (connect to 127.0.0.1[127.0.0.1]:10: Connection refused)
                                         y@two.example

0000A00003!     363 Sun Nov 22 16:06:11  "quoted sender"@example.com
                                         "quo ted"@long.example
                                         h@hold.example

0000A20C20A   12289 Sun Nov 22 16:06:11  MAILER-DAEMON
                                                          (deferred transport)
                                         b@def.example

-- 12 Kbytes in 3 Requests.
"""

JSON_LISTING = """\
{"queue_name": "deferred", "queue_id": "0000B00001", "arrival_time": 1795363571, "message_size": 349, "forced_expire": \
false, "sender": "e@example.com", "recipients": [{"address": "x@fail.example", "delay_reason": "connect to \
127.0.0.1[127.0.0.1]:9: Connection refused"}, {"address": "z@fail.example", "delay_reason": "connect to \
127.0.0.1[127.0.0.1]:9: Connection refused"}, {"address": "y@two.example", "delay_reason": "connect to \
127.0.0.1[127.0.0.1]:10: Connection refused"}]}
{"queue_name": "hold", "queue_id": "0000A00003", "arrival_time": 1795363571, "message_size": 363, "forced_expire": \
false, "sender": "\\"quoted sender\\"@example.com", "recipients": [{"address": "\\"quo ted\\"@long.example"}, \
{"address": "h@hold.example"}]}
{"queue_name": "deferred", "queue_id": "0000A20C20A", "arrival_time": 1795363571, "message_size": 12289, \
"forced_expire": false, "sender": "MAILER-DAEMON", "recipients": [{"address": "b@def.example", "delay_reason": \
"deferred transport"}]}
"""

DOWN = "postqueue: warning: Mail system is down -- accessing queue directly\n"


@pytest.mark.parametrize("command", [("mailq",), ("postqueue", "-p")])
def test_the_traditional_listing(
    stopped: StoppedQueue, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    fill(stopped, SHORT)
    assert stopped.run(*command) == 0
    assert capsys.readouterr() == (SHORT_LISTING, DOWN)


def test_the_json_listing(stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    fill(stopped, SHORT)
    assert stopped.run("postqueue", "-j") == 0
    assert capsys.readouterr() == (JSON_LISTING, DOWN)


def test_an_empty_queue(stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run("mailq") == 0
    assert capsys.readouterr().out == "Mail queue is empty\n"
    assert stopped.run("postqueue", "-j") == 0
    assert capsys.readouterr().out == ""


def listed(queue: str = "deferred", **fields: object) -> Listed:
    values = {
        "queue": queue,
        "queue_id": "4jXYpd5QFLzJ9jg",
        "arrival": int(ARRIVAL),
        "size": 363,
        "sender": "e@example.com",
        "recipients": [("x@fail.example", REFUSED_9)],
    }
    return Listed(**{**values, **fields})  # type: ignore[arg-type]


def printed(items: list[Listed], *, long_ids: bool = False) -> list[str]:
    return "".join(traditional(items, long_ids=long_ids)).splitlines()


def test_long_queue_ids(utc: None) -> None:
    two = listed("hold", queue_id="4jXYpd5KhYzJ9jZ", sender="", size=356, recipients=[("ü@hold.example", "")])
    assert printed([listed(), two], long_ids=True) == [
        "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------",
        "4jXYpd5QFLzJ9jg        363 Sun Nov 22 16:06:11 e@example.com",
        "                       (connect to 127.0.0.1[127.0.0.1]:9: Connection refused)",
        "                                               x@fail.example",
        "",
        "4jXYpd5KhYzJ9jZ!       356 Sun Nov 22 16:06:11 MAILER-DAEMON",
        "                                               ü@hold.example",
        "",
        "-- 0 Kbytes in 2 Requests.",
    ]


def test_one_request_that_is_being_delivered(utc: None) -> None:
    lines = printed([listed("active", queue_id="B2AC920C55F", recipients=[])])
    assert lines[1:] == ["B2AC920C55F*     363 Sun Nov 22 16:06:11  e@example.com", "", "-- 0 Kbytes in 1 Request."]


def test_what_an_operator_has_expired() -> None:
    items = [listed("hold", queue_id="B2AC920C55F", forced_expire=True, recipients=[])]
    assert printed(items)[1].startswith("B2AC920C55F!#     363 ")
    assert '"forced_expire": true, ' in json_line(items[0])


def test_a_reason_that_is_wider_than_its_column(utc: None) -> None:
    long = "connect to mail.example.com[/run/lmtp-socket-567890123]: No such file or directory"
    lines = printed([listed(recipients=[("a@b", long)])])
    assert lines[2] == f"({long})"


def test_json_escapes_what_it_must(utc: None) -> None:
    line = json_line(listed(sender='a"b\\c@ü', recipients=[("x", "tab\there")]))
    assert r'"sender": "\"a\\\"b\\\\c\"@ü"' in line
    assert '"delay_reason": "tab\\there"' in line


def test_recipients_of_one_reason_stand_together_and_the_untried_last() -> None:
    assert by_reason([("a", ""), ("b", "1"), ("c", "2"), ("d", "1")]) == [("b", "1"), ("d", "1"), ("c", "2"), ("a", "")]


@pytest.mark.parametrize("arguments", [[], ["-p", "-f"], ["-p", "more"], ["-x"], ["-i"]])
def test_a_wrong_command_line(stopped: StoppedQueue, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert stopped.run("postqueue", *arguments) == 69
    usage = "postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site"
    assert capsys.readouterr().err == f"postqueue: fatal: usage: {usage}\n"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-f"], "Cannot flush mail queue - mail system is down"),
        (["-i", "ABCDEF0123"], "Cannot flush mail queue - mail system is down"),
        (["-s", "two.example"], "Cannot flush mail queue - mail system is down"),
        (["-i", "x!"], 'Cannot flush queue ID - invalid name: "x!"'),
    ],
)
def test_a_flush_needs_a_running_system(
    stopped: StoppedQueue, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stopped.run("postqueue", *arguments) == 69
    assert capsys.readouterr().err == f"postqueue: fatal: {text}\n"


def test_without_a_configuration(tmp_path: Path, stopped: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    (stopped.config / "main.cf").unlink()
    assert stopped.run("mailq") == 69
    assert capsys.readouterr().err.startswith("postqueue: fatal: open ")
