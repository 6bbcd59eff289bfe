"""What one client may do: counted over all smtpd workers, through reloads and crashes (anvil(8))."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator

import pytest

from tests.scenarios.server import Client, Gatepost, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination = home.example
local_recipient_maps =
alias_maps =
mynetworks = 127.0.87.0/24
inet_protocols = ipv4
smtpd_peername_lookup = no
default_transport = discard
local_transport = discard
gatepost_smtpd_processes = 3
smtpd_client_connection_count_limit = 4
smtpd_client_connection_rate_limit = 12
smtpd_client_message_rate_limit = 3
smtpd_client_auth_rate_limit = 2
"""
REFUSED = "421 4.7.0 relay.home.example Error: too many connections from 127.0.0.1"


@contextlib.contextmanager
def started(*options: str) -> Iterator[Gatepost]:
    with temporary_folder() as folder:
        made = Gatepost(folder, MAIN_CF)
        made.launch(*options)
        until(lambda: _listening(made), "a listening server")
        yield made
        made.stop()


@pytest.fixture(params=[[], ["--single-process"]], ids=["processes", "single-process"])
def server(request: pytest.FixtureRequest) -> Iterator[Gatepost]:
    with started(*request.param) as made:
        yield made


@pytest.fixture
def processes() -> Iterator[Gatepost]:
    with started() as made:
        yield made


def _listening(server: Gatepost) -> bool:
    try:  # from an address that does not count
        Client(server.port, source="127.0.87.1").close()
    except OSError:
        return False
    return True


def reload(server: Gatepost) -> None:
    before, workers = len(server.log_lines("reload -- version")), set(server.workers("smtpd"))
    server.command("reload")
    until(lambda: len(server.log_lines("reload -- version")) > before, "the reload")
    if workers:
        until(lambda: len(set(server.workers("smtpd")) - workers) == 3, "new workers")


def refused(server: Gatepost) -> bool:
    client = Client(server.port)
    client.close()
    return client.greeting == REFUSED


def test_connections_are_counted_over_all_workers_and_through_a_reload(server: Gatepost) -> None:
    open_ones = [Client(server.port) for _ in range(4)]
    assert all(client.greeting.startswith("220 ") for client in open_ones)
    assert refused(server)
    friend = Client(server.port, source="127.0.87.2")
    assert friend.greeting.startswith("220 ")
    friend.close()
    reload(server)
    # The old workers still have them.
    assert refused(server)
    open_ones.pop().close()
    assert server.wait_log(r"disconnect from unknown\[127\.0\.0\.1\] quit=1 commands=1")
    open_ones.append(Client(server.port))
    assert open_ones[-1].greeting.startswith("220 ")
    assert refused(server)
    while not refused(server):  # what the rate is by now depends on nothing but the attempts
        open_ones.pop().close()
    for client in open_ones:
        client.close()
    port = server.port
    assert server.wait_log(
        r"postfix/smtpd\[\d+\]: warning: Connection concurrency limit exceeded: 5 from unknown\[127\.0\.0\.1\] "
        rf"for service 127\.0\.0\.1:{port}$"
    )
    server.stop()
    told = [re.sub(r"^postfix/anvil\[\d+\]: ", "", line) for line in server.log_lines("/anvil")]
    counts = [line for line in told if line.startswith("statistics: max connection count 5 ")]
    assert counts and re.search(rf"for \(127\.0\.0\.1:{port}:127\.0\.0\.1\) at \w{{3}} [ \d]\d [\d:]{{8}}$", counts[0])
    assert any(line.startswith("statistics: max cache size 1 at ") for line in told)


def test_rates_go_on_through_a_reload(server: Gatepost) -> None:
    client = Client(server.port)
    for expected in ("250", "250", "250", "450 4.7.1 Error: too much mail from 127.0.0.1"):
        assert client.say("MAIL FROM:<ann@away.example>").startswith(expected)
        client.say("RSET")
    for expected in ("503 5.5.1", "503 5.5.1", "450 4.7.1 Error: too many AUTH commands from 127.0.0.1"):
        assert client.say("AUTH PLAIN").startswith(expected)
    client.close()
    reload(server)
    client = Client(server.port)
    assert client.say("MAIL FROM:<ann@away.example>") == "450 4.7.1 Error: too much mail from 127.0.0.1"
    assert client.say("AUTH PLAIN") == "450 4.7.1 Error: too many AUTH commands from 127.0.0.1"
    client.close()
    until(lambda: len(server.log_lines("rate limit")) >= 4, "all warnings")
    assert [line.partition(": ")[2] for line in server.log_lines("rate limit")] == [
        f"warning: {what} rate limit exceeded: {count} from unknown[127.0.0.1] for service 127.0.0.1:{server.port}"
        for count, what in (
            (4, "Message delivery request"), (3, "AUTH command"), (5, "Message delivery request"), (4, "AUTH command")
        )
    ]  # fmt: skip


def test_connections_are_told_to_the_successor_of_a_dead_queue_manager(processes: Gatepost) -> None:
    server = processes
    open_ones = [Client(server.port) for _ in range(4)]
    (victim,) = server.workers("qmgr")
    os.kill(victim, signal.SIGKILL)
    until(lambda: server.workers("qmgr") not in ([], [victim]), "a new queue manager")
    server.command("mailq")  # it serves
    until(lambda: refused(server), "the limit")
    for client in open_ones:
        client.close()
    until(lambda: not refused(server), "room")


def test_a_dead_worker_takes_its_connections_with_it(processes: Gatepost) -> None:
    server = processes
    open_ones = [Client(server.port) for _ in range(4)]
    assert refused(server)
    for victim in server.workers("smtpd"):
        os.kill(victim, signal.SIGKILL)
    for client in open_ones:
        client.close()
    until(lambda: _listening(server), "new workers")
    again = Client(server.port)
    assert again.greeting.startswith("220 ")
    again.close()
