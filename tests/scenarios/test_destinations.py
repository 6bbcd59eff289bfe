"""What Gatepost has beyond Postfix for destinations: health of next hops, retry schedules, limits by provider."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Dns, Gatepost, free_port, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
MODES = [[], ["--single-process"]]


@pytest.fixture(params=MODES, ids=["processes", "single-process"])
def mode(request: pytest.FixtureRequest) -> list[str]:
    options: list[str] = request.param
    return options


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def recipients(peer: Peer) -> list[str]:
    return [recipient for message in peer.messages for recipient in message.recipients]


def test_a_next_hop_that_fails_comes_behind_the_others_and_back(mode: list[str], folder: Path) -> None:
    first_port = free_port()
    first, second = f"[127.0.0.1]:{first_port}", Peer()
    hops = f"{first}, [127.0.0.1]:{second.port}"
    server = Gatepost(folder, f"{MAIN_CF}relayhost = {hops}\ngatepost_nexthop_rest_time = 5s\n")
    server.start(*mode)
    revived = None
    try:
        refused = f"connect to 127.0.0.1[127.0.0.1]:{first_port}: Connection refused"
        queue_id = server.send("ann@home.example", "one@far.example")
        server.wait_log(f"{queue_id}: removed")
        server.wait_log(
            rf"next hop \[127\.0\.0\.1\]:{first_port} of transport smtp is put behind the others: connect to"
        )
        # It is not tried by the next delivery, ...
        queue_id = server.send("ann@home.example", "two@far.example")
        server.wait_log(f"{queue_id}: removed")
        assert len(server.log_lines(rf"smtp\[\d+\]: {re.escape(refused)}")) == 1
        assert recipients(second) == ["one@far.example", "two@far.example"]
        # ... and it is shown, by the running system, ...
        shown = server.command("route", "x@far.example").stdout
        assert f"{first} comes behind the others until " in shown and refused in shown, shown
        status = server.command("status").stdout
        assert f"next hop {first} of transport smtp rests until " in status and refused in status, status
        asked = json.loads(server.command("route", "--json", "x@far.example").stdout)
        assert asked["deliveries"][0]["not_well"][0]["nexthop"] == first
        # ... but after its time it is, and has the mail again.
        revived = Peer(port=first_port)
        numbers = iter(range(1000))

        def back() -> bool:
            queue_id = server.send("ann@home.example", f"n{next(numbers)}@far.example")
            server.wait_log(f"{queue_id}: to=")
            return bool(server.log_lines("works again"))

        until(back, "the first next hop is back")
        queue_id = server.send("ann@home.example", "last@far.example")
        server.wait_log(f"{queue_id}: removed")
        assert "last@far.example" in recipients(revived)
        assert "comes behind" not in server.command("route", "x@far.example").stdout
    finally:
        server.stop()
        second.stop()
        if revived is not None:
            revived.stop()


def test_a_next_hop_that_answers_is_well_whatever_it_says(folder: Path) -> None:
    first, second = Peer(**{"RCPT TO:<": "450 4.2.0 Not now"}), Peer()
    server = Gatepost(
        folder,
        f"{MAIN_CF}relayhost = [127.0.0.1]:{first.port}, [127.0.0.1]:{second.port}\ngatepost_nexthop_rest_time = 1h\n",
    )
    server.start("--single-process")
    try:
        for name in ("one", "two"):
            queue_id = server.send("ann@home.example", f"{name}@far.example")
            server.wait_log(f"{queue_id}: removed")
        assert first.connections >= 1 and sum(line.startswith("RCPT") for line in first.commands) == 2
        assert recipients(second) == ["one@far.example", "two@far.example"]
        assert not server.log_lines("behind the others")
    finally:
        server.stop()
        first.stop()
        second.stop()


def test_without_the_parameter_each_delivery_begins_with_the_first(folder: Path) -> None:
    port, second = free_port(), Peer()
    server = Gatepost(folder, f"{MAIN_CF}relayhost = [127.0.0.1]:{port} [127.0.0.1]:{second.port}\n")
    server.start("--single-process")
    try:
        for name in ("one", "two"):
            queue_id = server.send("ann@home.example", f"{name}@far.example")
            server.wait_log(f"{queue_id}: removed")
        assert len(server.log_lines(rf"connect to 127\.0\.0\.1\[127\.0\.0\.1\]:{port}: Connection refused")) == 2
        assert not server.log_lines("behind the others")
    finally:
        server.stop()
        second.stop()


def test_a_retry_schedule_decides_when_and_how_long(mode: list[str], folder: Path) -> None:
    peer = Peer(**{"RCPT TO:<": "450 4.2.0 Not now"})
    server = Gatepost(
        folder,
        f"{MAIN_CF}relayhost = [127.0.0.1]:{peer.port}\n"
        "minimal_backoff_time = 2000s\nmaximal_backoff_time = 4000s\n"
        "gatepost_retry_schedule_maps = inline:{ {quick.example = 1s; expire 3s}, {.slow.example = 1h} }\n",
    )
    server.start(*mode)
    try:
        usual = server.send("ann@home.example", "a@usual.example")
        slow = server.send("ann@home.example", "a@very.slow.example")
        quick = server.send("ann@home.example", "a@quick.example")
        until(lambda: len(server.log_lines(f"{quick}: to=.*status=deferred")) >= 2, "a second attempt")
        server.wait_log(f"{quick}: from=<ann@home.example>, status=expired, returned to sender")
        server.wait_log(f"{quick}: removed")
        for queue_id in (usual, slow):
            assert len(server.log_lines(f"{queue_id}: to=")) == 1
        shown = server.command("route", "--json", "a@very.slow.example").stdout
        (limit,) = [one for one in json.loads(shown)["deliveries"][0]["limits"] if one["what"] == "tried again after"]
        assert limit["value"] == "1h" and limit["origin"]["key"] == ".slow.example"
        # A flush does not wait for the schedule.
        peer.replies.clear()
        server.command("postqueue", "-f")
        server.wait_log(f"{slow}: removed")
    finally:
        server.stop()
        peer.stop()


def test_of_one_message_each_recipient_has_its_own_schedule(folder: Path) -> None:
    peer = Peer(**{"RCPT TO:<": "450 4.2.0 Not now"})
    server = Gatepost(
        folder,
        f"{MAIN_CF}relayhost = [127.0.0.1]:{peer.port}\n"
        "gatepost_retry_schedule_maps = inline:{ {quick.example = 1s}, {slow.example = 1h} }\n",
    )
    server.start("--single-process")
    try:
        client = server.client()
        for line in ("MAIL FROM:<ann@home.example>", "RCPT TO:<a@quick.example>", "RCPT TO:<b@slow.example>", "DATA"):
            client.say(line)
        queue_id = client.say("Subject: both\r\n\r\nText.\r\n.").split()[-1]
        client.close()
        until(lambda: len(server.log_lines(f"{queue_id}: to=<a@quick")) >= 3, "a third attempt")
        assert len(server.log_lines(f"{queue_id}: to=<b@slow")) == 1
        # The slow one goes on waiting when the quick one has its mail.
        peer.replies.clear()
        server.wait_log(f"{queue_id}: to=<a@quick.*status=sent")
        until(lambda: [item["queue_name"] for item in server.queued()] == ["deferred"], "deferred again")
        (item,) = server.queued()
        assert [one["address"] for one in item["recipients"]] == ["b@slow.example"]  # type: ignore[attr-defined]
        assert "Not now" in item["recipients"][0]["delay_reason"]  # type: ignore[index]
        server.command("postqueue", "-i", queue_id)
        server.wait_log(f"{queue_id}: to=<b@slow.*status=sent")
    finally:
        server.stop()
        peer.stop()


ZONE = """\
a.example MX 10 mx.big.example
b.example MX 10 mx.big.example
other.example MX 10 mx.other.example
mx.big.example A 127.0.84.1
mx.other.example A 127.0.84.2
"""


def test_domains_of_one_provider_share_a_window(mode: list[str], folder: Path) -> None:
    big = Peer("127.0.84.1")
    other = Peer("127.0.84.2", big.port)
    dns = Dns(folder, ZONE)
    server = Gatepost(
        folder,
        f"{MAIN_CF}smtp_tcp_port = {big.port}\ngatepost_dns_servers = 127.0.0.1:{dns.port}\n"
        "gatepost_provider_limit_transports = smtp\nsmtp_destination_concurrency_limit = 1\n",
    )
    server.start(*mode)
    try:
        for domain in ("a", "b", "other"):  # so that DNS has been asked
            queue_id = server.send("ann@home.example", f"warm@{domain}.example")
            server.wait_log(f"{queue_id}: removed")
        shown = server.command("route", "x@b.example").stdout
        assert "limits are shared by the group: mx mx.big.example  [gatepost_provider_limit_transports (" in shown
        big.release.clear()
        held = server.send("ann@home.example", "held@a.example")
        until(lambda: any("held@" in command for command in big.commands), "the first delivery")
        waits = server.send("ann@home.example", "waits@b.example")
        # Another provider's mail goes meanwhile; mail to another domain of this one waits for its turn.
        free = server.send("ann@home.example", "free@other.example")
        server.wait_log(f"{free}: removed")
        assert not any("waits@" in command for command in big.commands)
        big.release.set()
        server.wait_log(f"{held}: removed")
        server.wait_log(f"{waits}: removed")
    finally:
        big.release.set()
        server.stop()
        for part in (big, other, dns):
            part.stop()
