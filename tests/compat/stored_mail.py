"""Mail as the real Postfix stores it: sent to a listener that puts everything on hold, then shown by postcat(1)."""

import re
import smtplib
import subprocess
import time
from collections.abc import Sequence
from typing import NamedTuple

from tests.compat.real_postfix import RealPostfix

_WAIT = 20.0


class Mail(NamedTuple):
    """One message to be sent. `local`: from a client whose headers are rewritten (local_header_rewrite_clients)."""

    sender: str
    recipients: Sequence[str]
    headers: str
    local: bool = True
    body: str = "text\n"


class Stored(NamedTuple):
    """What is in the queue: sender, (original, final) recipients, headers without those that tell times and IDs."""

    sender: str
    recipients: list[tuple[str, str]]
    headers: list[str]


class Refused(NamedTuple):
    """The reply to the end of data, when the message was not taken."""

    reply: str


LISTENERS = {
    "local": {"local_header_rewrite_clients": "permit_inet_interfaces"},
    "remote": {"local_header_rewrite_clients": ""},
}
HOLDING = """\
myhostname = mx.our.example
mydestination = our.example
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
smtpd_recipient_restrictions = check_client_access static:HOLD, permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_reject_unlisted_recipient = no
local_recipient_maps =
alias_maps =
compatibility_level = 3.6
"""
OWN = re.compile(r"(?i)(received|date|message-id):")


def stored_by_postfix(server: RealPostfix, mail: Mail) -> Stored | Refused:
    """Send a message and look at it in the hold queue."""
    with smtplib.SMTP("127.0.0.1", server.ports["local" if mail.local else "remote"], timeout=60) as client:
        client.helo("client.example")
        client.mail(f"<{mail.sender}>")
        for recipient in mail.recipients:
            code, reply = client.rcpt(f"<{recipient}>")
            assert code == 250, reply
        code, reply = client.data(mail.headers + "\n" + mail.body)
    text = reply.decode()
    queued = re.search(r"queued as (\w+)", text)
    if queued is None:
        return Refused(f"{code} {text}")
    return _shown(server, queued[1])


def _shown(server: RealPostfix, queue_id: str) -> Stored:
    command = ["postcat", "-c", str(server.folder / "config"), "-q"]
    end = time.monotonic() + _WAIT
    while True:
        done = subprocess.run([*command, "-e", queue_id], capture_output=True, text=True, check=False)
        if done.returncode == 0 and "recipient: " in done.stdout:
            break
        assert time.monotonic() < end, done.stderr
        time.sleep(0.05)
    sender, original, recipients = "", "", []
    for line in done.stdout.splitlines():
        name, _, value = line.partition(": ")
        if name == "sender":
            sender = value
        elif name == "original_recipient":
            original = value
        elif name == "recipient":
            recipients.append((original, value))
    shown = subprocess.run([*command, "-h", queue_id], capture_output=True, text=True, check=True).stdout
    return Stored(sender, recipients, header_list(shown))


def header_list(text: str) -> list[str]:
    """The logical headers, without those of times and IDs."""
    listed = [header.rstrip("\n") for header in re.split(r"\n(?![ \t])", text) if header.strip()]
    return [header for header in listed if not OWN.match(header)]
