"""postsrsd, unchanged, as canonical maps over its TCP tables: senders leave as ours, and bounces find the way back."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.others import lasting
from tests.scenarios.peers import Peer
from tests.scenarios.server import WAIT, Dns, Gatepost, free_port, queue_id_of, until

PROGRAM = shutil.which("postsrsd", path="/usr/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(PROGRAM is None and not os.environ.get("CI"), reason="postsrsd is not installed")

SERVER = "127.0.85.254"
ZONE = """\
far.example MX 10 mx.far.example
mx.far.example A 127.0.88.1
"""
# The four lines of canonical maps are those of postsrsd's own description.
MAIN_CF = """\
myhostname = mx.home.example
mydestination = home.example
local_recipient_maps = inline:{{ann=ok}}
virtual_alias_maps = inline:{{ {{fwd@home.example = joe@far.example}} }}
alias_maps =
mynetworks = 127.0.85.0/24
local_header_rewrite_clients = permit_mynetworks
inet_interfaces = 127.0.85.254
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtp_tcp_port = {port}
gatepost_dns_servers = 127.0.0.1:{dns}
sender_canonical_maps = tcp:127.0.0.1:{forward}
sender_canonical_classes = envelope_sender
recipient_canonical_maps = tcp:127.0.0.1:{reverse}
recipient_canonical_classes= envelope_recipient,header_recipient
"""


class Postsrsd:
    """The daemon on ports of its own."""

    def __init__(self, folder: Path) -> None:
        self.ports = free_port(), free_port()
        self.secret = folder / "postsrsd.secret"
        self.secret.write_text("only for tests\n")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert PROGRAM is not None
        forward, reverse = map(str, self.ports)
        self.process = subprocess.Popen(
            [PROGRAM, "-4", "-s", str(self.secret), "-d", "home.example", "-f", forward, "-r", reverse],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until(lambda: all(map(_listens, self.ports)), "postsrsd")

    def stop(self) -> None:
        if self.process is not None:
            # It has a child for each connection, which would go on to answer.
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(WAIT)
            self.process = None


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class World:
    def __init__(self, folder: Path) -> None:
        self.far = Peer("127.0.88.1")
        self.dns = Dns(folder, ZONE)
        self.srs = Postsrsd(folder)
        self.srs.start()
        forward, reverse = self.srs.ports
        main_cf = MAIN_CF.format(port=self.far.port, dns=self.dns.port, forward=forward, reverse=reverse)
        self.server = Gatepost(folder, main_cf, host=SERVER)
        try:
            self.server.start()
        except AssertionError:
            self.stop()
            raise

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            for part in (self.far, self.dns, self.srs):
                part.stop()

    def send(self, sender: str, recipient: str, body: str = "Subject: x\r\n\r\nHello.\r\n") -> str:
        """The reply to a message from a client of ours."""
        client = self.server.client("127.0.85.1")
        try:
            return client.send(sender, recipient, body)
        finally:
            client.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


def forwarded(world: World) -> str:
    """The sender that a forwarded message leaves with."""
    queue_id = queue_id_of(world.send("bob@stranger.example", "fwd@home.example"))
    world.server.wait_log(f"{queue_id}: to=<joe@far.example>, orig_to=<fwd@home.example>.*status=sent")
    return world.far.messages[-1].sender


def test_a_forwarded_message_leaves_with_an_address_of_ours(world: World) -> None:
    sender = forwarded(world)
    assert re.fullmatch(r"SRS0=\S{4}=\S{2}=stranger\.example=bob@home\.example", sender)


def test_our_own_senders_stay(world: World) -> None:
    queue_id = queue_id_of(world.send("ann@home.example", "joe@far.example"))
    world.server.wait_log(f"{queue_id}: to=<joe@far.example>.*status=sent")
    assert world.far.messages[-1].sender == "ann@home.example"


def test_a_bounce_finds_the_way_back(world: World) -> None:
    srs = forwarded(world).replace("stranger.example", "far.example")
    assert world.send("", srs).startswith("550 5.1.1")  # the signature does not fit
    queue_id = queue_id_of(world.send("bob@far.example", "fwd@home.example"))
    world.server.wait_log(f"{queue_id}: to=<joe@far.example>.*status=sent")
    srs = world.far.messages[-1].sender
    bounce = f"From: MAILER-DAEMON@far.example\r\nTo: <{srs}>\r\nSubject: undeliverable\r\n\r\nSorry.\r\n"
    queue_id = queue_id_of(world.send("", srs, bounce))
    line = world.server.wait_log(f"{queue_id}: to=<bob@far.example>.*status=sent")
    assert f"orig_to=<{srs}>" in line
    message = world.far.messages[-1]
    assert (message.sender, message.recipients) == ("", ["bob@far.example"])
    assert "\nTo: <bob@far.example>\n" in message.content.replace("\r\n", "\n")


def test_while_it_is_down_mail_is_put_off(world: World) -> None:
    world.srs.stop()
    try:
        assert world.send("bob@stranger.example", "joe@far.example").startswith("451 4.3.0")
        world.server.wait_log(f"warning: tcp:127.0.0.1:{world.srs.ports[1]} lookup error")
    finally:
        world.srs.start()
    until(lambda: world.send("bob@stranger.example", "joe@far.example").startswith("250"), "mail after the restart")
