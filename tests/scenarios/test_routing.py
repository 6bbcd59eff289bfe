"""Where mail goes: MX hosts in their order, hosts that refuse mail, loops, transport_maps, relay hosts, IPv6."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import MASTER_CF, Dns, Gatepost, free_port, temporary_folder

ZONE = """\
two.example MX 10 dead.two.example
two.example MX 20 alive.two.example
dead.two.example A 127.0.89.9
alive.two.example A 127.0.88.1
order.example MX 30 alive.two.example
order.example MX 20 second.order.example
second.order.example A 127.0.88.2
plain.example A 127.0.88.2
null.example MX 0 .
relay.home.example A 127.0.87.254
backup.example MX 10 relay.home.example
backup.example MX 5 alive.two.example
allmx.example MX 10 dead.two.example
six.example AAAA ::1
nohost.example MX 10 gone.nohost.example
"""
MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.0/8 [::1]
inet_interfaces = 127.0.87.254{six}
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
smtp_tcp_port = {port}
gatepost_dns_servers = 127.0.0.1:{dns}
smtp_connect_timeout = 5s
minimal_backoff_time = 300s
transport_maps = inline:{{
  {{ bad.example = error:5.7.1 No such place }}
  {{ late.example = retry:4.7.1 Later, please }}
  {{ hole.example = discard:into the void }}
  {{ .sub.example = smtp:[127.0.88.2]:{port} }}
  {{ fixed.example = relay:[alive.two.example] }}
  {{ nowhere.example = nosuch: }} }}
"""
HAS_SIX = False
try:
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        HAS_SIX = True
except OSError:
    pass


class World:
    """alive.two.example and second.order.example take mail; dead.two.example does not."""

    def __init__(self, folder: Path, extra: str = "", six: bool = False) -> None:
        self.first = Peer("127.0.88.1")
        port = self.first.port
        self.second = Peer("127.0.88.2", port)
        self.six = Peer("::1", port) if six else None
        self.dns = Dns(folder, ZONE)
        main_cf = MAIN_CF.format(port=port, dns=self.dns.port, six=" ::1" if six else "")
        listeners = ["127.0.87.254"] + (["[::1]"] if six else [])
        self.port = free_port("127.0.87.254")
        inet, _, rest = MASTER_CF.partition("\n")
        lines = [inet.format(listen=f"{host}:{self.port}") for host in listeners]
        self.server = Gatepost(
            folder, main_cf + extra, host="127.0.87.254", port=self.port, master_cf="\n".join([*lines, rest])
        )
        try:
            self.server.start()
        except AssertionError:
            self.stop()
            raise

    def status(self, recipient: str) -> str:
        """What became of a message to that recipient."""
        queue_id = self.server.send("ann@home.example", recipient)
        return self.server.wait_log(f"{queue_id}: to=").partition(": to=")[2]

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            for part in (self.first, self.second, self.six, self.dns):
                if part is not None:
                    part.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder, six=HAS_SIX)
        yield made
        made.stop()


@pytest.mark.parametrize(
    ("recipient", "relay"),
    [
        ("a@two.example", "alive.two.example[127.0.88.1]"),
        ("a@order.example", "second.order.example[127.0.88.2]"),
        ("a@plain.example", "plain.example[127.0.88.2]"),
        ("a@backup.example", "alive.two.example[127.0.88.1]"),
        ("a@x.sub.example", "127.0.88.2[127.0.88.2]"),
        ("a@fixed.example", "alive.two.example[127.0.88.1]"),
        ("a@[127.0.88.2]", "127.0.88.2[127.0.88.2]"),
    ],
)
def test_sent_to(world: World, recipient: str, relay: str) -> None:
    line = world.status(recipient)
    assert f"relay={relay}:{world.first.port}, " in line and "status=sent (250 2.0.0 Ok)" in line, line


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [
        ("a@null.example", "dsn=5.1.0, status=bounced (Domain null.example does not accept mail (nullMX))"),
        (
            "a@nosuch.example",
            "dsn=5.4.4, status=bounced (Host or domain name not found. "
            "Name service error for name=nosuch.example type=A: Host not found)",
        ),
        (
            "a@nohost.example",
            "dsn=5.4.4, status=bounced (Host or domain name not found. "
            "Name service error for name=gone.nohost.example type=A: Host not found)",
        ),
        ("a@hole.example", "dsn=2.0.0, status=sent (into the void)"),
        ("a@nowhere.example", "dsn=4.3.0, status=deferred (mail transport unavailable)"),
    ],
)
def test_outcome(world: World, recipient: str, outcome: str) -> None:
    line = world.status(recipient)
    assert line.endswith(
        outcome.replace("type=A:", "type=AAAA:")
        if HAS_SIX and "type=A:" in outcome and "type=AAAA:" in line
        else outcome
    ), line


def test_the_error_transports_already_refuse_the_recipient(world: World) -> None:
    client = world.server.client()
    client.say("MAIL FROM:<ann@home.example>")
    assert (
        client.say("RCPT TO:<a@bad.example>") == "550 5.7.1 <a@bad.example>: Recipient address rejected: No such place"
    )
    assert client.say("RCPT TO:<a@late.example>") == (
        "450 4.7.1 <a@late.example>: Recipient address rejected: Later, please"
    )
    client.close()


def test_a_dead_mx_leaves_a_line(world: World) -> None:
    world.status("b@two.example")
    line = world.server.wait_log(r"connect to dead\.two\.example")
    assert re.fullmatch(
        rf"postfix/smtp\[\d+\]: connect to dead\.two\.example\[127\.0\.89\.9\]:{world.first.port}: Connection refused",
        line,
    )


def test_a_domain_whose_hosts_are_all_down_waits(world: World) -> None:
    line = world.status("a@allmx.example")
    assert line.endswith(
        f"relay=none, {line.partition('relay=none, ')[2].partition('dsn=')[0]}dsn=4.4.1, status=deferred "
        f"(connect to dead.two.example[127.0.89.9]:{world.first.port}: Connection refused)"
    ), line


def test_the_fallback_relay_takes_what_nobody_else_can() -> None:
    with temporary_folder() as folder:
        world = World(folder, "smtp_fallback_relay = [127.0.88.2]\n")
        try:
            assert "relay=127.0.88.2[127.0.88.2]:" in world.status("a@allmx.example")
            assert "relay=127.0.88.2[127.0.88.2]:" in world.status("a@nosuch.example")
        finally:
            world.stop()


def test_a_relay_host_by_mx_and_by_name() -> None:
    with temporary_folder() as folder:
        world = World(
            folder,
            "relayhost = two.example\n"
            "sender_dependent_relayhost_maps = inline:{ other@home.example=[second.order.example] }\n",
        )
        try:
            assert "relay=alive.two.example[127.0.88.1]:" in world.status("a@anything.example")
            queue_id = world.server.send("other@home.example", "a@anything.example")
            assert "relay=second.order.example[127.0.88.2]:" in world.server.wait_log(f"{queue_id}: to=")
        finally:
            world.stop()


def test_a_message_that_has_gone_round_too_often_is_refused(world: World) -> None:
    client = world.server.client()
    reply = client.send("ann@home.example", "a@plain.example", "Received: from a by b; date\r\n" * 60 + "\r\nText.\r\n")
    assert reply == "554 5.4.0 Error: too many hops"
    client.close()


@pytest.mark.skipif(not HAS_SIX, reason="this machine has no IPv6 loopback address")
def test_ipv6_in_and_out(world: World) -> None:
    assert world.six is not None
    world.server.host = "::1"
    try:
        line = world.status("a@six.example")
    finally:
        world.server.host = "127.0.87.254"
    assert f"relay=six.example[::1]:{world.six.port}, " in line and "status=sent" in line, line
    assert world.server.log_lines(r"client=\S+\[::1\]$")
    assert re.search(r"Received: from client\.example \(\S+ \[IPv6:::1\]\)", world.six.messages[0].content)
