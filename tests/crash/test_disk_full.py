"""The disk is full at each write: nothing acknowledged is lost, and when there is space again all goes on by itself."""

import os
import pwd
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.volumes import VolumeGatepost, why_not
from tests.scenarios.peers import Peer
from tests.scenarios.server import WAIT, Client, queue_id_of, temporary_folder, until

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

MAIN_CF = """\
myhostname = relay.test
mydestination = local.test
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
inet_protocols = ipv4
relayhost = [127.0.0.1]:{port}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
message_size_limit = 2000000
smtp_connection_cache_on_demand = no
"""
MIB = 1 << 20
FULL = "452 4.3.1 Insufficient system storage"
NO_SPACE = r"warning: {}: write queue file: No space left on device"
LINE = "x" * 70 + "\r\n"
LARGE = "Subject: large\r\n\r\n" + LINE * 4000
MODES = pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])


def only_if(long_form: bool) -> None:
    if not long_form:
        pytest.skip("in the long form only (make faults)")


class World:
    """`volumes`: which folders are volumes of their own, and their sizes."""

    def __init__(self, folder: Path, options: list[str], extra: str = "", **volumes: int) -> None:
        self.peer = Peer()
        self.server = VolumeGatepost(
            folder,
            MAIN_CF.format(port=self.peer.port) + extra,
            {folder / name: size for name, size in volumes.items()},
        )
        for name in volumes:
            (folder / name).mkdir(exist_ok=True)
        self.queue = self.server.queue
        self.server.start(*options)

    def begun(self, sender: str) -> Client:
        """A client that is about to send content."""
        client = self.server.client()
        for line in (f"MAIL FROM:<{sender}@client.test>", "RCPT TO:<bob@far.test>"):
            assert client.say(line)[0] == "2"
        assert client.say("DATA")[0] == "3"
        return client

    def answer_to_mail(self) -> str:
        client = self.server.client()
        reply = client.say("MAIL FROM:<ann@client.test>")
        client.close()
        return reply

    def content_files(self) -> list[Path]:
        return list((self.server.seen(self.queue) / "content").iterdir())

    def arrived(self, *senders: str, seconds: float = WAIT) -> None:
        """These, each once, and the queue is empty."""
        wanted = sorted(f"{sender}@client.test" for sender in senders)

        def there() -> list[str]:
            return sorted(m.sender for m in self.peer.messages if m.sender.endswith("@client.test"))

        until(lambda: there() == wanted, "all of them", seconds)
        until(lambda: self.server.queued() == [], "an empty queue")
        assert there() == wanted

    def stop(self) -> None:
        self.peer.release.set()
        self.peer.replies.clear()
        try:
            self.server.stop()
        finally:
            self.peer.stop()
        assert "panic:" not in self.server.log()
        assert "Traceback" not in self.server.log()


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


@MODES
def test_while_mail_comes_in(folder: Path, options: list[str]) -> None:
    """At the commit of a small message, and in the middle of a large one."""
    world = World(folder, options, queue=12 * MIB)
    server = world.server
    try:
        client = world.begun("small")
        server.fill(world.queue)
        assert client.say("Subject: small\r\n\r\nText.\r\n.") == FULL
        server.free(world.queue)
        queue_id_of(client.send("again@client.test", "bob@far.test"))
        for line in ("MAIL FROM:<large@client.test>", "RCPT TO:<bob@far.test>", "DATA"):
            assert client.say(line)[0] in "23"
        client.sock.sendall(LARGE.encode())
        until(lambda: bool(world.content_files()), "a content file")
        server.fill(world.queue)
        client.sock.sendall((LINE * 10_000).encode())
        assert client.say(".") == FULL
        assert world.content_files() == []
        server.free(world.queue)
        queue_id_of(client.send("large@client.test", "bob@far.test", LARGE))
        client.close()
        until(lambda: len(server.log_lines(NO_SPACE.format(r"\w+"))) == 2, "a warning for each")
        world.arrived("again", "large")
    finally:
        world.stop()


@MODES
def test_before_mail_comes_in(folder: Path, options: list[str], long_form: bool) -> None:
    """queue_minfree and message_size_limit: refused before any content, and taken again. Workers hear of it in 5 s."""
    only_if(long_form or bool(options))
    world = World(folder, options, queue=12 * MIB)
    server = world.server
    try:
        server.fill(world.queue, leave=2 * MIB)
        until(lambda: world.answer_to_mail() == FULL, "a refusal before any content")
        server.wait_log("NOQUEUE: reject: MAIL from localhost.127.0.0.1.: 452 4.3.1 Insufficient system storage; ")
        server.wait_log(r"warning: not enough free space in mail queue: \d+ bytes < 1\.5\*message size limit")
        server.free(world.queue)
        until(lambda: world.answer_to_mail()[:1] == "2", "no refusal any more")
    finally:
        world.stop()


@MODES
def test_while_mail_goes_out(folder: Path, options: list[str], long_form: bool) -> None:
    """At the notice of what bounced, and at the mark of what was delivered: neither comes twice."""
    only_if(long_form or not options)
    world = World(folder, options, queue=12 * MIB)
    server, peer = world.server, world.peer
    try:
        peer.replies["RCPT TO:<never"] = "450 4.2.0 Later"
        never = server.send("ann@client.test", "never@far.test")
        until(lambda: [m["queue_name"] for m in server.queued()] == ["deferred"], "the deferred queue")
        server.fill(world.queue)
        peer.replies["RCPT TO:<never"] = "550 5.1.1 Never"
        server.wait_log(rf"{never}: to=<never@far.test>.*status=bounced")
        server.wait_log(NO_SPACE.format(r"\w+"))
        server.free(world.queue)
        told = server.wait_log(rf"postfix/bounce\[\d+\]: {never}: sender non-delivery notification: \w+")
        server.wait_log(rf"{never}: removed")
        server.wait_log(rf"{told.rpartition(' ')[2]}: removed")
        peer.release.clear()
        before = peer.commands.count("DATA")
        sent = server.send("sent@client.test", "bob@far.test")
        until(lambda: peer.commands.count("DATA") > before, "DATA")
        server.fill(world.queue)
        peer.release.set()
        server.wait_log(rf"{sent}: removed")
        assert [m["queue_id"] for m in server.queued()] == [sent]  # that it is gone could not be written down yet
        server.free(world.queue)
        world.arrived("sent")
        assert [m.recipients for m in peer.messages if not m.sender] == [["ann@client.test"]]
    finally:
        world.stop()


def test_deferred_mail_goes_on_by_itself(folder: Path) -> None:
    """What became of it could not be written down when its time came; nothing else happens that could wake anybody."""
    world = World(folder, [], queue=12 * MIB)
    server, peer = world.server, world.peer
    try:
        peer.replies["RCPT"] = "450 4.2.0 Later"
        queue_id = server.send("later@client.test", "bob@far.test")
        server.wait_log(f"{queue_id}: to=.*status=deferred")
        server.fill(world.queue)
        peer.replies.clear()
        due = time.time() + 2.5
        until(lambda: time.time() > due, "its next attempts")
        server.free(world.queue)
        world.arrived("later")
    finally:
        world.stop()


def test_the_queue_manager_starts_anew_on_a_full_disk(folder: Path) -> None:
    """It takes the workers up, goes on delivering, and hands out queue IDs as soon as there is space."""
    world = World(folder, [], queue=12 * MIB)
    server, peer = world.server, world.peer
    try:
        peer.release.clear()
        held = server.send("held@client.test", "bob@far.test")
        until(lambda: "DATA" in peer.commands, "DATA")
        server.fill(world.queue)
        (victim,) = server.workers("qmgr")
        os.kill(victim, signal.SIGKILL)
        until(lambda: server.workers("qmgr") not in ([], [victim]), "a new queue manager")
        server.wait_log("warning: no queue IDs can be set aside: .*database or disk is full")
        peer.release.set()
        server.wait_log(f"{held}: to=.*status=sent")
        server.free(world.queue)
        until(lambda: bool(server.send_unless_full("next@client.test", "bob@far.test")), "mail is taken again")
        # Delivered once: the worker told the new queue manager of the delivery that it had under way.
        world.arrived("held", "next")
    finally:
        world.stop()


def test_while_the_log_of_the_queue_is_moved(folder: Path, long_form: bool) -> None:
    """At the checkpoint, for which the queue file must grow: what is in its log stays there, and is delivered."""
    only_if(long_form)
    world = World(folder, [], queue=60 * MIB)
    server, peer = world.server, world.peer
    body = "Subject: x\r\n\r\n" + LINE * 1700
    try:
        peer.replies["RCPT"] = "450 4.2.0 Later"
        client = server.client()
        accepted = [f"m{number}" for number in range(100)]
        for sender in accepted:
            queue_id_of(client.send(f"{sender}@client.test", "bob@far.test", body))
        server.fill(world.queue, leave=9 * MIB)
        while (reply := client.send(f"m{len(accepted)}@client.test", "bob@far.test", body)).startswith("250 "):
            accepted.append(f"m{len(accepted)}")
            assert len(accepted) < 500
        assert reply == FULL
        client.close()
        server.free(world.queue)
        peer.replies.clear()
        world.arrived(*accepted, seconds=120)
    finally:
        world.stop()


@MODES
def test_the_log(folder: Path, options: list[str]) -> None:
    """Mail goes on without it; afterwards it says how much is missing."""
    world = World(folder, options, log=MIB)
    server = world.server
    try:
        server.send("before@client.test", "bob@far.test")
        server.fill(folder / "log")
        for number in range(20):
            server.send(f"during{number}@client.test", "bob@far.test")
        server.free(folder / "log")
        server.send("after@client.test", "bob@far.test")
        world.arrived("before", *(f"during{number}" for number in range(20)), "after")
        until(lambda: "from=<after@client.test>" in server.log(), "the log goes on")
        lost = re.findall(r"warning: (\d+) lines of the log were lost: No space left on device$", server.log(), re.M)
        assert lost and sum(map(int, lost)) > 20
        whole = re.compile(r"\w{3} [ \d]\d [\d:]{8} relay postfix/\w+\[\d+\]: .")
        cut = [line for line in server.log().splitlines() if not whole.match(line)]
        assert len(cut) <= len(lost), cut
    finally:
        world.stop()


@pytest.mark.parametrize("kind", ["mbox", "maildir"])
def test_mailboxes(folder: Path, kind: str) -> None:
    """Deferred with the reason; a mailbox is cut back to what was there, and nothing is left in tmp."""
    spool = folder / "spool"
    user = pwd.getpwnam("news")
    extra = f"mail_spool_directory = {spool}{'/' if kind == 'maildir' else ''}\n"
    world = World(folder, [], extra, spool=MIB)
    server = world.server
    seen = server.seen(spool)
    seen.chmod(0o1777)

    def mails() -> list[str]:
        path = seen / user.pw_name
        if kind == "mbox":
            return re.findall(r"^X-Id: (\w+)$", path.read_text(), re.M)
        return sorted(re.findall(r"^X-Id: (\w+)$", mail.read_text(), re.M)[0] for mail in (path / "new").iterdir())

    try:
        first = server.send("a@client.test", "news@local.test", "X-Id: first\r\n\r\n" + LINE * 100)
        server.wait_log(f"{first}: removed")
        server.fill(spool, leave=64 * 1024)
        before = (seen / user.pw_name).read_bytes() if kind == "mbox" else b""
        large = server.send("b@client.test", "news@local.test", "X-Id: second\r\n\r\n" + LINE * 3000)
        line = server.wait_log(f"{large}: to=<news@local.test>")
        what = "cannot update mailbox " + str(spool / user.pw_name) + " for user news. " if kind == "mbox" else ""
        failed = f"{what}error writing message: No space left on device"
        failed = failed if kind == "mbox" else f"maildir delivery failed: {failed}"
        assert line.endswith(f"dsn=4.3.0, status=deferred ({failed})"), line
        if kind == "mbox":
            assert (seen / user.pw_name).read_bytes() == before
        else:
            assert list((seen / user.pw_name / "tmp").iterdir()) == []
        server.free(spool)
        server.wait_log(f"{large}: removed")
        assert mails() == ["first", "second"]
    finally:
        world.stop()
