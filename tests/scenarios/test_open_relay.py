"""Strangers find nothing to relay through: nmap's smtp-open-relay, and every form of address that ever was a way."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import Client, Gatepost, Sink, smtp_sink_program, temporary_folder, until

MISSING = [name for name, path in (("nmap", shutil.which("nmap")), ("smtp-sink", smtp_sink_program())) if path is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING) and not os.environ.get("CI"), reason=f"not installed: {', '.join(MISSING)}"
)

# What is sent on goes to the sink; what ends here goes nowhere.
MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example, mail.ours.example
local_recipient_maps =
alias_maps =
relay_domains = relay.example
virtual_alias_domains = alias.example
virtual_alias_maps = inline:{{info@alias.example=bob@ours.example}}
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = {mynetworks}
relayhost = [127.0.0.1]:{sink}
local_transport = discard:
relay_transport = discard:
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_hard_error_limit = 10000
smtpd_recipient_limit = 1000
smtpd_client_connection_count_limit = 0
"""


class World:
    def __init__(self, folder: Path, mynetworks: str) -> None:
        self.sink = Sink(folder / "sink")
        self.server = Gatepost(folder, MAIN_CF.format(mynetworks=mynetworks, sink=self.sink.port)).start()

    def nmap(self) -> str:
        done = subprocess.run(
            ["nmap", "-Pn", "-n", "-sT", "-p", str(self.server.port), "--script", "+smtp-open-relay",
             "--script-args", "smtp-open-relay.domain=elsewhere.example", "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.sink.stop()


@pytest.fixture(scope="module")
def closed() -> Iterator[World]:
    """A server for which we are a stranger."""
    with temporary_folder() as folder:
        world = World(folder, "192.168.87.0/24")
        yield world
        world.stop()


def test_nmap_finds_nothing(closed: World) -> None:
    output = closed.nmap()
    assert "smtp-open-relay: Server doesn't seem to be an open relay, all tests failed" in output, output
    until(lambda: len(closed.server.log_lines("Relay access denied")) >= 16, "16 refusals in the log")


def test_nmap_would_find_it() -> None:
    with temporary_folder() as folder:
        world = World(folder, "127.0.0.0/8")
        try:
            output = world.nmap()
        finally:
            world.stop()
    assert "Server is an open relay (" in output, output


SENDERS = (
    "",
    "stranger@elsewhere.example",
    "bob@ours.example",
    "bob@mail.ours.example",
    "bob@[127.0.0.1]",
    "bob",
    "postmaster",
    "info@alias.example",
    "x%elsewhere.example@ours.example",
    "elsewhere.example!x@ours.example",
    "@ours.example:x@elsewhere.example",
)
HOSTS = ("ours.example", "mail.ours.example", "relay.example", "sub.relay.example", "alias.example", "[127.0.0.1]")
VICTIM = "x@elsewhere.example"
ALONE = (
    VICTIM,
    "x%elsewhere.example",
    "elsewhere.example!x",
    "ours.example!elsewhere.example!x",
    '"x@elsewhere.example"',
    '"x%elsewhere.example"',
    '"elsewhere.example!x"',
    '"x"@elsewhere.example',
    "x@elsewhere.example.",
    "X@ELSEWHERE.EXAMPLE",
    "x@[192.0.2.1]",
    "x@elsewhere.example@",
    "@elsewhere.example",
    "x@elsewhere.example,bob@ours.example",
    "x@elsewhere.example bob@ours.example",
    "x@elsewhere.example;bob@ours.example",
    "x@elsewhere.example(bob@ours.example)",
    "bob@ours.example> <x@elsewhere.example",
    "group:x@elsewhere.example;",
    "x@elsewhere.example\\@ours.example",
    "x\\@elsewhere.example@ours.example",
)
WITH_HOST = (
    "x@elsewhere.example@{host}",
    "x%elsewhere.example@{host}",
    "elsewhere.example!x@{host}",
    "x%elsewhere.example%{host}",
    "{host}!elsewhere.example!x",
    "{host}!x@elsewhere.example",
    '"x@elsewhere.example"@{host}',
    '"x%elsewhere.example"@{host}',
    '"elsewhere.example!x"@{host}',
    '"x@elsewhere.example%{host}"',
    "@{host}:x@elsewhere.example",
    "@{host},@{host}:x@elsewhere.example",
    "@{host}:x%elsewhere.example@{host}",
    "x@elsewhere.example%{host}",
    "x%elsewhere.example%elsewhere.example@{host}",
    "x@{host}@elsewhere.example",
    "x@{host}%elsewhere.example",
)
STAYS_HERE = "@elsewhere.example:bob@ours.example"
"""A source route is ignored (RFC 5321 C); this one asks for something that we may do."""
FORMS = [STAYS_HERE, *ALONE, *(form.format(host=host) for form in WITH_HOST for host in HOSTS)]


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender or "<>")
def test_no_form_of_address_is_sent_on(closed: World, sender: str) -> None:
    client = Client(closed.server.port)
    assert client.say("EHLO client.example").startswith("250")
    accepted = []
    for form in FORMS:
        assert client.say(f"MAIL FROM:<{sender}>").startswith("250")
        reply = client.say(f"RCPT TO:<{form}>")
        if reply.startswith("250"):
            assert client.say("DATA").startswith("354")
            client.sock.sendall(b"Subject: x\r\n\r\nx\r\n.\r\n")
            assert client.reply().startswith("250"), form
            accepted.append(form)
        else:
            client.say("RSET")
    client.close()
    until(lambda: not closed.server.queued(), "an empty queue")
    # Where they end says more than how they were answered.
    assert closed.server.log_lines("relay=(?!none)") == []
    assert closed.sink.messages() == []
    assert accepted == [STAYS_HERE]
