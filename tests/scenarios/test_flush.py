"""Deferred mail that somebody wants tried now: all of it, one domain's (also by ETRN), one message."""

from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, temporary_folder, until

# Nothing is tried again by itself within a test, and nothing at all unless somebody asks for it.
MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
relay_domains = near.example
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
smtpd_etrn_restrictions = check_etrn_access inline:{{ {{refused.near.example = REJECT}} }}
relayhost = [127.0.0.1]:{port}
relay_transport = relay:[127.0.0.1]:{port}
minimal_backoff_time = 8000s
maximal_backoff_time = 8000s
defer_transports = smtp, relay
"""


class World:
    def __init__(self, *options: str, more: str = "") -> None:
        self._folder = temporary_folder()
        self.peer = Peer()
        self.server = Gatepost(self._folder.__enter__(), MAIN_CF.format(port=self.peer.port) + more).start(*options)

    def deferred(self, *recipients: str) -> str:
        client = self.server.client()
        client.say("MAIL FROM:<ann@home.example>")
        for recipient in recipients:
            assert client.say(f"RCPT TO:<{recipient}>").startswith("250")
        client.say("DATA")
        reply = client.say("Subject: x\r\n\r\nHello.\r\n.")
        client.close()
        queue_id = reply.split()[-1]
        until(lambda: self.states().get(queue_id) == "deferred", "the deferred queue")
        return queue_id

    def states(self) -> dict[str, str]:
        return {str(item["queue_id"]): str(item["queue_name"]) for item in self.server.queued()}

    def etrn(self, *arguments: str) -> list[str]:
        client = self.server.client()
        replies = [client.say(f"ETRN {argument}") for argument in arguments]
        client.close()
        return replies

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture(params=["processes", "single-process"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(*(["--single-process"] if request.param == "single-process" else []))
    yield made
    made.stop()


def test_etrn(world: World) -> None:
    server = world.server
    near, both = world.deferred("a@near.example"), world.deferred("b@Near.example", "c@far.example")
    below, far = world.deferred("d@sub.near.example"), world.deferred("e@far.example")
    server.wait_log(rf"postfix/error\[\d+\]: {far}: to=<e@far.example>, relay=none, .* \(deferred transport\)")
    assert world.etrn("far.example", "refused.near.example", "none.near.example", "not.a.domain!") == [
        "459 <far.example>: service unavailable",
        "554 5.7.1 <refused.near.example>: Etrn command rejected: Access denied",
        "250 Queuing started",
        "501 Error: invalid parameter syntax",
    ]
    server.wait_log(r"smtpd\[\d+\]: warning: reject: ETRN far.example... from localhost\[127.0.0.1\]$")
    assert world.etrn("@NEAR.example") == ["250 Queuing started"]
    server.wait_log(f"{near}: removed")
    server.wait_log(f"{both}: removed")  # a message is tried for all of its recipients
    assert world.states() == {below: "deferred", far: "deferred"}
    assert world.etrn("#sub.near.example") == ["250 Queuing started"]
    server.wait_log(f"{below}: removed")
    assert world.states() == {far: "deferred"}
    recipients = {recipient for message in world.peer.messages for recipient in message.recipients}
    assert recipients == {"a@near.example", "b@Near.example", "c@far.example", "d@sub.near.example"}


def test_what_is_deferred_again_is_listed_again(world: World) -> None:
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    queue_id = world.deferred("a@near.example")
    world.etrn("near.example")
    world.server.wait_log(f"{queue_id}: to=.*status=deferred.*Later")
    until(lambda: world.states() == {queue_id: "deferred"}, "the deferred queue")
    world.peer.replies.clear()
    world.etrn("near.example")
    world.server.wait_log(f"{queue_id}: removed")


def test_postqueue(world: World) -> None:
    server = world.server
    near, far, other = world.deferred("a@near.example"), world.deferred("b@far.example"), world.deferred("c@o.example")
    held = world.deferred("d@near.example")
    server.command("postsuper", "-h", held)
    for site, text in (
        ("no_domain!", 'Cannot flush mail queue - invalid destination: "no_domain!"'),
        ("[300.0.0.1]", 'Cannot flush mail queue - invalid destination: "[300.0.0.1]"'),
        ("", 'Cannot flush mail queue - invalid destination: ""'),
    ):
        done = server.command("postqueue", "-s", site, check=False)
        assert (done.returncode, done.stderr) == (69, f"postqueue: fatal: {text}\n")
    server.command("postqueue", "-s", "near.example")
    server.wait_log(f"{near}: removed")
    server.command("postqueue", "-i", far)
    server.wait_log(f"{far}: removed")
    server.command("postqueue", "-i", held)
    assert world.states() == {other: "deferred", held: "hold"}
    server.command("postqueue", "-s", "O.example")  # not served by fast flush: looked for
    server.wait_log(f"{other}: removed")
    last = world.deferred("e@far.example")
    server.command("postqueue", "-f", "--domain", "near.example")
    server.command("postqueue", "-f")
    server.wait_log(f"{last}: removed")
    assert world.states() == {held: "hold"}
    server.command("postsuper", "-H", held)  # a release alone does not get past defer_transports
    until(lambda: world.states() == {held: "deferred"}, "the deferred queue")


def test_lists_outlive_a_restart_and_a_flush_gets_past_a_dead_destination() -> None:
    world = World(more="defer_transports =\n")
    try:
        world.peer.replies["CONNECT"] = "421 4.3.0 Not now"
        queue_id = world.deferred("a@near.example")
        world.server.stop()
        world.server.start()
        again = world.deferred("b@near.example")
        world.server.wait_log(f"{again}: to=.*status=deferred.*Not now")
        world.peer.replies.clear()
        assert world.etrn("near.example") == ["250 Queuing started"]
        world.server.wait_log(f"{queue_id}: removed")
        world.server.wait_log(f"{again}: removed")
    finally:
        world.stop()
