"""Tables of addresses and routes that cannot tell: mail is put off, at the door or in the queue; none bounces, none is
lost, and mail that needs nothing of them goes on."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.faulty_server import Loop, OwnServer, netstring
from tests.scenarios.others import Others, Workers, lasting
from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, free_port, queue_id_of, until

LIMIT = 3
MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example, others.example, {destination}
mynetworks = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, reject
gatepost_smtpd_processes = 1
gatepost_delivery_processes = 1
gatepost_table_timeout = {limit}s
relayhost = [127.0.0.1]:{peer}
alias_maps =
local_recipient_maps =
local_transport = smtp:[127.0.0.1]:{peer}
minimal_backoff_time = 300s
notify_classes =
virtual_alias_maps = {virtual}
virtual_alias_domains = {alias_domain}
canonical_maps = {canonical}
sender_canonical_maps = {sender}
recipient_canonical_maps = {recipient}
transport_maps = inline:{{ others.example=discard: }}, {transport}
relocated_maps = {relocated}
relay_domains = {relay}
virtual_mailbox_domains = {mailbox_domain}
sender_dependent_relayhost_maps = {relayhost}
sender_dependent_default_transport_maps = {default}
"""
AT_INTAKE = ("virtual", "canonical", "sender", "recipient")
ON_THE_WAY = (
    "destination",
    "alias_domain",
    "mailbox_domain",
    "relay",
    "transport",
    "relocated",
    "relayhost",
    "default",
)
CONNECTIONS = 6
"""That may be kept to the tables' server."""
OWN_KEY = b"others.example"


class World:
    """One socketmap server for all tables; `fault` is what ails the table `ailing`, but for keys of the others."""

    def __init__(self, folder: Path) -> None:
        self.ailing = ""
        self.fault = ""
        self.loop = Loop()
        self.tables = OwnServer(self.loop, free_port(), netstring, self._answer)
        self.peer = Peer()
        names = {name: f"socketmap:inet:127.0.0.1:{self.tables.port}:{name}" for name in (*AT_INTAKE, *ON_THE_WAY)}
        self.server = Gatepost(folder, MAIN_CF.format(limit=LIMIT, peer=self.peer.port, **names)).start()
        self.others = Others(self.server, "joe@others.example", "ann@others.example")

    def _answer(self, question: bytes) -> bytes:
        name, _, key = question.partition(b" ")
        if name.decode() != self.ailing or OWN_KEY in key:
            return b"9:NOTFOUND ,"
        if self.fault == "close":
            raise ConnectionResetError
        return {"temporary": b"8:TEMP now,", "garbage": b"\xff\n" * 50, "hang": b""}[self.fault]

    def mend(self) -> None:
        self.ailing = self.fault = ""
        self.peer.replies.clear()

    def named(self, table: str, since: int) -> None:
        """The log says which table could not tell."""
        pattern = rf"warning: .*socketmap:inet:127\.0\.0\.1:{self.tables.port}:{table}"
        until(lambda: bool(re.search(pattern, self.server.log()[since:])), pattern, 10)

    def try_again_until(self, queue_id: str, condition: Callable[[], bool], what: str) -> None:
        """Have the message tried, as often as it takes: while a try is under way that is no new one."""

        def tried() -> bool:
            if condition():
                return True
            self.server.command("postqueue", "-i", queue_id, check=False)  # it may be gone by now
            return condition()

        until(tried, what)

    def delivered(self, body: str) -> int:
        return sum(body in message.content for message in self.peer.messages)

    def stop(self) -> None:
        self.others.stop()
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self.tables.down()
            self.loop.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


@pytest.fixture(autouse=True)
def all_is_well(world: World) -> Iterator[None]:
    world.mend()
    yield
    world.mend()
    assert not re.search("status=bounced|sender non-delivery", world.server.log())


@pytest.mark.parametrize("fault", ["temporary", "garbage", "close", "hang"])
@pytest.mark.parametrize("table", AT_INTAKE)
def test_mail_that_comes_in(world: World, table: str, fault: str) -> None:
    """The table fails after the recipient has been accepted: the message is not, and its sender will try again."""
    workers, since = Workers(world.server), len(world.server.log())
    body = f"Subject: x\r\n\r\nintake {table} {fault}\r\n"
    client = world.server.client()
    assert client.say("MAIL FROM:<ann@away.example>") == "250 2.1.0 Ok"
    assert client.say("RCPT TO:<bob@far.example>") == "250 2.1.5 Ok"
    assert client.say("DATA").startswith("354 ")
    world.ailing, world.fault = table, fault
    client.sock.sendall(f"{body}.\r\n".encode())
    world.others.go_on()
    assert client.reply() == "451 4.3.0 Error: queue file write error"
    world.named(table, since)
    world.mend()
    queue_id_of(client.send("ann@away.example", "bob@far.example", body))
    client.close()
    until(lambda: world.delivered(f"intake {table} {fault}") == 1, "the message")
    workers.are_as_before(more=CONNECTIONS)


@pytest.mark.parametrize("table", [*AT_INTAKE, *ON_THE_WAY])
def test_recipients_are_put_off(world: World, table: str) -> None:
    """Whether the recipient is asked for at RCPT or not: never is it refused for good."""
    world.ailing, world.fault = table, "temporary"
    client = world.server.client()
    reply = client.send("ann@away.example", "bob@far.example", f"Subject: x\r\n\r\nput off {table}\r\n")
    client.close()
    world.others.go_on()
    world.mend()
    if reply.startswith("250 "):
        queue_id = queue_id_of(reply)
        until(lambda: f"{queue_id}: to=<bob@far.example>" in world.server.log(), "the first try")
        world.try_again_until(queue_id, lambda: world.delivered(f"put off {table}") == 1, "the message")
    else:
        assert re.match(r"45[01] 4\.", reply), reply
        world.server.send("ann@away.example", "bob@far.example", f"Subject: x\r\n\r\nput off {table}\r\n")
    until(lambda: world.delivered(f"put off {table}") == 1, "the message")


@pytest.mark.parametrize("fault", ["temporary", "garbage", "close", "hang"])
def test_mail_in_the_queue(world: World, fault: str) -> None:
    """Each table of routes fails in turn when a message is tried again."""
    workers = Workers(world.server, "qmgr")
    world.peer.replies["RCPT"] = "450 4.2.1 later"
    body = f"in the queue {fault}"
    queue_id = world.server.send("ann@away.example", "bob@far.example", f"Subject: x\r\n\r\n{body}\r\n")
    world.server.wait_log(rf"{queue_id}: to=<bob@far\.example>.* status=deferred")
    for table in ON_THE_WAY if fault != "hang" else ("destination", "transport"):
        since = len(world.server.log())
        world.ailing, world.fault = table, fault
        tried = rf"{queue_id}: to=<bob@far\.example>.* dsn=4\.3\.0, status=deferred \(address resolver failure\)"
        named = rf"warning: .*socketmap:inet:127\.0\.0\.1:{world.tables.port}:{table}(.|\n)*{tried}"
        world.try_again_until(queue_id, lambda: bool(re.search(named, world.server.log()[since:])), named)  # noqa: B023
        world.others.go_on()
        world.mend()
        world.peer.replies["RCPT"] = "450 4.2.1 later"
    world.mend()
    world.try_again_until(queue_id, lambda: world.delivered(body) == 1, "the message")
    assert queue_id not in [message["queue_id"] for message in world.server.queued()]
    workers.are_as_before(more=CONNECTIONS)
