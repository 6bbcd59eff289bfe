"""DNS lists and servers behind a domain, asked over the wire; one that hangs is nobody else's trouble."""

from collections.abc import Iterator

import pytest

from tests.scenarios.others import DISCARDING
from tests.scenarios.server import Client, Dns, Gatepost, temporary_folder, until

ZONE = """
7.2.0.192.list.example     A    127.0.0.2
7.2.0.192.list.example     TXT  "Listed for testing"
8.2.0.192.list.example     SERVFAIL
9.2.0.192.list.example     GARBAGE
10.2.0.192.list.example    DROP
11.2.0.192.list.example    TRUNCATE
11.2.0.192.list.example    A    127.0.0.2
client.example             MX   10 mx.client.example
mx.client.example          A    192.0.2.25
"""
MAIN_CF = DISCARDING + """\
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_client_connection_count_limit = 0
gatepost_dns_servers = 127.0.0.1:{dns}
smtpd_recipient_restrictions = reject_rbl_client list.example
    check_sender_mx_access inline:{{{{192.0.2.25=REJECT bad}}}}
"""
BLOCKED = "554 5.7.1 Service unavailable; Client host [{}] blocked using list.example"


class World:
    def __init__(self) -> None:
        self._folder = temporary_folder()
        folder = self._folder.__enter__()
        self.dns = Dns(folder, ZONE)
        self.server = Gatepost(folder, MAIN_CF.format(dns=self.dns.port)).start()

    def from_(self, address: str) -> Client:
        """A session of the client at that address, as a front end gives it."""
        client = self.server.client()
        assert client.say(f"XCLIENT NAME=[UNAVAILABLE] ADDR={address}").startswith("220")
        assert client.say("EHLO client.example").startswith("250")
        return client

    def rcpt(self, client: Client, sender: str = "a@x.example") -> str:
        assert client.say(f"MAIL FROM:<{sender}>") == "250 2.1.0 Ok"
        return client.say("RCPT TO:<bob@ours.example>")

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.dns.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.stop()


@pytest.mark.parametrize(
    ("address", "reply"),
    [
        ("192.0.2.6", "250 2.1.5 Ok"),
        ("192.0.2.7", BLOCKED.format("192.0.2.7") + "; Listed for testing"),
        ("192.0.2.8", "250 2.1.5 Ok"),
        ("192.0.2.9", "250 2.1.5 Ok"),
        ("192.0.2.11", BLOCKED.format("192.0.2.11")),
    ],
)
def test_a_list_is_asked(world: World, address: str, reply: str) -> None:
    client = world.from_(address)
    assert world.rcpt(client) == reply
    client.close()
    until(lambda: f"disconnect from unknown[{address}]" in world.server.log(), "the end of the session")
    trouble = f"warning: {'.'.join(reversed(address.split('.')))}.list.example: RBL lookup error: "
    assert (trouble in world.server.log()) is (address in ("192.0.2.8", "192.0.2.9"))


def test_the_servers_of_a_domain_are_asked_for(world: World) -> None:
    client = world.from_("192.0.2.6")
    assert world.rcpt(client, "a@client.example") == ("554 5.7.1 <a@client.example>: Sender address rejected: bad")
    client.close()


def test_a_list_that_is_silent_holds_up_only_who_waits_for_it(world: World) -> None:
    waiting = world.from_("192.0.2.10")
    assert waiting.say("MAIL FROM:<a@x.example>") == "250 2.1.0 Ok"
    waiting.sock.sendall(b"RCPT TO:<bob@ours.example>\r\n")
    for _ in range(3):
        other = world.from_("192.0.2.7")
        assert world.rcpt(other).startswith("554 5.7.1 ")
        other.close()
    waiting.sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        waiting.sock.recv(1)
    waiting.sock.close()
