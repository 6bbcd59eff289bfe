"""Mail whose sender wants a report of all that becomes of it (sendmail -v and -bv), into Postfix and into Gatepost.

Into Gatepost it comes by the queue manager's own socket, as finished mail does from the SMTP server's processes.
"""

import os
import re
import socket
import subprocess
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from gatepost.ipc.messages import Committed, Frame, Hello, IdRange, Submit
from gatepost.mail.date import compact_utc, mail_date
from gatepost.mail.envelope import TRACE, VERIFY, Message, Origin, Recipient
from gatepost.master.queue_link import QueueIds
from tests.scenarios.server import until

HOST = "mail.ours.example"
Kind = TypeVar("Kind")


def send_real(config: Path, log: Callable[[], str], option: str, sender: str, recipients: list[str], text: str) -> str:
    """Hand mail to Postfix's sendmail(1); its queue ID."""
    command = ["/usr/sbin/sendmail", "-C", str(config), "-f", sender, option, *recipients]
    subprocess.run(command, input=text.encode(), capture_output=True, timeout=30, check=True)
    pattern = rf"pickup\[\d+\]: (\w+): uid=\d+ from=<{re.escape(sender)}>"
    until(lambda: re.search(pattern, log()) is not None, "the mail from sendmail")
    found = re.search(pattern, log())
    assert found is not None
    return found[1]


def send_ours(queue_socket: Path, option: str, sender: str, recipients: list[str], text: str) -> str:
    """Store mail in Gatepost's queue; its queue ID."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(queue_socket))
        _say(sock, Hello("smtpd", os.getpid(), ids=1))
        given = _hear(sock, IdRange)
        ids = QueueIds(False, time.time, lambda count: None)
        ids.add(given)
        queue_id = ids.new()
        content = _content(queue_id, option, sender, recipients, text).encode()
        _say(
            sock,
            Submit(
                1,
                Message(
                    queue_id,
                    time.time(),
                    sender,
                    [Recipient(address) for address in recipients],
                    len(content),
                    content,
                    checksum=zlib.crc32(content),
                    origin=Origin(context="local"),
                    trace=VERIFY if option == "-bv" else TRACE,
                ),
            ),
        )
        _hear(sock, Committed)
    return queue_id


def _content(queue_id: str, option: str, sender: str, recipients: list[str], text: str) -> str:
    now = time.time()
    received = f"Received: by {HOST} (Postfix, from userid 0)\n\tid {queue_id}; {mail_date(now)}\n"
    if option != "-bv":
        return received + text
    to = ",\n\t".join(recipients)
    return (
        f"{received}From: {sender}\nSubject: probe\nTo:\t{to}\n"
        f"Message-Id: <{compact_utc(now)}.{queue_id}@{HOST}>\nDate: {mail_date(now)}\n\n"
    )


def _say(sock: socket.socket, frame: Frame) -> None:
    data = msgspec.msgpack.encode(frame)
    sock.sendall(len(data).to_bytes(4, "big") + data)


def _hear(sock: socket.socket, kind: type[Kind]) -> Kind:
    """The next frame of this kind."""
    with sock.makefile("rb") as stream:
        while True:
            length = int.from_bytes(stream.read(4), "big")
            assert length, "the queue manager has hung up"
            frame = msgspec.msgpack.decode(stream.read(length), type=Frame)
            if isinstance(frame, kind):
                return frame
