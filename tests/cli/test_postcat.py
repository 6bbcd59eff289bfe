"""The expected forms are those of Postfix 3.7, but for what it keeps and we do not."""

import zlib
from io import BytesIO

import pytest

from gatepost.cli.postcat import Records
from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.queue.content_file import content_path
from gatepost.queue.store import Batch
from tests.cli.stopped_queue import ARRIVAL, StoppedQueue
from tests.queue.messages import a_message

HEADER = b"Received: from me.example (localhost [127.0.0.1])\n\tby mail.example.com (Postfix)\nSubject: x\n"
BODY = b"\nline \xff\nlast\n"
QUEUE_ID = "0000B00001"

ENVELOPE = """\
message_size:             105               0               2               0             105               0
message_arrival_time: Sun Nov 22 16:06:11 2026
create_time: Sun Nov 22 16:06:11 2026
named_attribute: log_ident=0000B00001
named_attribute: rewrite_context=local
named_attribute: envelope_id=abc
named_attribute: ret_flags=2
sender: e@example.com
named_attribute: encoding=8bit
named_attribute: log_client_name=localhost
named_attribute: log_client_address=127.0.0.1
named_attribute: log_client_port=38808
named_attribute: log_message_origin=localhost[127.0.0.1]
named_attribute: log_helo_name=me.example
named_attribute: log_protocol_name=ESMTP
named_attribute: client_name=localhost
named_attribute: reverse_client_name=localhost
named_attribute: client_address=127.0.0.1
named_attribute: client_port=38808
named_attribute: helo_name=me.example
named_attribute: protocol_name=ESMTP
named_attribute: client_address_type=2
verp_delimiters: +=
named_attribute: notify_flags=1
named_attribute: dsn_orig_rcpt=rfc822;x@orig.example
original_recipient: x@fail.example
recipient: x@fail.example
original_recipient: alias@example.com
done_recipient: we ird@two.example
"""


@pytest.fixture
def queue(stopped: StoppedQueue) -> StoppedQueue:
    content = HEADER + BODY
    origin = Origin("localhost", "127.0.0.1", "38808", "localhost", "me.example", "ESMTP", context="local")
    recipients = [
        Recipient("x@fail.example", notify=1, orcpt="rfc822;x@orig.example"),
        Recipient("we ird@two.example", "alias@example.com"),
    ]
    stopped.put(
        Message(
            QUEUE_ID, ARRIVAL, "e@example.com", recipients, len(content), content, checksum=zlib.crc32(content),
            origin=origin, body="8bitmime", ret="HDRS", envid="abc", verp="+=",
        )
    )  # fmt: skip
    stopped.commit(Batch(done=[(QUEUE_ID, [1])]))
    return stopped


def title(text: str) -> bytes:
    return f"*** {text} incoming/{QUEUE_ID} ***\n".encode()


OPEN = title("ENVELOPE RECORDS")
MIDDLE = title("MESSAGE CONTENTS")
CLOSE = title("HEADER EXTRACTED") + title("MESSAGE FILE END")


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["-q"], OPEN + ENVELOPE.encode() + MIDDLE + HEADER + BODY + CLOSE),
        (["-q", "-e"], OPEN + ENVELOPE.encode() + MIDDLE + CLOSE),
        (["-qe", "-h"], OPEN + ENVELOPE.encode() + MIDDLE + HEADER + CLOSE),
        (["-qh"], HEADER),
        (["-qb"], BODY),
        (["-bhq"], HEADER + BODY),
        (["-qbd"], b" 78 \n 78 line \xff\n 78 last\n"),
        (["-qbv"], b"regular_text: \nregular_text: line \xff\nregular_text: last\n"),
        (["-qbvd"], b" 78 regular_text: \n 78 regular_text: line \xff\n 78 regular_text: last\n"),
        (["-qbod"], b"      807  78 \n      809  78 line \xff\n      817  78 last\n"),
    ],
)
def test_what_the_options_choose(
    queue: StoppedQueue, options: list[str], shown: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert queue.run("postcat", *options, QUEUE_ID) == 0
    assert capfdbinary.readouterr().out == shown


SIZES = " ".join(f"{number:15d}" for number in (3295, 726, 2, 8, 3295, 0))
POSTFIXS = f"""\
        0  67 message_size: {SIZES}
       97  84 message_arrival_time: Mon Nov 23 14:27:47 2026
      116  65 create_time: Mon Nov 23 14:27:47 2026
      140  65 named_attribute: log_ident=5EAA327C51C
      163  83 sender: a@b.example
      176  65 named_attribute: notify_flags=4
      192  79 original_recipient: c@d.example
      205  82 recipient: c@d.example
      218  68 done_recipient: c2@d.example
      232  77 *** MESSAGE CONTENTS deferred/5EAA327C51C ***
      234  78 Subject: x
      246  78
      248  78 body line
      259  76 LONG
     2310  78 REST
     3265  88 *** HEADER EXTRACTED deferred/5EAA327C51C ***
     3267  69 *** MESSAGE FILE END deferred/5EAA327C51C ***
"""
"""Lines of what the real command shows with -qod, the offsets counted anew."""


def test_offsets_are_those_of_a_queue_file() -> None:
    out = BytesIO()
    records = Records(out, types=True, offsets=True)
    for line in POSTFIXS.splitlines():
        kind, text = chr(int(line[10:13])), line[14:]
        if kind in "MXE":
            records.title(kind, text.strip("* "), shown=True)
        elif kind == "L":
            records.content(b"y" * 3000 + b"\n", shown=True)
        elif kind != "N":
            records.field(text, shown=True)
        elif text != "REST":
            records.content(text.encode() + b"\n", shown=True)
    shown = out.getvalue().decode().replace("y" * 2048, "LONG").replace("y" * 952, "REST")
    assert [line.rstrip() for line in shown.splitlines()] == POSTFIXS.splitlines()


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ({"types": True}, b" 76 " + b"y" * 2048 + b" 78 " + b"y" * 952 + b"\n"),
        ({"names": True}, b"unterminated_text: " + b"y" * 2048 + b"\nregular_text: " + b"y" * 952 + b"\n"),
    ],
)
def test_long_lines_are_several_records(options: dict[str, bool], shown: bytes) -> None:
    out = BytesIO()
    Records(out, **options).content(b"y" * 3000 + b"\n", shown=True)
    assert out.getvalue() == shown


def test_large_content_is_shown_from_its_file(stopped: StoppedQueue, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    content = HEADER + b"\n" + b"a line\n" * 300_000
    file = content_path(stopped.queue, "large")
    file.write_bytes(content)
    message = a_message(1, content=b"", content_file="large")
    message.size, message.checksum = len(content), zlib.crc32(content)
    stopped.put(message)
    assert stopped.run("postcat", "-qbh", message.queue_id) == 0
    assert capfdbinary.readouterr().out == content


def test_no_such_message(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("postcat", "-q", "ABCDEF0123") == 1
    assert capsys.readouterr().err == "postcat: fatal: open queue file ABCDEF0123: No such file or directory\n"


def test_files_are_not_shown(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("postcat", "some/file") == 1
    assert "specify -q" in capsys.readouterr().err
