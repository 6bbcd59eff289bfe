"""The queue manager cannot start while the others serve: who needs it is told so at once, and why.

One that was killed and is back in a moment is waited for.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.crash.conftest import RELAY
from tests.scenarios.peers import Peer
from tests.scenarios.server import Client, Gatepost, queue_id_of, temporary_folder, until

MAIN_CF = f"""\
{RELAY}\
gatepost_smtpd_processes = 1
"""
TO = "bob@far.test"
WRITE_ERROR = "451 4.3.0 Error: queue file write error"


class World:
    def __init__(self, server: Gatepost, peer: Peer) -> None:
        self.server = server
        self.peer = peer
        self.file = server.queue / "queue.db"
        self.reason = ""
        self.clients: list[Client] = []

    def client(self) -> Client:
        self.clients.append(self.server.client())
        return self.clients[-1]

    def begun(self) -> Client:
        """A client in the middle of a message."""
        client = self.client()
        for line in ("MAIL FROM:<begun@client.test>", f"RCPT TO:<{TO}>", "DATA"):
            assert client.say(line)[0] in "23"
        return client

    def break_queue(self) -> None:
        """The queue manager dies, and no other can open the queue file."""
        self.spoil()
        self.kill()
        line = self.server.wait_log(r"postfix/qmgr\[\d+\]: fatal: .*Permission denied")
        self.reason = f"mail system is down: qmgr: {line.partition(': ')[2]}"

    def spoil(self) -> None:
        """No queue manager can open the file."""
        before = self.file.stat()
        self._mode, self._owner = before.st_mode & 0o777, before.st_uid
        os.chown(self.file, os.geteuid(), -1)
        self.file.chmod(0)

    def mend_queue(self) -> None:
        os.chown(self.file, self._owner, -1)
        self.file.chmod(self._mode)

    def kill(self) -> None:
        """The queue manager has ended, and its connections have before that."""
        (qmgr,) = self.server.workers("qmgr")
        os.kill(qmgr, signal.SIGKILL)
        self.server.wait_log(f"process qmgr pid {qmgr} killed by signal 9")


@pytest.fixture
def world() -> Iterator[World]:
    peer = Peer()
    with temporary_folder() as folder:
        made = World(Gatepost(folder, MAIN_CF.format(port=peer.port)), peer)
        try:
            made.server.start()
            yield made
        finally:
            for client in made.clients:
                client.hang_up()
            made.server.stop()
            peer.stop()


def test_while_it_is_out(world: World) -> None:
    """Commands and clients have their answers, whenever they came; when it is mended, all goes on by itself."""
    server = world.server
    client, begun = world.client(), world.begun()
    world.break_queue()
    until(lambda: client.send("ann@client.test", TO) == WRITE_ERROR, "a refusal")
    assert begun.say("Subject: x\r\n\r\nText.\r\n.") == WRITE_ERROR
    for command, status, said in (
        (["postqueue", "-p"], 69, f"postqueue: fatal: Queue report unavailable - {world.reason}"),
        (["postqueue", "-j"], 69, f"postqueue: fatal: Queue report unavailable - {world.reason}"),
        (["postqueue", "-f"], 69, f"postqueue: fatal: Cannot flush mail queue - {world.reason}"),
        (["postsuper", "-d", "ALL"], 1, f"postsuper: fatal: {world.reason}"),
        (["postcat", "-q", "ABCDEF"], 1, f"postcat: fatal: {world.reason}"),
        (["status"], 0, f"gatepost status: warning: {world.reason}"),
    ):
        done = server.command(*command, check=False)
        assert (done.returncode, said in done.stderr) == (status, True), (command, done)
    # A worker that begins now has never had a queue manager.
    (smtpd,) = server.workers("smtpd")
    os.kill(smtpd, signal.SIGKILL)
    fresh = world.client()
    assert fresh.say("MAIL FROM:<ann@client.test>").startswith("250")
    assert fresh.say(f"RCPT TO:<{TO}>") == WRITE_ERROR
    world.mend_queue()
    until(lambda: server.command("postqueue", "-f", check=False).returncode == 0, "a queue manager")
    fresh.say("RSET")
    queue_id = queue_id_of(fresh.send("ann@client.test", TO))
    server.wait_log(f"{queue_id}: removed")
    assert "panic:" not in server.log() and "Traceback" not in server.log()


def test_one_that_is_back_in_a_moment_is_waited_for(world: World) -> None:
    server = world.server
    begun = world.begun()
    world.kill()
    queue_id = queue_id_of(begun.say("Subject: x\r\n\r\nText.\r\n."))
    server.wait_log(f"{queue_id}: removed")
    world.kill()
    server.command("postqueue", "-f")


def test_the_queue_is_listed_by_who_may_read_it(world: World) -> None:
    """As of a stopped system."""
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    server = world.server
    queue_id = server.send("ann@client.test", TO)
    server.wait_log(f"{queue_id}: to=.*status=deferred")
    until(lambda: [m["queue_name"] for m in server.queued()] == ["deferred"], "the deferred queue")
    world.file = server.queue / "private" / "store.lock"
    world.break_queue()
    done = server.command("postqueue", "-p")
    assert queue_id in done.stdout
    assert done.stderr == "postqueue: warning: Mail system is down -- accessing queue directly\n"


def test_a_reload_that_no_queue_manager_follows(world: World) -> None:
    """Nobody waits for anvil, either; and another reload helps at once."""
    server = world.server
    world.spoil()
    server.command("reload")
    server.wait_log("qmgr.*fatal: .*Permission denied")
    assert world.client().send("ann@client.test", TO) == WRITE_ERROR
    world.mend_queue()
    server.command("reload")
    until(lambda: server.command("postqueue", "-f", check=False).returncode == 0, "a queue manager")
    queue_id_of(world.client().send("ann@client.test", TO))


def test_a_start_without_a_queue_manager(world: World) -> None:
    """As with Postfix the mail system runs: the start tells why nothing goes in or out yet, and has not failed."""
    server = world.server
    server.stop()
    server.process = None
    world.file = server.queue / "private" / "store.lock"
    world.spoil()
    done = server.command("start", check=False)
    try:
        reason = f"mail system is down: qmgr: fatal: {world.file}: Permission denied; it is tried again and again"
        assert (done.returncode, done.stderr) == (0, f"gatepost start: warning: {reason}\n")
        assert server.command("status").stdout.startswith("the mail system is running")
        again = server.command("start", check=False)
        assert (again.returncode, again.stderr) == (1, "gatepost start: fatal: the mail system is already running\n")
        world.mend_queue()
        until(lambda: server.command("postqueue", "-f", check=False).returncode == 0, "a queue manager")
        queue_id_of(world.client().send("ann@client.test", TO))
    finally:
        server.command("stop")


def test_a_single_process_that_cannot_open_its_queue_does_not_stay(world: World) -> None:
    """There is nobody who would try again: the start has failed."""
    server = world.server
    server.stop()
    server.process = None
    world.file = server.queue / "private" / "store.lock"
    world.spoil()
    done = server.command("start", "--single-process", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("gatepost start: fatal: ")
    assert server.command("status", check=False).returncode == 1
