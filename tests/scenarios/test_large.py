"""Large messages, many recipients, and no room."""

import hashlib
import os
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, queue_id_of, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
message_size_limit = 6000000
"""
LINE = "0123456789abcdefghijklmnopqrstuvwxyz" * 2
FIVE_MIB = f"Subject: large\r\n\r\n{f'{LINE}{chr(13)}{chr(10)}' * (5 * 1024 * 1024 // (len(LINE) + 2))}"


class World:
    def __init__(self, *options: str, extra: str = "") -> None:
        self._folder = temporary_folder()
        self.peer = Peer()
        self.server = Gatepost(self._folder.__enter__(), MAIN_CF.format(port=self.peer.port) + extra).start(*options)

    def content_files(self) -> list[str]:
        return [name for _, _, names in os.walk(self.server.queue / "content") for name in names]

    def stop(self) -> None:
        self.peer.release.set()
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture(scope="module", params=["processes", "single-process"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(*(["--single-process"] if request.param == "single-process" else []))
    yield made
    made.stop()


def test_five_megabytes(world: World) -> None:
    """The content has a file of its own while it waits, and leaves nothing behind."""
    world.peer.release.clear()
    client = world.server.client()
    queue_id = queue_id_of(client.send("big@home.example", "bob@far.example", FIVE_MIB))
    client.close()
    until(lambda: "DATA" in world.peer.commands, "DATA")
    assert len(world.content_files()) == 1
    assert LINE in world.server.command("postcat", "-q", queue_id).stdout
    world.peer.release.set()
    world.server.wait_log(f"{queue_id}: removed")
    (message,) = [m for m in world.peer.messages if m.sender == "big@home.example"]
    sent = FIVE_MIB.replace("\r\n", "\n").partition("\n\n")[2]
    arrived = message.content.partition("\n\n")[2]
    assert hashlib.sha256(sent.encode()).digest() == hashlib.sha256(arrived.encode()).digest()
    until(lambda: world.content_files() == [], "no content files")


def test_larger_than_the_limit(world: World) -> None:
    client = world.server.client()
    assert client.say("MAIL FROM:<big@home.example> SIZE=6000001") == "552 5.3.4 Message size exceeds fixed limit"
    client.say("RSET")
    reply = client.send("big@home.example", "bob@far.example", FIVE_MIB + f"{LINE}\r\n" * 15000)
    assert reply == "552 5.3.4 Error: message file too big"
    assert client.say("NOOP") == "250 2.0.0 Ok"
    client.close()
    until(lambda: world.content_files() == [], "no content files")


def test_a_thousand_recipients(world: World) -> None:
    client = world.server.client()
    client.say("MAIL FROM:<many@home.example>")
    recipients = [f"user{number}@far.example" for number in range(1000)]
    client.sock.sendall("".join(f"RCPT TO:<{recipient}>\r\n" for recipient in recipients).encode())
    assert {client.reply() for _ in recipients} == {"250 2.1.5 Ok"}
    assert client.say("RCPT TO:<onemore@far.example>") == "452 4.5.3 Error: too many recipients"
    client.say("DATA")
    queue_id = queue_id_of(client.say("Subject: many\r\n\r\nText.\r\n."))
    client.close()
    world.server.wait_log(f"{queue_id}: removed")
    messages = [m for m in world.peer.messages if m.sender == "many@home.example"]
    assert sorted(r for m in messages for r in m.recipients) == sorted(recipients)
    assert len(messages) == 20  # smtp_destination_recipient_limit is 50
    assert len(world.server.log_lines(f"{queue_id}: to=<user.*status=sent")) == 1000
    world.server.wait_log(f"{queue_id}: from=<many@home.example>, size=.*, nrcpt=1000 ")


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_no_room(options: list[str]) -> None:
    world = World(*options, extra="queue_minfree = 9000000000000000\n")
    try:
        client = world.server.client()
        assert client.say("MAIL FROM:<ann@home.example>") == "452 4.3.1 Insufficient system storage"
        client.close()
        world.server.wait_log(
            r"NOQUEUE: reject: MAIL from localhost\[127\.0\.0\.1\]: 452 4\.3\.1 Insufficient system storage"
        )
    finally:
        world.stop()
