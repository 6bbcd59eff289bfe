"""The expected forms are those of Postfix 3.7, but for what it keeps and we do not."""

import zlib

import pytest

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
named_attribute: dsn_orig_rcpt=rfc822;x@orig.example
named_attribute: notify_flags=1
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
    ],
)
def test_what_the_options_choose(
    queue: StoppedQueue, options: list[str], shown: bytes, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert queue.run("postcat", *options, QUEUE_ID) == 0
    assert capfdbinary.readouterr().out == shown


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
