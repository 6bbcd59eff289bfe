"""DNS servers that are silent, talk nonsense, go away and come back: what restrictions make of it, and nobody waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.others import ONE_WORKER, Others, Workers, lasting
from tests.scenarios.server import Client, Dns, Gatepost, until

ZONE = """
1.0.0.127.listed.example     A    127.0.0.2
1.0.0.127.silent.example     DROP
1.0.0.127.nonsense.example   GARBAGE
1.0.0.127.servfail.example   SERVFAIL
good.sender.example          MX   10 mx.sender.example
mx.sender.example            A    192.0.2.25
silent.sender.example        DROP
nonsense.sender.example      GARBAGE
servfail.sender.example      SERVFAIL
"""
KINDS = ("silent", "nonsense", "servfail")
CLASSES = {
    **{f"rbl_{kind}": f"reject_rbl_client {kind}.example" for kind in ("listed", *KINDS)},
    **{f"wl_{kind}": f"permit_dnswl_client {kind}.example, reject" for kind in ("listed", *KINDS)},
    "domain": "reject_unknown_sender_domain",
    "helo": "reject_unknown_helo_hostname",
    "mx": "check_sender_mx_access inline:{ 192.0.2.25=REJECT }",
}
MAIN_CF = """\
gatepost_dns_servers = 127.0.0.1:{port}
smtpd_restriction_classes = {classes}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {choice} }}
"""
TAKEN = "250 2.1.5 Ok"
DOMAIN = "450 4.1.8 <ann@{}.sender.example>: Sender address rejected: Domain not found"
HELO = "450 4.7.1 <{}.sender.example>: Helo command rejected: Host not found"


class World:
    """Mail to CLASS@ours.example is under the restrictions of that class."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dns = Dns(folder, ZONE)
        choice = " ".join(f"{{ {name}@ours.example = {name} }}" for name in CLASSES)
        classes = "".join(f"{name} = {text}\n" for name, text in CLASSES.items())
        main_cf = ONE_WORKER + MAIN_CF.format(port=self.dns.port, classes=" ".join(CLASSES), choice=choice)
        self.server = Gatepost(folder, main_cf + classes).start()
        self.others = Others(self.server, "bob@ours.example")

    def session(self, sender: str = "good", helo: str = "mx") -> Client:
        client = Client(self.server.port)
        client.say(f"EHLO {helo}.sender.example")
        assert client.say(f"MAIL FROM:<ann@{sender}.sender.example>") == "250 2.1.0 Ok"
        return client

    def ask(self, name: str, sender: str = "good", helo: str = "mx") -> str:
        client = self.session(sender, helo)
        reply = client.say(f"RCPT TO:<{name}@ours.example>")
        client.close()
        return reply

    def stop(self) -> None:
        self.others.stop()
        try:
            self.server.stop()
        finally:
            self.dns.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with lasting(World) as made:
        yield made


def outcomes(kind: str) -> list[tuple[str, str, str, str]]:
    """Class, sender, HELO name and what is answered if the servers cannot tell (restrictions with DNS, postconf(5))."""
    return [
        (f"rbl_{kind}", "good", "mx", TAKEN),  # a list that is out of order must not stop the mail
        (f"wl_{kind}", "good", "mx", "450 4.7.1 <127.0.0.1>: Client host rejected: Service unavailable"),
        ("domain", kind, "mx", DOMAIN.format(kind)),
        ("helo", "good", kind, HELO.format(kind)),
        ("mx", kind, "mx", TAKEN),
    ]


def test_servers_that_answer(world: World) -> None:
    assert world.ask("rbl_listed").startswith("554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked")
    assert world.ask("wl_listed") == TAKEN
    assert (world.ask("domain"), world.ask("helo")) == (TAKEN, TAKEN)
    assert world.ask("mx") == "554 5.7.1 <ann@good.sender.example>: Sender address rejected: Access denied"


@pytest.mark.parametrize("kind", ["nonsense", "servfail"])
def test_nonsense(world: World, kind: str) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    for name, sender, helo, reply in outcomes(kind):
        assert world.ask(name, sender, helo) == reply, name
    for text in (
        f"warning: 1.0.0.127.{kind}.example: RBL lookup error: ",
        f"warning: Unable to look up MX host for {kind}.sender.example: ",
    ):
        until(lambda text=text: text in world.server.log()[since:], text, 10)  # type: ignore[misc]
    world.others.go_on()
    workers.are_as_before()


def test_silence(world: World) -> None:
    workers, since = Workers(world.server), len(world.server.log())
    waiting = []
    for name, sender, helo, reply in outcomes("silent") * 3:
        client = world.session(sender, helo)
        client.sock.sendall(f"RCPT TO:<{name}@ours.example>\r\n".encode())
        waiting.append((client, reply))
    world.others.go_on()
    test_servers_that_answer(world)
    for client, _ in waiting:
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sock.recv(1)
        client.sock.settimeout(60)
    waiting.pop()[0].hang_up()
    first, reply = waiting.pop(0)
    assert first.reply() == reply
    first.close()
    # Some have more questions, one after the other: these need not be waited for as long as well.
    world.dns.stop()
    for client, reply in waiting:
        assert client.reply() == reply
        client.close()
    world.dns = Dns(world.folder, ZONE, port=world.dns.port)
    until(lambda: "1.0.0.127.silent.example: RBL lookup error: " in world.server.log()[since:], "a warning", 10)
    world.others.go_on()
    workers.are_as_before()


def test_no_server_and_a_server_again(world: World) -> None:
    workers = Workers(world.server)
    world.dns.stop()
    assert world.ask("domain", "later") == DOMAIN.format("later")
    assert world.ask("helo", helo="later") == HELO.format("later")
    world.others.go_on()
    world.dns = Dns(world.folder, ZONE + "later.sender.example A 192.0.2.26\n", port=world.dns.port)
    assert world.ask("domain", "later") == TAKEN
    assert world.ask("helo", helo="later") == TAKEN
    workers.are_as_before()
