"""The main job: every device of the local network relays, nobody else does."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import Client, Dns, Gatepost, Sink, smtp_sink_program, temporary_folder

pytestmark = pytest.mark.skipif(
    smtp_sink_program() is None and not os.environ.get("CI"), reason="smtp-sink (Debian's postfix) is not installed"
)

SERVER = "127.0.87.254"
LAPTOP = "127.0.87.2"
EXCEPTED = "127.0.87.1"
STRANGER = "127.0.62.127"

ZONE = """\
gmail.example MX 10 mx.gmail.example
mx.gmail.example A 127.0.88.1
2.87.0.127.in-addr.arpa PTR laptop.home.example
laptop.home.example A 127.0.87.2
"""

MAIN_CF = """\
myhostname = relay.home.example
mydestination = home.example
local_recipient_maps = inline:{{postmaster=ok, {user}=ok}}
alias_maps =
home_mailbox = Maildir/
mynetworks = !127.0.87.1 127.0.87.0/24
inet_interfaces = 127.0.87.254
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination
smtp_tcp_port = {sink}
gatepost_dns_servers = 127.0.0.1:{dns}
"""


class World:
    """The relay, the mail server of gmail.example, and the name service."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.sink = Sink(folder / "sink", host="127.0.88.1")
        self.dns = Dns(folder, ZONE)
        main_cf = MAIN_CF.format(sink=self.sink.port, dns=self.dns.port, user="nobody")
        self.relay = Gatepost(folder, main_cf, host=SERVER)
        self.relay.start(*options)

    def client(self, source: str) -> Client:
        return Client(self.relay.port, SERVER, source)

    def stop(self) -> None:
        try:
            self.relay.stop()
        finally:
            self.sink.stop()
            self.dns.stop()


@pytest.fixture(scope="module", params=["processes", "single-process"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder, *(["--single-process"] if request.param == "single-process" else []))
        yield made
        made.stop()


def test_the_laptop_relays_and_the_log_tells_it_in_postfix_words(world: World) -> None:
    laptop = world.client(LAPTOP)
    assert laptop.greeting == "220 relay.home.example ESMTP Postfix"
    assert laptop.say("EHLO laptop").startswith("250-relay.home.example\n")
    reply = laptop.send(
        "alice@home.example", "bob@gmail.example", "Subject: hello\r\nMessage-ID: <1@laptop>\r\n\r\nHi Bob.\r\n"
    )
    queued = re.fullmatch(r"250 2\.0\.0 Ok: queued as (\w+)", reply)
    assert queued, reply
    laptop.close()
    queue_id = queued[1]
    world.relay.wait_log(f"{queue_id}: removed")
    world.relay.wait_log(r"disconnect from laptop\.")
    text = [re.sub(r"\[\d+\]: ", ": ", line, count=1) for line in world.relay.log_lines(f"{queue_id}|laptop")]
    peer = rf"laptop\.home\.example\[{re.escape(LAPTOP)}\]"
    sink = rf"mx\.gmail\.example\[127\.0\.88\.1\]:{world.sink.port}"
    number = r"[\d.]+"
    expected = [
        rf"postfix/smtpd: connect from {peer}",
        rf"postfix/smtpd: {queue_id}: client={peer}",
        rf"postfix/cleanup: {queue_id}: message-id=<1@laptop>",
        rf"postfix/qmgr: {queue_id}: from=<alice@home\.example>, size=\d+, nrcpt=1 \(queue active\)",
        rf"postfix/smtp: {queue_id}: to=<bob@gmail\.example>, relay={sink}, delay={number}, "
        rf"delays={number}/{number}/{number}/{number}, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok\)",
        rf"postfix/qmgr: {queue_id}: removed",
        rf"postfix/smtpd: disconnect from {peer} ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    ]
    assert len(text) == len(expected), text
    for pattern in expected:
        assert any(re.fullmatch(pattern, line) for line in text), (pattern, text)
    in_order = [line for line in text if "smtpd: disconnect" not in line]
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(expected[:-1], in_order, strict=True)), text
    (message,) = [m for m in world.sink.messages() if "Hi Bob." in m]
    received = (
        rf"Received: from laptop \(laptop\.home\.example \[{re.escape(LAPTOP)}\]\)\n"
        rf"\tby relay\.home\.example \(Postfix\) with ESMTP id {queue_id}\n\tfor <bob@gmail\.example>; "
    )
    assert re.search(received, message), message
    assert "\nX-Rcpt-Args: <bob@gmail.example>" in message


@pytest.mark.parametrize("source", [EXCEPTED, STRANGER])
def test_the_excepted_and_the_stranger_do_not_relay(world: World, source: str) -> None:
    client = world.client(source)
    client.say("EHLO there")
    assert client.say("MAIL FROM:<spam@x.example>") == "250 2.1.0 Ok"
    assert client.say("RCPT TO:<bob@gmail.example>") == "454 4.7.1 <bob@gmail.example>: Relay access denied"
    client.close()
    line = world.relay.wait_log(rf"NOQUEUE: reject: RCPT from unknown\[{re.escape(source)}\]")
    assert line.endswith(
        f"NOQUEUE: reject: RCPT from unknown[{source}]: 454 4.7.1 <bob@gmail.example>: Relay access denied; "
        "from=<spam@x.example> to=<bob@gmail.example> proto=ESMTP helo=<there>"
    )


def test_a_stranger_learns_who_is_unknown_here(world: World) -> None:
    client = world.client(STRANGER)
    client.say("EHLO there")
    client.say("MAIL FROM:<friend@x.example>")
    assert client.say("RCPT TO:<nosuch@home.example>") == (
        "550 5.1.1 <nosuch@home.example>: Recipient address rejected: User unknown in local recipient table"
    )
    client.close()


def test_the_queue_is_empty_afterwards(world: World) -> None:
    assert world.relay.command("mailq").stdout == "Mail queue is empty\n"
