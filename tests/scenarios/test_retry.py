"""A destination that is down: mail waits, is listed with the reason, and goes when the destination is back."""

import re
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, free_port, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
minimal_backoff_time = {backoff}
queue_run_delay = {backoff}
"""
MODES = [[], ["--single-process"]]


@pytest.fixture(params=MODES, ids=["processes", "single-process"])
def patient(request: pytest.FixtureRequest) -> Iterator[tuple[Gatepost, int]]:
    """Retries only when told to; its relay host is down."""
    with temporary_folder() as folder:
        port = free_port()
        server = Gatepost(folder, MAIN_CF.format(port=port, backoff="300s"))
        server.start(*request.param)
        yield server, port
        server.stop()


def test_it_waits_and_goes_when_flushed(patient: tuple[Gatepost, int]) -> None:
    server, port = patient
    first = server.send("ann@home.example", "bob@far.example")
    reason = rf"connect to 127.0.0.1[127.0.0.1]:{port}: Connection refused"
    line = server.wait_log(f"{first}: to=")
    assert re.search(
        rf"postfix/smtp\[\d+\]: {first}: to=<bob@far\.example>, relay=none, delay=[\d.]+, delays=\S+, dsn=4\.4\.1, "
        rf"status=deferred \({re.escape(reason)}\)$",
        line,
    ), line
    until(lambda: server.queued()[0]["queue_name"] == "deferred", "deferred queue")
    listed = server.command("mailq").stdout
    assert f"({reason})" in listed and "bob@far.example" in listed and "-- 0 Kbytes in 1 Request." in listed
    (item,) = server.queued()
    assert item["queue_id"] == first and item["sender"] == "ann@home.example"
    assert item["recipients"] == [{"address": "bob@far.example", "delay_reason": reason}]
    peer = Peer(port=port)
    try:
        server.command("postqueue", "-f")
        server.wait_log(f"{first}: removed")
        assert [m.recipients for m in peer.messages] == [["bob@far.example"]]
        assert server.command("mailq").stdout == "Mail queue is empty\n"
    finally:
        peer.stop()


def test_one_message_and_one_site_are_flushed(patient: tuple[Gatepost, int]) -> None:
    server, port = patient
    here = server.send("ann@home.example", "bob@far.example")
    there = server.send("ann@home.example", "bob@away.example")
    third = server.send("ann@home.example", "bob@third.example")
    until(lambda: [i["queue_name"] for i in server.queued()] == ["deferred"] * 3, "deferred queue")
    peer = Peer(port=port)
    try:
        server.command("postqueue", "-i", here)
        server.wait_log(f"{here}: removed")
        server.command("postqueue", "-s", "away.example")
        server.wait_log(f"{there}: removed")
        assert [item["queue_id"] for item in server.queued()] == [third]
    finally:
        peer.stop()


@pytest.mark.parametrize("options", MODES, ids=["processes", "single-process"])
def test_it_is_tried_again_by_itself(options: list[str]) -> None:
    with temporary_folder() as folder:
        port = free_port()
        server = Gatepost(folder, MAIN_CF.format(port=port, backoff="1s"))
        server.start(*options)
        queue_id = server.send("ann@home.example", "bob@far.example")
        until(lambda: len(server.log_lines(f"{queue_id}: to=.*status=deferred")) >= 2, "a second attempt")
        peer = Peer(port=port)
        try:
            server.wait_log(f"{queue_id}: to=.*status=sent")
            server.wait_log(f"{queue_id}: removed")
        finally:
            peer.stop()
            server.stop()


def test_deferred_by_the_other_side_and_sent_one_by_one(patient: tuple[Gatepost, int]) -> None:
    """Of two recipients the one that is taken is not sent twice."""
    server, port = patient
    peer = Peer(port=port)
    peer.replies["RCPT TO:<busy@"] = "450 4.2.0 Mailbox is busy"
    client = server.client()
    for line in ("MAIL FROM:<ann@home.example>", "RCPT TO:<busy@far.example>", "RCPT TO:<free@far.example>", "DATA"):
        assert client.say(line)[0] in "23"
    queue_id = client.say("Subject: both\r\n\r\nText.\r\n.").rsplit(" ", 1)[1]
    client.close()
    line = server.wait_log(f"{queue_id}: to=<busy@far.example>")
    assert line.endswith(
        "dsn=4.2.0, status=deferred (host 127.0.0.1[127.0.0.1] said: 450 4.2.0 Mailbox is busy "
        "(in reply to RCPT TO command))"
    )
    server.wait_log(f"{queue_id}: to=<free@far.example>.*status=sent")
    until(lambda: [i["queue_name"] for i in server.queued()] == ["deferred"], "deferred queue")
    assert [r["address"] for r in server.queued()[0]["recipients"]] == ["busy@far.example"]  # type: ignore[attr-defined]
    peer.replies.clear()
    server.command("postqueue", "-f")
    server.wait_log(f"{queue_id}: removed")
    assert [m.recipients for m in peer.messages] == [["free@far.example"], ["busy@far.example"]]
    peer.stop()
