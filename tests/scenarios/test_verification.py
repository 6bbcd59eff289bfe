"""Address verification by a whole mail system: probes, their results in replies and log, the cache over restarts."""

import os
import pwd
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, Sink, free_port, smtp_sink_program, temporary_folder, until

MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
local_recipient_maps =
alias_maps = inline:{{ {{ friends = a@good.example, b@good.example }} }}
virtual_alias_domains = alias.example
virtual_alias_maps = inline:{{
  {{ one@alias.example = a@good.example }}
  {{ two@alias.example = a@good.example, b@good.example }} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = reject_unverified_recipient
data_directory = {folder}/data
smtp_rcpt_timeout = 1s
transport_maps = inline:{{
  {{ good.example = smtp:[127.0.0.1]:{good} }}
  {{ bad.example = smtp:[127.0.0.1]:{bad} }}
  {{ soft.example = smtp:[127.0.0.1]:{soft} }}
  {{ closed.example = smtp:[127.0.0.1]:{closed} }}
  {{ error.example = error:5.7.1 nope }}
  {{ hole.example = discard:silently }}
  {{ nosuch.example = nosuch: }} }}
"""
IN_PROGRESS = "unverified address: Address verification in progress"
USER_UNKNOWN = "said: 550 5.1.1 no such user (in reply to RCPT TO command)"


class World:
    """Servers that take, refuse and put off every recipient, and a Gatepost that asks them."""

    def __init__(self, folder: Path, extra: str = "", mode: str = "") -> None:
        self.good = Peer()
        self.bad = Peer(RCPT="550 5.1.1 no such user")
        self.soft = Peer(RCPT="450 4.2.1 try later")
        self.options = [mode] if mode else []
        main_cf = MAIN_CF.format(
            folder=folder, good=self.good.port, bad=self.bad.port, soft=self.soft.port, closed=free_port()
        )
        self.main_cf = main_cf + extra
        self.server = Gatepost(folder, self.main_cf)
        self.server.start(*self.options)

    def stop(self) -> None:
        self.server.stop()
        for peer in (self.good, self.bad, self.soft):
            peer.stop()

    def restart(self) -> None:
        self.server.stop()
        self.server.start(*self.options)

    def ask(self, *recipients: str) -> list[str]:
        """What RCPT is answered, without the recipient's own part of it."""
        client = self.session()
        replies = [client.say(f"RCPT TO:<{recipient}>") for recipient in recipients]
        client.close()
        return [re.sub(r" <[^>]*>: Recipient address rejected:", "", reply) for reply in replies]

    def session(self) -> Client:
        client = self.server.client()
        client.say("MAIL FROM:<a@client.example>")
        return client

    def probe_of(self, recipient: str) -> str:
        """The delivery line of the probe of an address, from `to=` on, without delays and ports."""
        line = self.server.wait_log(rf": \w+: to=<{re.escape(recipient)}>")
        line = re.sub(r" delay=\S+ delays=\S+", "", line.partition(": ")[2].partition(": ")[2])
        return re.sub(r"\]:\d+", "]:PORT", line)


@pytest.fixture(params=["", "--single-process"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def world(mode: str) -> Iterator[World]:
    with temporary_folder() as folder:
        world = World(folder, "address_verify_poll_delay = 10s\n", mode)
        yield world
        world.stop()


def test_what_servers_say_of_an_address(world: World) -> None:
    replies = world.ask("u@good.example", "u@bad.example", "u@soft.example", "u@closed.example")
    assert replies[0] == "250 2.1.5 Ok"
    assert replies[1] == f"450 4.1.1 unverified address: host 127.0.0.1[127.0.0.1] {USER_UNKNOWN}"
    assert replies[2].endswith("said: 450 4.2.1 try later (in reply to RCPT TO command)")
    assert re.fullmatch(
        r"450 4\.1\.1 unverified address: connect to 127\.0\.0\.1\[127\.0\.0\.1\]:\d+: Connection refused", replies[3]
    )
    relay = "relay=127.0.0.1[127.0.0.1]:PORT,"
    assert world.probe_of("u@good.example") == (
        f"to=<u@good.example>, {relay} dsn=2.1.5, status=deliverable (250 2.1.5 Ok)"
    )
    assert world.probe_of("u@bad.example") == (
        f"to=<u@bad.example>, {relay} dsn=5.1.1, status=undeliverable (host 127.0.0.1[127.0.0.1] {USER_UNKNOWN})"
    )
    assert " dsn=4.2.1, status=undeliverable (host" in world.probe_of("u@soft.example")
    assert " relay=none, dsn=4.4.1, status=undeliverable (connect to" in world.probe_of("u@closed.example")
    asked = [command for command in world.good.commands if command != "QUIT"]
    assert asked[0].startswith("EHLO ")
    assert asked[1:] == [
        "MAIL FROM:<double-bounce@mail.ours.example>",
        "RCPT TO:<u@good.example> ORCPT=rfc822;u@good.example",
        "RSET",
    ]
    # As large as Postfix's, from the same sender; and when all is said, nothing is left of it.
    until(lambda: len(world.server.log_lines(r"qmgr.*: removed")) == 4, "probes gone")
    world.server.wait_log(r"from=<double-bounce@mail.ours.example>, size=24\d, nrcpt=1 \(queue active\)")
    assert not world.server.queued()
    assert not world.server.log_lines("notification|bounced|deferred")


def test_what_we_know_ourselves(world: World) -> None:
    recipients = [
        "u@error.example",
        "u@hole.example",
        "u@nosuch.example",
        "one@alias.example",
        "two@alias.example",
        "none@alias.example",
        "double-bounce@ours.example",
    ]
    assert world.ask(*recipients) == [
        "450 4.1.1 unverified address: nope",
        "250 2.1.5 Ok",
        "450 4.1.1 unverified address: mail transport unavailable",
        "250 2.1.5 Ok",
        "250 2.1.5 Ok",
        "450 4.1.1 unverified address: User unknown in virtual alias table",
        "250 2.1.5 Ok",
    ]
    status = "status=deliverable"
    assert "orig_to=<one@alias.example>, relay=127.0.0.1" in world.probe_of("a@good.example")
    assert world.probe_of("two@alias.example") == (
        f"to=<two@alias.example>, relay=none, dsn=2.0.0, {status} (aliased to multiple recipients)"
    )
    assert world.probe_of("double-bounce@ours.example") == (
        f"to=<double-bounce@ours.example>, relay=none, dsn=2.0.0, {status} "
        "(undeliverable postmaster notification discarded)"
    )
    assert world.probe_of("u@hole.example").endswith(f"{status} (silently)")
    # Of the alias that has one address, that address is known by now.
    assert world.ask("a@good.example") == ["250 2.1.5 Ok"]
    assert len([command for command in world.good.commands if command.startswith("RCPT")]) == 1


def test_users_of_this_host(tmp_path: Path) -> None:
    with temporary_folder() as folder:
        user = pwd.getpwuid(os.geteuid()).pw_name
        world = World(folder, f"address_verify_poll_delay = 10s\nmail_spool_directory = {tmp_path}\n")
        try:
            assert world.ask("nosuchuser@ours.example", "friends@ours.example", f"{user}@ours.example") == [
                '450 4.1.1 unverified address: unknown user: "nosuchuser"',
                "250 2.1.5 Ok",
                "250 2.1.5 Ok",
            ]
            found = "dsn=2.0.0, status=deliverable"
            aliased = "aliased to a@good.example, b@good.example"
            assert (
                world.probe_of("friends@ours.example") == f"to=<friends@ours.example>, relay=local, {found} ({aliased})"
            )
            assert world.probe_of(f"{user}@ours.example").endswith(f"{found} (delivers to mailbox)")
            assert not list(tmp_path.iterdir())
        finally:
            world.stop()


def test_results_survive_a_restart(world: World) -> None:
    replies = world.ask("u@good.example", "u@bad.example")
    world.restart()
    connections = world.good.connections + world.bad.connections
    assert world.ask("u@good.example", "u@bad.example") == replies
    assert world.good.connections + world.bad.connections == connections


def test_nobody_waits_if_polling_is_off(mode: str) -> None:
    with temporary_folder() as folder:
        world = World(folder, "address_verify_poll_count = 1\nunverified_recipient_reject_code = 550\n", mode)
        try:
            assert world.ask("u@bad.example", "u@good.example") == [f"450 4.1.1 {IN_PROGRESS}"] * 2
            world.server.wait_log("to=<u@bad.example>.*status=undeliverable")
            world.server.wait_log("to=<u@good.example>.*status=deliverable")
            until(lambda: world.ask("u@good.example") == ["250 2.1.5 Ok"], "the result")
            (reply,) = world.ask("u@bad.example")
            assert reply == f"550 5.1.1 undeliverable address: host 127.0.0.1[127.0.0.1] {USER_UNKNOWN}"
            client = world.server.client()
            assert client.say("VRFY u@bad.example").startswith("550 5.1.1 <u@bad.example>")
            client.close()
        finally:
            world.stop()


def test_one_probe_serves_all_who_ask(world: World) -> None:
    addresses = ["same@good.example"] * 10 + ["other@good.example"]
    replies: list[str] = []
    threads = [threading.Thread(target=lambda a=address: replies.extend(world.ask(a))) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == ["250 2.1.5 Ok"] * 11
    asked = [command for command in world.good.commands if command.startswith("RCPT")]
    assert len(asked) == 2


def test_senders_are_verified_and_our_own_is_exempt(mode: str) -> None:
    with temporary_folder() as folder:
        extra = (
            "smtpd_recipient_restrictions =\nsmtpd_sender_restrictions = reject_unverified_sender\n"
            "address_verify_sender = Probe@ours.example\naddress_verify_sender_ttl = 1h\n"
            "address_verify_poll_delay = 10s\n"
        )
        world = World(folder, extra, mode)
        try:
            client = world.server.client()
            client.say("MAIL FROM:<x@bad.example>")
            reply = client.say("RCPT TO:<u@good.example>")
            assert reply.startswith("450 4.1.7 <x@bad.example>: Sender address rejected: unverified address: host")
            (mail,) = [command for command in world.bad.commands if command.startswith("MAIL")]
            own = mail.removeprefix("MAIL FROM:<").removesuffix(">")
            assert re.fullmatch(r"Probe[0-9B-DF-HJ-NP-TV-Z]+@ours\.example", own)
            assert client.say(f"RCPT TO:<{own}>") == "250 2.1.5 Ok"
            client.say("RSET")
            client.say("MAIL FROM:<>")
            assert client.say("RCPT TO:<u@good.example>") == "250 2.1.5 Ok"
            client.close()
        finally:
            world.stop()


@pytest.mark.skipif(smtp_sink_program() is None, reason="smtp-sink is not installed")
def test_probes_reach_no_mailbox_and_hold_up_no_other_session() -> None:
    with temporary_folder() as folder:
        sink, slow = Sink(folder / "sink"), Sink(folder / "slow", "-p", "-W", "RCPT:60")
        extra = (
            "address_verify_poll_delay = 10s\n"
            f"address_verify_transport_maps = inline:{{ {{ sink.example = smtp:[127.0.0.1]:{sink.port} }}\n"
            f"  {{ slow.example = smtp:[127.0.0.1]:{slow.port} }} }}\n"
        )
        world = World(folder, extra)
        try:
            waiting = world.session()
            waiting.sock.sendall(b"RCPT TO:<u@slow.example>\r\n")
            assert world.ask("u@sink.example") == ["250 2.1.5 Ok"]
            reply = waiting.reply()
            assert "timed out while sending RCPT TO" in reply
            assert reply.startswith("450 4.1.1 <u@slow.example>: Recipient address rejected: unverified address:")
            waiting.close()
            assert not sink.messages() and not slow.messages()
            assert "status=undeliverable (conversation with" in world.probe_of("u@slow.example")
        finally:
            world.stop()
            sink.stop()
            slow.stop()


class SlowPeer(Peer):
    """Answers RCPT once `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.release.clear()

    def _reply(self, line: str, usual: str) -> str:
        if line.upper().startswith("RCPT"):
            self.release.wait(60)
        return super()._reply(line, usual)


@pytest.fixture
def slow() -> Iterator[SlowPeer]:
    slow = SlowPeer()
    yield slow
    slow.release.set()
    slow.stop()


def _slow(peer: SlowPeer) -> str:
    return (
        "address_verify_poll_delay = 10s\nsmtp_rcpt_timeout = 60s\n"
        f"address_verify_default_transport = smtp:[127.0.0.1]:{peer.port}\n"
    )


def test_a_reload_leaves_nobody_waiting_and_forgets_nothing(mode: str, slow: SlowPeer) -> None:
    with temporary_folder() as folder:
        world = World(folder, _slow(slow), mode)
        try:
            assert world.ask("known@good.example") == ["250 2.1.5 Ok"]
            waiting = world.session()
            waiting.sock.sendall(b"RCPT TO:<u@slow.example>\r\n")
            until(lambda: any(command.startswith("RCPT") for command in slow.commands), "the probe")
            world.server.command("reload")
            world.server.wait_log("reload -- version")
            assert world.ask("known@good.example", "u@bad.example")[0] == "250 2.1.5 Ok"
            slow.release.set()
            # Where the queue manager is another process now, the old one has answered before it went.
            assert IN_PROGRESS in (reply := waiting.reply()) or reply == "250 2.1.5 Ok"
            waiting.close()
            assert world.ask("u@slow.example") == ["250 2.1.5 Ok"]
            assert len([command for command in world.good.commands if command.startswith("RCPT")]) == 1
            assert len([command for command in slow.commands if command.startswith("RCPT")]) == 1
        finally:
            world.stop()


def test_a_lost_queue_manager_costs_nobody_an_answer(slow: SlowPeer) -> None:
    with temporary_folder() as folder:
        world = World(folder, _slow(slow))
        try:
            waiting = world.session()
            waiting.sock.sendall(b"RCPT TO:<u@slow.example>\r\n")
            until(lambda: any(command.startswith("RCPT") for command in slow.commands), "the probe")
            os.kill(world.server.workers("qmgr")[0], signal.SIGKILL)
            world.server.wait_log("process qmgr pid .* killed by signal 9")
            slow.release.set()
            assert waiting.reply() == "250 2.1.5 Ok"
            waiting.close()
            until(lambda: not world.server.queued(), "probes gone")
            assert not world.server.log_lines("notification")
        finally:
            world.stop()


def test_too_many_probes_at_a_time(mode: str, slow: SlowPeer) -> None:
    with temporary_folder() as folder:
        world = World(folder, _slow(slow) + "address_verify_pending_request_limit = 1\n", mode)
        try:
            waiting = world.session()
            waiting.sock.sendall(b"RCPT TO:<u@slow.example>\r\n")
            until(lambda: any(command.startswith("RCPT") for command in slow.commands), "the probe")
            assert world.ask("u@good.example") == ["450 4.1.1 unverified address: address verification limit"]
            assert world.probe_of("u@good.example") == (
                "to=<u@good.example>, relay=none, dsn=4.3.3, status=undeliverable (address verification limit)"
            )
            slow.release.set()
            assert waiting.reply() == "250 2.1.5 Ok"
            waiting.close()
            assert world.ask("v@good.example") == ["250 2.1.5 Ok"]
        finally:
            world.stop()


def test_failures_that_are_not_cached(mode: str) -> None:
    with temporary_folder() as folder:
        extra = "address_verify_negative_cache = no\naddress_verify_poll_count = 1\n"
        world = World(folder, extra, mode)
        try:
            assert world.ask("u@bad.example") == [f"450 4.1.1 {IN_PROGRESS}"]
            assert "status=undeliverable-but-not-cached (host" in world.probe_of("u@bad.example")
            assert world.ask("u@bad.example") == [f"450 4.1.1 {IN_PROGRESS}"]
            until(lambda: len(world.bad.commands) > 5, "another probe")
            world.ask("u@good.example")
            until(lambda: world.ask("u@good.example") == ["250 2.1.5 Ok"], "a success is kept")
        finally:
            world.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="as root others' data_directory can be made unusable")
def test_a_cache_that_cannot_be_written_is_told_of(mode: str) -> None:
    with temporary_folder() as folder:
        (folder / "data").mkdir(mode=0o700)
        shutil.chown(folder / "data", "daemon")
        world = World(folder, "address_verify_poll_delay = 10s\n", mode)
        try:
            assert world.ask("u@good.example") == ["250 2.1.5 Ok"]
            world.server.wait_log(r"verify\[\d+\]: warning: address verification cache: open .* in memory only")
            assert world.ask("u@good.example") == ["250 2.1.5 Ok"]
        finally:
            world.stop()
