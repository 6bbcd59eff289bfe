"""What access(5) results do to a message, seen where it is delivered and in the queue: the same as with Postfix."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.compat.real_postfix import RealPostfix, need_postfix
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, temporary_folder, until

ACTIONS = {
    "hold": "HOLD",
    "redirect": "REDIRECT other@else.example",
    "bcc": "BCC copy@else.example",
    "prepend": "PREPEND X-One: 1",
    "prepend_long": "PREPEND X-Long: {words}".format(words="many words " * 30),
    "prepend_utf8": "PREPEND X-Utf8: caf\u00e9",
    "prepend_received": "PREPEND Received: from nowhere",
    "discard": "DISCARD",
    "hold_and_filter": "filter_class, hold_class",
    "filter": "FILTER smtp:[127.0.0.1]:FILTER_PORT",
    "filter_error": "FILTER error:5.7.0 not through this filter",
    "info": "INFO hello",
    "warn": "WARN mind",
    "dunno": "DUNNO",
    "two_prepends": "prepend_one_class, prepend_two_class",
    "two_bccs": "bcc_one_class, bcc_two_class",
    "two_redirects": "redirect_one_class, redirect_two_class",
    "redirect_and_bcc": "redirect_one_class, bcc_one_class",
    "hold_and_prepend": "hold_class, prepend_one_class",
    "discard_and_bcc": "bcc_one_class, discard_class",
}
CLASSES = {
    "prepend_one_class": "PREPEND X-One: 1",
    "prepend_two_class": "PREPEND X-Two: 2",
    "bcc_one_class": "BCC copy@else.example",
    "bcc_two_class": "BCC copy2@else.example",
    "redirect_one_class": "REDIRECT other@else.example",
    "redirect_two_class": "REDIRECT other2@else.example",
    "hold_class": "HOLD",
    "filter_class": "FILTER smtp:[127.0.0.1]:9",
    "discard_class": "DISCARD",
}
MAIN_CF = f"""\
myhostname = mail.ours.example
mydomain = ours.example
mydestination = ours.example
alias_maps =
alias_database =
local_recipient_maps =
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:PEER_PORT
bounce_size_limit = 1
default_transport = smtp
inet_protocols = ipv4
notify_classes =
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
in_flow_delay = 0
smtpd_restriction_classes = {" ".join(CLASSES)}
{"".join(f"{name} = check_client_access static:{{{action}}}{chr(10)}" for name, action in CLASSES.items())}
smtpd_sender_restrictions = check_sender_access inline:{{
  {", ".join(f"{{ {name}@x.example = {action} }}" for name, action in ACTIONS.items())} }}
"""
BODY = "From: {sender}\r\nTo: a@else.example\r\nSubject: test\r\n\r\nHello.\r\n"
_MASKED = ("Received", "Message-Id", "Date", "Delivered-To")


class Outcome(NamedTuple):
    """What came of one message: (sender, recipients, headers) for each delivery, or its mark in the queue."""

    delivered: list[tuple[str, tuple[str, ...], tuple[str, ...]]]
    queued: str


def deliveries(peer: Peer, sender: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return sorted(
        (message.sender, tuple(sorted(message.recipients)), headers_of(message.content))
        for message in peer.messages
        if message.sender == sender
    )


def headers_of(content: str) -> tuple[str, ...]:
    """Fields in their order; of those that differ from run to run only the name, of Received: the beginning."""
    head = re.sub(r"\n[ \t]+", " ", content.partition("\n\n")[0])
    fields = []
    for line in head.split("\n"):
        name = line.partition(":")[0]
        fields.append(line[:22] if name == "Received" else name if name in _MASKED else line)
    return tuple(fields)


def play(port: int) -> dict[str, str]:
    """Send one message with each action; the queue IDs by action."""
    ids = {}
    for name in ACTIONS:
        client = Client(port)
        client.say("EHLO client.example")
        sender = f"{name}@x.example"
        reply = client.send(sender, "a@else.example", BODY.format(sender=sender))
        assert reply.startswith("250 2.0.0 Ok: queued as "), reply
        ids[name] = reply.split()[-1]
        client.close()
    return ids


def outcomes(ids: dict[str, str], peer: Peer, content_filter: Peer, listing: str) -> dict[str, Outcome]:
    found = {}
    for name, queue_id in ids.items():
        mark = re.search(rf"^{queue_id}([*!]?)", listing, re.M)
        place = content_filter if name == "filter" else peer
        found[name] = Outcome(deliveries(place, f"{name}@x.example"), mark[1] or "deferred" if mark else "gone")
    return found


def _expected_deliveries() -> int:
    """Those that are neither held nor thrown away, and go neither to a filter nor back."""
    return sum(1 for name in ACTIONS if not name.startswith(("hold", "discard", "filter")))


def _main_cf(peer: Peer, content_filter: Peer) -> str:
    return MAIN_CF.replace("PEER_PORT", str(peer.port)).replace("FILTER_PORT", str(content_filter.port))


def _all_there(peer: Peer, content_filter: Peer) -> bool:
    """The bounce of the message that a filter has refused, too."""
    bounced = any(message.sender == "" for message in peer.messages)
    return bounced and len(peer.messages) >= _expected_deliveries() + 1 and bool(content_filter.messages)


@pytest.fixture(scope="module")
def postfix() -> Iterator[dict[str, Outcome]]:
    need_postfix()
    peer, content_filter = Peer(), Peer()
    server = RealPostfix({"access": {}}, _main_cf(peer, content_filter) + "compatibility_level = 3.6\n")
    with server:
        ids = play(server.ports["access"])
        until(lambda: _all_there(peer, content_filter), "Postfix's deliveries")
        command = ["postqueue", "-c", str(server.folder / "config"), "-p"]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield outcomes(ids, peer, content_filter, listing)
    peer.stop()
    content_filter.stop()


@pytest.fixture(scope="module")
def ours() -> Iterator[tuple[dict[str, Outcome], Gatepost, dict[str, str]]]:
    peer, content_filter = Peer(), Peer()
    with temporary_folder() as folder:
        server = Gatepost(Path(folder), _main_cf(peer, content_filter)).start("--single-process")
        try:
            ids = play(server.port)
            until(lambda: _all_there(peer, content_filter), "our deliveries")
            until(lambda: not re.search(r"^\w+\*", server.command("mailq").stdout, re.M), "active mail")
            listing = server.command("mailq").stdout
            yield outcomes(ids, peer, content_filter, listing), server, ids
        finally:
            server.stop()
    peer.stop()
    content_filter.stop()


@pytest.mark.parametrize("name", ACTIONS)
def test_the_message_fares_as_with_postfix(
    name: str, postfix: dict[str, Outcome], ours: tuple[dict[str, Outcome], Gatepost, dict[str, str]]
) -> None:
    assert ours[0][name] == postfix[name]


def test_a_held_message_shows_a_mark(ours: tuple[dict[str, Outcome], Gatepost, dict[str, str]]) -> None:
    outcome, server, ids = ours
    assert outcome["hold"] == Outcome([], "!")
    assert f"{ids['hold']}!" in server.command("mailq").stdout


def test_a_held_message_goes_when_it_is_released(
    ours: tuple[dict[str, Outcome], Gatepost, dict[str, str]],
) -> None:
    _, server, ids = ours
    server.command("postsuper", "-H", ids["hold"])
    server.command("postqueue", "-f")
    server.wait_log(rf"{ids['hold']}: to=<a@else\.example>.*status=sent")


def test_a_filter_is_stored_with_the_message(ours: tuple[dict[str, Outcome], Gatepost, dict[str, str]]) -> None:
    _, server, ids = ours
    stored = server.command("postcat", "-q", ids["hold_and_filter"]).stdout
    assert "\ncontent_filter: smtp:[127.0.0.1]:9\n" in stored
