"""What an operator does to the queue of a running server."""

import re
from collections.abc import Iterator

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
smtpd_recipient_restrictions = check_sender_access inline:{{ held@home.example=HOLD }}
relayhost = [127.0.0.1]:{port}
"""


class World:
    def __init__(self, *options: str) -> None:
        self._folder = temporary_folder()
        self.peer = Peer(RCPT="450 4.2.0 Later")
        self.server = Gatepost(self._folder.__enter__(), MAIN_CF.format(port=self.peer.port)).start(*options)

    def states(self) -> dict[str, str]:
        return {str(item["queue_id"]): str(item["queue_name"]) for item in self.server.queued()}

    def deferred(self, sender: str = "ann@home.example") -> str:
        queue_id = self.server.send(sender, "bob@far.example")
        until(lambda: self.states().get(queue_id) == "deferred", "the deferred queue")
        return queue_id

    def stop(self) -> None:
        self.peer.release.set()
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


def test_delete_hold_and_release(world: World) -> None:
    server = world.server
    first, second = world.deferred(), world.deferred()
    held = server.send("held@home.example", "bob@far.example")
    until(lambda: world.states() == {first: "deferred", second: "deferred", held: "hold"}, "three messages")
    listed = server.command("mailq").stdout
    assert re.search(rf"^{held}! ", listed, re.M) and re.search(rf"^{first} ", listed, re.M)
    assert "in 3 Requests." in listed

    done = server.command("postsuper", "-h", second)
    assert done.stderr == f"postsuper: {second}: placed on hold\npostsuper: Placed on hold: 1 message\n"
    assert world.states()[second] == "hold"
    done = server.command("postsuper", "-d", first)
    assert done.stderr == f"postsuper: {first}: removed\npostsuper: Deleted: 1 message\n"
    assert first not in world.states()
    server.wait_log(rf"postfix/postsuper\[\d+\]: {first}: removed")

    world.peer.replies.clear()
    server.command("postqueue", "-f")
    assert world.states() == {second: "hold", held: "hold"}
    done = server.command("postsuper", "-H", held)
    assert done.stderr == f"postsuper: {held}: released from hold\npostsuper: Released from hold: 1 message\n"
    server.wait_log(f"{held}: removed")
    server.command("postsuper", "-H", "ALL")
    server.wait_log(f"{second}: removed")
    assert server.command("mailq").stdout == "Mail queue is empty\n"
    assert [m.sender for m in world.peer.messages] == ["held@home.example", "ann@home.example"]


def test_all_at_once(world: World) -> None:
    server = world.server
    for _ in range(5):
        world.deferred()
    done = server.command("postsuper", "-h", "ALL")
    assert done.stderr.endswith("postsuper: Placed on hold: 5 messages\n")
    assert set(world.states().values()) == {"hold"}
    done = server.command("postsuper", "-d", "ALL", "deferred")
    assert done.stderr == "postsuper: Deleted: 0 messages\n" and len(world.states()) == 5
    done = server.command("postsuper", "-d", "ALL")
    assert done.stderr.endswith("postsuper: Deleted: 5 messages\n")
    assert world.states() == {}


def test_forced_expiration(world: World) -> None:
    server = world.server
    deferred = world.deferred()
    held = server.send("held@home.example", "bob@far.example")
    done = server.command("postsuper", "-e", deferred, "-f", held)
    assert done.stderr == (
        f"postsuper: {deferred}: expired\npostsuper: {held}: expired\npostsuper: {held}: released from hold\n"
        "postsuper: Force-expired: 2 messages\npostsuper: Released from hold: 1 message\n"
    )
    server.wait_log(f"{held}: removed")  # its release means an attempt
    assert re.search(rf"^{deferred}# ", server.command("mailq").stdout, re.M)
    server.command("postqueue", "-i", deferred)
    server.wait_log(f"{deferred}: removed")
    for queue_id, sender in ((deferred, "ann"), (held, "held")):
        server.wait_log(rf"qmgr\[\d+\]: {queue_id}: from=<{sender}@home.example>, status=force-expired, returned")
        server.wait_log(rf"bounce\[\d+\]: {queue_id}: sender non-delivery notification: \w+$")
    # What was tried is not tried again; what was not has a reason, too.
    assert len(server.log_lines(f"{deferred}: to=<bob@far.example>.* status=deferred")) == 1
    never = server.log_lines(f"{held}: to=<")
    assert len(never) == 1 and "postfix/error[" in never[0]
    assert never[0].endswith("dsn=4.7.0, status=deferred (message is administratively expired)")


@pytest.mark.parametrize("size", [10, 300_000])
def test_requeue(world: World, size: int) -> None:
    server = world.server
    body = "Subject: again\r\n\r\n" + "x" * 70 + "\r\n" + ("y" * 78 + "\r\n") * (size // 80)
    held = server.send("held@home.example", "bob@far.example", body)
    world.peer.replies.clear()
    done = server.command("postsuper", "-r", held)
    assert done.stderr == f"postsuper: {held}: requeued\npostsuper: Requeued: 1 message\n"
    line = server.wait_log(rf"pickup\[\d+\]: \w+: uid=\d+ from=<held@home.example> orig_id={held}$")
    queue_id = line.split(": ")[1]
    server.wait_log(f"cleanup.*{queue_id}: message-id=")
    server.wait_log(f"{queue_id}: removed")
    until(lambda: world.states() == {}, "an empty queue")
    (message,) = world.peer.messages
    head = rf"Received: by relay\.home\.example \(Postfix, from userid \d+\)\n\tid {queue_id}; .*\nReceived: from "
    content = message.content.replace("\r\n", "\n")
    assert re.match(head, content)
    assert content.endswith(body.replace("\r\n", "\n").partition("\n\n")[2])


def test_a_message_that_is_being_delivered(world: World) -> None:
    server = world.server
    world.peer.replies.clear()
    world.peer.release.clear()
    queue_id = server.send("ann@home.example", "bob@far.example", "Subject: seen\r\n\r\nIn the middle.\r\n")
    until(lambda: world.states() == {queue_id: "active"} and "DATA" in world.peer.commands, "active")
    assert re.search(rf"^{re.escape(queue_id)}\*", server.command("mailq").stdout, re.M)
    shown = server.command("postcat", "-q", queue_id).stdout
    assert "\nSubject: seen\n" in shown and "\nIn the middle.\n" in shown and "recipient: bob@far.example\n" in shown
    world.peer.release.set()
    server.wait_log(f"{queue_id}: removed")
    until(lambda: world.states() == {}, "an empty queue")  # the mark is written a moment after the line
    done = server.command("postcat", "-q", queue_id, check=False)
    assert done.returncode == 1 and "No such file or directory" in done.stderr


def test_finished_mail_that_is_kept(world: World) -> None:
    """It stays across a restart, as what is finished: nobody gets it again."""
    server, peer = world.server, world.peer
    peer.replies.clear()
    with (server.conf / "main.cf").open("a") as opened:
        opened.write("dont_remove = 1\n")
    server.command("reload")
    server.wait_log("reload -- version")
    queue_id = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: removed")
    until(lambda: "saved: 1" in server.command("status").stdout, "the queue saved")
    server.stop()
    assert server.command("postcat", "-qe", queue_id).stdout.startswith(f"*** ENVELOPE RECORDS saved/{queue_id} ***")
    server.start()
    assert server.command("mailq").stdout == "Mail queue is empty\n"
    server.command("postqueue", "-f")
    other = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{other}: removed")
    assert len(peer.messages) == 2
    assert server.command("postsuper", "-d", queue_id, "saved").stderr.endswith("Deleted: 1 message\n")
    until(lambda: "saved: 1" in server.command("status").stdout, "the other one is left")
