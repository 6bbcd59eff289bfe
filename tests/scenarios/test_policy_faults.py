"""A policy server that hangs, talks nonsense, hangs up, is not there and comes back: nothing for the others."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.faulty_server import BAD_ANSWERS, Loop, Mode, OwnServer, paragraph
from tests.scenarios.others import ONE_WORKER, Others, Workers, lasting
from tests.scenarios.server import Client, Gatepost, free_port, until

MAIN_CF = """\
smtpd_policy_service_timeout = {limit}s
smtpd_policy_service_retry_delay = 1s
smtpd_restriction_classes = asked, hasty, free_of_it
asked = check_policy_service inet:127.0.0.1:{port}
hasty = check_policy_service {{ inet:127.0.0.1:{port}, timeout=1s }}
free_of_it = check_policy_service {{ inet:127.0.0.1:{port}, timeout=1s, default_action=DUNNO }}
smtpd_recipient_restrictions =
    check_sender_access inline:{{ asked.example=asked, hasty.example=hasty, free.example=free_of_it }}
"""
LIMIT = 4
"""Seconds for an answer, for which is asked twice: ample for the others to go on meanwhile."""
REFUSED = "554 5.7.1 <ann@asked.example>: Sender address rejected: go away"
CANNOT_TELL = "451 4.3.5 <ann@asked.example>: Sender address rejected: Server configuration problem"
TAKEN = "250 2.1.5 Ok"


def answer(question: bytes) -> bytes:
    return b"action=REJECT go away\n\n" if b"\nrecipient=listed@" in question else b"action=DUNNO\n\n"


class World:
    def __init__(self, folder: Path) -> None:
        self.loop = Loop()
        self.policy = OwnServer(self.loop, free_port(), paragraph, answer)
        self.server = Gatepost(folder, ONE_WORKER + MAIN_CF.format(limit=LIMIT, port=self.policy.port)).start()
        self.others = Others(self.server, "bob@ours.example")

    def session(self, sender: str = "ann@asked.example") -> Client:
        client = self.server.client()
        assert client.say(f"MAIL FROM:<{sender}>") == "250 2.1.0 Ok"
        return client

    def ask(self, recipient: str, sender: str = "ann@asked.example") -> str:
        client = self.session(sender)
        reply = client.say(f"RCPT TO:<{recipient}>")
        client.close()
        return reply

    def works(self) -> None:
        assert (self.ask("listed@ours.example"), self.ask("joe@ours.example")) == (REFUSED, TAKEN)

    def told(self, pattern: str, since: int) -> None:
        """The log has named the server, after its first `since` characters."""

        def seen() -> bool:
            return bool(re.search(f"warning: {pattern}", self.server.log()[since:]))

        until(seen, pattern, 10)

    def stop(self) -> None:
        self.others.stop()
        self.server.stop()
        self.policy.down()
        self.loop.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


@pytest.fixture(autouse=True)
def all_is_well(world: World) -> None:
    world.policy.hang_up()
    world.policy.up()
    world.works()


@pytest.mark.parametrize("mode", BAD_ANSWERS)
def test_nonsense(world: World, mode: Mode) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    world.policy.mode = mode
    assert world.ask("joe@ours.example", "ann@hasty.example") == CANNOT_TELL.replace("asked", "hasty")
    assert world.ask("listed@ours.example", "ann@free.example") == TAKEN  # as the operator wants it
    world.told(rf".*127\.0\.0\.1:{world.policy.port}", since)
    world.others.go_on()
    world.policy.up()
    world.works()
    workers.are_as_before()


def test_not_there_and_back_again(world: World) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    world.policy.down()
    assert world.ask("joe@ours.example") == CANNOT_TELL
    world.told(rf"connect to 127\.0\.0\.1:{world.policy.port}: Connection refused", since)
    world.told(rf"problem talking to server 127\.0\.0\.1:{world.policy.port}: Connection refused", since)
    world.others.go_on()
    # A session that is open, and whose connection to the server has gone.
    client = world.session()
    assert client.say("RCPT TO:<joe@ours.example>") == CANNOT_TELL
    world.policy.up()
    assert client.say("RCPT TO:<joe@ours.example>") == TAKEN
    assert client.say("RCPT TO:<listed@ours.example>") == REFUSED
    client.close()
    workers.are_as_before()


def test_hangs(world: World) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    in_the_middle = world.session()
    assert in_the_middle.say("RCPT TO:<joe@ours.example>") == TAKEN
    world.policy.mode = "hang"
    waiting = [in_the_middle, *(world.session() for _ in range(20))]
    for client in waiting:
        client.sock.sendall(b"RCPT TO:<joe@ours.example>\r\n")
    world.others.go_on()
    for client in waiting:
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sock.recv(1)
        client.sock.settimeout(60)
    waiting.pop().hang_up()
    for client in waiting:
        assert client.reply() == CANNOT_TELL
        client.close()
    world.told(rf"problem talking to server 127\.0\.0\.1:{world.policy.port}: Connection timed out", since)
    world.others.go_on()
    world.policy.up()
    world.works()
    workers.are_as_before()
