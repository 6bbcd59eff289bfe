"""A process has no descriptors or no memory left: what it has goes on, what it cannot do waits, and nothing is lost."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, owner_name, queue_id_of, temporary_folder, until

pytestmark = [
    pytest.mark.skipif(shutil.which("prlimit") is None, reason="util-linux (prlimit) is not installed"),
]

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
notify_classes =
mail_spool_directory = {spool}/
smtpd_client_connection_count_limit = 0
gatepost_smtpd_processes = 1
gatepost_delivery_processes = 1
"""
TO = "bob@far.test"
LARGE = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 60_000


class World:
    def __init__(self, folder: Path) -> None:
        self.peer = Peer()
        spool = folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        self.server = Gatepost(folder, MAIN_CF.format(port=self.peer.port, spool=spool)).start()

    def worker(self, kind: str) -> int:
        (found,) = self.server.workers(kind)
        return found

    def limit(self, kind: str, what: str, value: int | str) -> int:
        """Set the soft limit (`nofile`, `as`) of that worker; its process ID."""
        pid = self.worker(kind)
        as_owner: list[str] = []
        if os.geteuid() == 0 and kind != "local":
            owner = pwd.getpwnam(owner_name())
            as_owner = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        subprocess.run([*as_owner, "prlimit", f"--pid={pid}", f"--{what}={value}:"], check=True, capture_output=True)
        return pid

    def arrived(self, count: int) -> None:
        """So many messages, each once, and no more in the queue."""
        until(lambda: len(self.peer.messages) >= count, f"{count} messages")
        until(lambda: self.server.queued() == [], "an empty queue")
        assert len(self.peer.messages) == len({m.sender for m in self.peer.messages}) == count

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()


@pytest.fixture
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder)
        yield made
        made.stop()


def descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def asleep(pid: int) -> bool:
    """Does it wait for something, 20 times in a row, and use no time meanwhile? A process that spins never does."""

    def look() -> tuple[str, str, str]:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[11], fields[12]

    first = look()
    return first[0] == "S" and all(look() == first for _ in range(20))


def test_smtpd_has_no_descriptors(world: World) -> None:
    """Who is connected is served; others are turned away, or wait; nobody spins; then all are served."""
    server = world.server
    server.send("before@client.test", TO)
    client = server.client()
    pid = world.worker("smtpd")
    world.limit("smtpd", "nofile", descriptors(pid) + 5)
    others = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(50)]
    try:
        queue_id_of(client.send("during@client.test", TO))
        until(lambda: asleep(pid), "rest")
        greeted = 0
        for sock in others:
            sock.settimeout(0.2)
            with contextlib.suppress(TimeoutError, ConnectionError):
                greeted += sock.recv(100).startswith(b"220")
        assert 0 < greeted < 10
        queue_id_of(client.send("still@client.test", TO))
    finally:
        for sock in others:
            sock.close()
    client.close()
    until(server.greets, "somebody is greeted")
    world.limit("smtpd", "nofile", 1000)
    server.send("after@client.test", TO)
    assert world.worker("smtpd") == pid
    world.arrived(4)


def test_delivery_has_no_descriptors(world: World) -> None:
    """The mail is deferred with the reason, and goes once there are some."""
    server = world.server
    pid = world.limit("delivery", "nofile", 5)
    ids = [server.send(f"ann{number}@client.test", TO) for number in range(3)]
    for queue_id in ids:
        server.wait_log(f"{queue_id}: to=<{TO}>.*status=deferred .*Too many open files")
    until(lambda: asleep(pid), "rest")
    world.limit("delivery", "nofile", 1000)
    world.arrived(3)
    assert world.worker("delivery") == pid


@pytest.mark.skipif(bool(os.geteuid()), reason="there is a worker for local delivery only as root")
def test_local_has_no_descriptors(world: World) -> None:
    server = world.server
    pid = world.limit("local", "nofile", 5)
    queue_id = server.send("ann@client.test", "news@local.test")
    server.wait_log(f"{queue_id}: to=<news@local.test>.*dsn=4.0.0, status=deferred .user lookup error.")
    server.wait_log("warning: error looking up passwd info for news: Too many open files")
    world.limit("local", "nofile", 1000)
    server.wait_log(f"{queue_id}: removed")
    assert len(list((server.folder / "spool" / "news" / "new").iterdir())) == 1
    assert world.worker("local") == pid


def test_the_queue_manager_has_no_descriptors(world: World) -> None:
    server = world.server
    world.limit("qmgr", "nofile", 5)
    for number in range(5):
        server.send(f"ann{number}@client.test", TO)
    until(lambda: len(world.peer.messages) == 5, "five messages")
    world.limit("qmgr", "nofile", 1000)
    server.send("after@client.test", TO)
    world.arrived(6)


@pytest.mark.parametrize("kind", ["smtpd", "qmgr", "delivery"])
def test_no_memory(world: World, kind: str) -> None:
    """What a client was told counts; whether the process ends or gets over it does not."""
    server = world.server
    server.send("before@client.test", TO)
    pid = world.worker(kind)
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    world.limit(kind, "as", used + (1 << 20))
    acknowledged = 1
    for number in range(6):
        with contextlib.suppress(OSError):
            client = server.client()
            reply = client.send(
                f"ann{number}@client.test", TO, LARGE if number % 2 == 0 else "Subject: x\r\n\r\nText.\r\n"
            )
            if reply.startswith("250"):
                acknowledged += 1
            else:
                assert re.match(r"4\d\d |$", reply), reply
            client.hang_up()
    with contextlib.suppress(ValueError, subprocess.CalledProcessError):
        world.limit(kind, "as", "unlimited")
    until(lambda: len(server.workers(kind)) == 1, f"one {kind}")
    server.send("after@client.test", TO)
    until(lambda: len({m.sender for m in world.peer.messages}) >= acknowledged + 1, "all that was acknowledged")
    until(lambda: server.queued() == [], "an empty queue")
