"""A fast sender before a slow disk, and before deliveries that do not keep up."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import WAIT, Client, Gatepost, children, temporary_folder, until

MAIN_CF = """\
myhostname = relay.home.example
mydestination =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
"""
STALL = 7.0
"""Seconds that the disk stands still at most: less than the queue file's writer waits for a lock."""
SESSIONS, OCTETS = 400, 120_000

pytestmark = pytest.mark.skipif(
    shutil.which("smtp-source", path="/usr/sbin:/usr/bin") is None and not os.environ.get("CI"),
    reason="Postfix's smtp-source is not installed",
)


@contextlib.contextmanager
def standing_still(queue: Path) -> Iterator[None]:
    """Nobody else writes to the queue file meanwhile, as on a disk that takes its time."""
    connection = apsw.Connection(str(queue / "queue.db"))
    connection.set_busy_timeout(10_000)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def memory(server: Gatepost) -> int:
    """Octets of their own that all its processes have."""
    assert server.process is not None
    pids = [server.process.pid, *(pid for pid, _ in children(server.process.pid))]
    total = 0
    for pid in [*pids, *(grandchild for child in pids[1:] for grandchild, _ in children(child))]:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))
    return total


def source(server: Gatepost, sessions: int = SESSIONS) -> "subprocess.Popen[bytes]":
    """So many clients that send a message each."""
    what = ["-s", str(sessions), "-m", str(sessions), "-l", str(OCTETS), "-f", "a@home.example", "-t", "b@far.example"]
    return subprocess.Popen(["smtp-source", *what, f"127.0.0.1:{server.port}"], stderr=subprocess.DEVNULL)


def shows(server: Gatepost, pattern: str, earlier: int) -> bool:
    """Does the log show it once more than before, while the disk stands still?"""
    try:
        until(lambda: len(server.log_lines(pattern)) > earlier, pattern, STALL)
    except AssertionError:
        return False
    return True


def must_wait(server: Gatepost) -> Client:
    """A client whose DATA is not answered."""
    late = Client(server.port)
    for line in ("EHLO x", "MAIL FROM:<late@home.example>", "RCPT TO:<b@far.example>"):
        assert late.say(line).startswith("250")
    late.sock.sendall(b"DATA\r\n")
    late.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        late.sock.recv(100)
    late.sock.settimeout(WAIT)
    return late


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_a_disk_that_stands_still(options: list[str]) -> None:
    peer = Peer()
    behind = r"qmgr\[\d+\]: warning: the queue's disk is slow: \d+ messages \(\d+ octets\) wait to be written"
    with temporary_folder() as folder, contextlib.ExitStack() as sources:
        server = Gatepost(folder, MAIN_CF.format(port=peer.port)).start(*options)
        late: Client | None = None
        rounds = 0
        try:
            server.send("a@home.example", "b@far.example")  # queue IDs are set aside with the first one
            before = memory(server)
            # A round tells nothing if the clients are slower than the disk, or if it is the loop that waits for it.
            while late is None and rounds < 5:
                rounds += 1
                earlier = len(server.log_lines(behind))
                with standing_still(server.queue):
                    clients = source(server)
                    sources.callback(clients.wait)
                    sources.callback(clients.kill)
                    if shows(server, behind, earlier):
                        late = must_wait(server)
                        assert memory(server) - before < 250 << 20
                assert clients.wait(120) == 0  # nobody was refused
            assert late is not None, server.output()
            assert late.sock.recv(100).startswith(b"354")
            late.sock.sendall(b"Subject: late\r\n\r\nHello.\r\n.\r\n")
            assert late.sock.recv(100).startswith(b"250 2.0.0 Ok: queued")
            server.wait_log(r"qmgr\[\d+\]: the queue's disk has caught up: new mail is taken in again")
            late.hang_up()
            until(lambda: len(peer.messages) == rounds * SESSIONS + 2, "all messages", 120)
            assert not server.log_lines("reject: ")
        finally:
            server.stop()
            peer.stop()


def test_a_queue_manager_that_does_not_answer() -> None:
    """smtpd does not fill its memory with what nobody takes."""
    sessions = 800
    peer = Peer()
    silent = r"smtpd\[\d+\]: warning: the queue manager is slow: \d+ messages \(\d+ octets\) wait for its answer"
    with temporary_folder() as folder, contextlib.ExitStack() as sources:
        more = "gatepost_smtpd_processes = 1\n"
        server = Gatepost(folder, MAIN_CF.format(port=peer.port) + more).start()
        (manager,) = server.workers("qmgr")
        try:
            server.send("a@home.example", "b@far.example")
            os.kill(manager, signal.SIGSTOP)
            clients = source(server, sessions)
            sources.callback(clients.wait)
            sources.callback(clients.kill)
            server.wait_log(silent)
            late = must_wait(server)
            os.kill(manager, signal.SIGCONT)
            assert clients.wait(120) == 0
            assert late.sock.recv(100).startswith(b"354")
            late.hang_up()
            server.wait_log(r"smtpd\[\d+\]: the queue manager answers: new mail is taken in again")
            until(lambda: len(peer.messages) == sessions + 1, "all messages", 120)
        finally:
            os.kill(manager, signal.SIGCONT)
            server.stop()
            peer.stop()


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_in_flow_delay(options: list[str]) -> None:
    """With a full active queue each message waits; when there is room again none does."""
    peer = Peer(RCPT="450 4.2.0 Later")
    peer.release.clear()
    with temporary_folder() as folder:
        more = "qmgr_message_active_limit = 3\nin_flow_delay = 2s\n"
        server = Gatepost(folder, MAIN_CF.format(port=peer.port) + more).start(*options)
        try:
            peer.replies.clear()
            for _ in range(4):  # the first three are active and stay so; then it is full
                server.send("a@home.example", "b@far.example")
            begin = time.monotonic()
            server.send("a@home.example", "b@far.example")
            assert time.monotonic() - begin >= 2
            states = [item["queue_name"] for item in server.queued()]
            assert sorted(map(str, states)) == ["active"] * 3 + ["incoming"] * 2
            peer.release.set()
            until(lambda: not server.queued(), "an empty queue")
        finally:
            peer.release.set()
            server.stop()
            peer.stop()
