"""Changes while the server runs: a new configuration, a broken one, a new log file; nobody's session is dropped."""

import gzip
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.certificates import certificates
from tests.scenarios.peers import Peer
from tests.scenarios.server import (
    MASTER_CF,
    Client,
    Gatepost,
    Sink,
    alive,
    free_port,
    smtp_sink_program,
    temporary_folder,
    until,
)

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = {mynetworks}
inet_protocols = ipv4
gatepost_smtpd_processes = 2
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
"""
DENIED = "454 4.7.1 <bob@far.example>: Relay access denied"


class World:
    def __init__(self) -> None:
        self._folder = temporary_folder()
        self.folder = self._folder.__enter__()
        self.peer = Peer()
        self.server = Gatepost(self.folder, self.main_cf("127.0.0.1"))

    def main_cf(self, mynetworks: str, port: int = 0) -> str:
        return MAIN_CF.format(mynetworks=mynetworks, port=port or self.peer.port)

    def reloaded(self) -> int:
        return len(self.server.log_lines(r"reload -- version"))

    def reload(self) -> None:
        before, workers = self.reloaded(), set(self.server.workers("smtpd"))
        self.server.command("reload")
        until(lambda: self.reloaded() > before, "the reload")
        until(lambda: len(set(self.server.workers("smtpd")) - workers) >= 2, "new workers")

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.server.start()
    yield made
    made.stop()


def test_an_open_session_goes_on_under_the_old_rules(world: World) -> None:
    server = world.server
    old = server.client()
    old.say("MAIL FROM:<ann@home.example>")
    server.write(world.main_cf("127.0.0.9"))
    world.reload()

    def new_rules() -> bool:
        client = server.client()
        client.say("MAIL FROM:<ann@home.example>")
        reply = client.say("RCPT TO:<bob@far.example>")
        client.close()
        return reply == DENIED

    until(new_rules, "the new rules")
    assert old.say("RCPT TO:<bob@far.example>") == "250 2.1.5 Ok"
    old.say("DATA")
    reply = old.say("Subject: old\r\n\r\nText.\r\n.")
    assert reply.startswith("250 2.0.0 Ok: queued as ")
    assert old.say("NOOP") == "250 2.0.0 Ok"
    server.wait_log(f"{reply.rsplit(' ', 1)[1]}: removed")
    old.close()


def test_a_stop_ends_the_workers_of_the_old_configuration_too(world: World) -> None:
    server = world.server
    old = server.client()
    world.reload()
    until(lambda: len(server.workers("smtpd")) == 3, "two new workers, and one of the old ones, which has a session")
    pids = server.workers()
    server.stop()
    assert not any(map(alive, pids))
    assert old.reply().startswith("421 4.3.2 ") and old.reply() == ""
    old.close()
    assert not server.log_lines("killed|panic")


def test_a_mistake_is_named_and_the_old_configuration_goes_on(world: World) -> None:
    server = world.server
    workers = server.workers()
    server.write(world.main_cf("127.0.0.1") + "smtpd_timeout = 5 bananas\n")
    done = server.command("reload", check=False)
    assert done.returncode == 1
    line = len((server.conf / "main.cf").read_text().splitlines())
    assert re.search(
        rf"^gatepost reload: fatal: .*{server.conf}/main\.cf, line {line}.*smtpd_timeout", done.stderr, re.M
    ), done.stderr
    os.kill(server.master_pid(), signal.SIGHUP)  # whoever asks master directly gets no other answer
    server.wait_log(r"postfix/master\[\d+\]: error: reload: .*smtpd_timeout.*; the old configuration goes on")
    assert server.workers() == workers
    server.send("ann@home.example", "bob@far.example")
    server.write(world.main_cf("127.0.0.1") + "no equals sign here\n")
    done = server.command("reload", check=False)
    assert done.returncode == 1 and f"{server.conf}/main.cf, line {line}" in done.stderr
    assert server.workers() == workers


def test_who_waits_at_a_listener_that_goes_is_served(world: World) -> None:
    """127.0.0.1 gives way to all addresses: who has connected to it, and is not accepted yet, must not be reset."""
    server = world.server
    workers = server.workers("smtpd")
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        waiting = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(8)]
        server.write(world.main_cf("127.0.0.1"), MASTER_CF.format(listen=f"0.0.0.0:{server.port}"))
        world.reload()
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    for client in waiting:
        with client:
            assert client.recv(100).startswith(b"220 ")
    until(lambda: not set(workers) & set(server.workers("smtpd")), "the end of the old workers")


def test_no_old_worker_keeps_a_listener_open_that_goes(world: World) -> None:
    """A worker with an open session stays. The address that it no longer serves must not lead to it."""
    server = world.server
    workers = server.workers()
    held = server.client()
    server.write(world.main_cf("127.0.0.1"), MASTER_CF.format(listen=f"0.0.0.0:{server.port}"))
    world.reload()
    until(lambda: len(set(workers) & set(server.workers())) == 1, "the end of the old workers but one")
    for _ in range(8):
        server.client().close()
    assert held.say("NOOP") == "250 2.0.0 Ok"
    held.close()


def test_a_listener_comes_and_one_goes(world: World) -> None:
    server = world.server
    first, second = server.port, free_port()
    server.write(world.main_cf("127.0.0.1"), MASTER_CF.format(listen=f"127.0.0.1:{second}"))
    old = server.client()
    world.reload()
    server.port = second
    until(server.greets, "the new port")
    server.send("ann@home.example", "bob@far.example")
    assert old.say("NOOP") == "250 2.0.0 Ok"
    old.close()
    server.port = first

    def refused() -> bool:
        try:
            return not server.greets()
        except AssertionError:
            return False

    until(refused, "the end of the old port")


def test_what_waits_in_the_queue_goes_where_the_new_configuration_says(world: World) -> None:
    server = world.server
    server.write(world.main_cf("127.0.0.1", port=free_port()))
    world.reload()
    queue_id = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: to=.*status=deferred")
    server.write(world.main_cf("127.0.0.1"))
    world.reload()
    until(lambda: server.command("postqueue", "-f", check=False).returncode == 0, "postqueue -f")
    server.wait_log(f"{queue_id}: removed")


@pytest.mark.skipif(
    smtp_sink_program() is None and not os.environ.get("CI"), reason="smtp-source (Debian's postfix) is not installed"
)
def test_reloads_under_load_lose_nothing_and_refuse_nothing(world: World) -> None:
    server = world.server
    sink = Sink(world.folder / "sink")
    messages = 2500
    try:
        server.write(world.main_cf("127.0.0.1", port=sink.port))
        world.reload()
        load = subprocess.Popen(
            [
                "/usr/sbin/smtp-source",
                "-s",
                "8",
                "-m",
                str(messages),
                "-l",
                "2000",
                "-f",
                "ann@home.example",
                "-t",
                "bob@far.example",
                f"127.0.0.1:{server.port}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        reloads = 0
        while load.poll() is None and reloads < 4:
            world.reload()
            reloads += 1
        output, _ = load.communicate(timeout=60)
        assert load.returncode == 0 and output == b"", output
        assert reloads > 1
        until(lambda: len(sink.messages()) >= messages, "all messages")
        until(lambda: server.command("mailq").stdout == "Mail queue is empty\n", "an empty queue")
        ids = [re.findall(r"with E?SMTP id (\w+)", text)[-1] for text in sink.messages()]
        assert len(ids) == len(set(ids)) == messages, f"{reloads} reloads"
        assert not server.log_lines("reject|warning: process|panic|lost connection")
    finally:
        sink.stop()


def test_the_log_goes_on_in_a_new_file(world: World) -> None:
    server = world.server
    server.write(world.main_cf("127.0.0.1") + "maillog_file_rotate_suffix = 1\nmaillog_file_compressor = gzip\n")
    world.reload()
    open_session = server.client()
    first = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{first}: removed")
    server.command("logrotate")
    with gzip.open(server.log_path.with_name("mail.log.1.gz"), "rt") as packed:
        aside = packed.read()
    assert f"{first}: removed" in aside
    open_session.send("ann@home.example", "bob@far.example")
    second = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{second}: removed")
    until(lambda: len(server.log_lines(": removed")) == 2, "the lines of both messages")
    assert second not in aside
    open_session.close()
    # A program that renames the file itself, and tells nobody but master.
    server.log_path.rename(server.log_path.with_name("mail.log.2"))
    os.kill(server.master_pid(), signal.SIGUSR1)
    until(server.log_path.exists, "a new log")
    third = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{third}: removed")


def test_a_single_process_opens_its_log_anew() -> None:
    world = World()
    server = world.server
    try:
        server.start("--single-process")
        for number, suffix in ((signal.SIGUSR1, "2"), (signal.SIGHUP, "3")):
            server.log_path.rename(server.log_path.with_name(f"mail.log.{suffix}"))
            os.kill(server.master_pid(), number)
            until(server.log_path.exists, "a new log")
            queue_id = server.send("ann@home.example", "bob@far.example")
            server.wait_log(f"{queue_id}: removed")
        server.stop()
        assert server.log_lines("terminating on signal 15")
    finally:
        world.stop()


@pytest.mark.parametrize("first", ["none", "may"])
def test_tls_by_a_reload_changes_no_number_of_workers(first: str, world: World) -> None:
    """The sockets that they listen on are those of the start."""
    server = world.server
    server.stop()
    second = "may" if first == "none" else "none"
    usual = world.main_cf("127.0.0.1").replace("gatepost_smtpd_processes = 2\n", "")
    offered = f"smtpd_tls_chain_files = {certificates().folder}/rsa.chain\nsmtpd_tls_security_level = "
    server.write(f"{usual}{offered}{first}\n")
    server.start()
    workers = server.workers("smtpd")
    assert _offers_tls(server) == (first == "may")
    server.write(f"{usual}{offered}{second}\n")
    server.command("reload")
    until(lambda: _offers_tls(server) == (second == "may"), "the new configuration")
    until(lambda: not set(workers) & set(server.workers("smtpd")), "the end of the old workers")
    assert len(server.workers("smtpd")) == len(workers)
    assert {_offers_tls(server) for _ in range(20)} == {second == "may"}


def _offers_tls(server: Gatepost) -> bool:
    client = Client(server.port)
    offers = "250-STARTTLS" in client.say("EHLO client.example").splitlines()
    client.close()
    return offers
