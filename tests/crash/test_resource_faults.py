"""A process has no descriptors or no memory left: what it has goes on, what it cannot do waits, and nothing is lost."""

import contextlib
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import WAIT, Gatepost, owner_name, queue_id_of, temporary_folder, until

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
    def __init__(self, folder: Path, *options: str, run: Sequence[str] = ()) -> None:
        self.peer = Peer()
        spool = folder / "spool"
        spool.mkdir()
        spool.chmod(0o1777)
        self.server = Gatepost(folder, MAIN_CF.format(port=self.peer.port, spool=spool), run=run).start(*options)

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


NO_DESCRIPTORS = "postfix/smtpd.*: warning: accept connection: Too many open files"


def greeting(sock: socket.socket, patience: float) -> bytes | None:
    """What the server says first; nothing if it has hung up, None if the client waits on after so many seconds."""
    sock.settimeout(patience)
    try:
        return sock.recv(100)
    except TimeoutError:
        return None
    except ConnectionError:
        return b""


def greeted_in_turn(waiting: list[socket.socket]) -> None:
    """Each client is greeted once those before it have gone, and nobody is hung up on."""
    end = time.monotonic() + WAIT
    while waiting:
        assert time.monotonic() < end, f"{len(waiting)} clients wait on"
        for sock in list(waiting):
            said = greeting(sock, 0.02)
            assert said is None or said.startswith(b"220"), said
            if said:
                sock.sendall(b"QUIT\r\n")
                sock.close()
                waiting.remove(sock)


@pytest.mark.parametrize(("limit", "earlier"), [(4096, 0), (8400, 192)], ids=["few", "plenty-at-first"])
def test_smtpd_has_no_descriptors(limit: int, earlier: int) -> None:
    """Who is connected is served; others wait until there is room, and nobody spins; nobody is hung up on.

    So it is from the start where the system's limit is low; elsewhere, once sessions have taken what there was.
    """
    with temporary_folder() as folder, contextlib.ExitStack() as stack:
        world = World(folder, run=["prlimit", f"--nofile={limit}:{limit}"])
        stack.callback(world.stop)
        greeted = []
        for _ in range(earlier):
            greeted.append(stack.enter_context(socket.create_connection(("127.0.0.1", world.server.port), 10)))
            assert (greeting(greeted[-1], WAIT) or b"").startswith(b"220")
        no_descriptors(world, greeted)


def no_descriptors(world: World, greeted: list[socket.socket]) -> None:
    server = world.server
    server.send("before@client.test", TO)
    client = server.client()
    pid = world.worker("smtpd")
    world.limit("smtpd", "nofile", descriptors(pid) + 5)
    others = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(50)]
    try:
        queue_id_of(client.send("during@client.test", TO))
        server.wait_log(NO_DESCRIPTORS)
        until(lambda: asleep(pid), "rest")
        said = [greeting(sock, 0.1) for sock in others]
        assert b"" not in said
        assert 0 < 50 - said.count(None) < 10
        queue_id_of(client.send("still@client.test", TO))
        for sock in greeted + [sock for sock, words in zip(others, said, strict=True) if words]:
            sock.close()
        greeted_in_turn([sock for sock, words in zip(others, said, strict=True) if not words])
    finally:
        for sock in others:
            sock.close()
    client.close()
    assert len(server.log_lines(NO_DESCRIPTORS)) < 3
    until(server.greets, "somebody is greeted")
    world.limit("smtpd", "nofile", 1000)
    server.send("after@client.test", TO)
    assert world.worker("smtpd") == pid
    world.arrived(4)


@pytest.mark.parametrize("options", [(), ("--single-process",)], ids=["processes", "single"])
def test_more_clients_than_descriptors(options: tuple[str, ...]) -> None:
    """The system's limit is below gatepost_smtpd_session_limit: clients wait, mail comes in and goes out meanwhile."""
    with temporary_folder() as folder:
        world = World(folder, *options, run=["prlimit", "--nofile=120:120"])
        others: list[socket.socket] = []
        try:
            server = world.server
            client = server.client()
            others = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(200)]
            server.wait_log(NO_DESCRIPTORS)
            queue_id_of(client.send("small@client.test", TO))
            queue_id_of(client.send("large@client.test", TO, LARGE))
            until(lambda: len(world.peer.messages) == 2, "two messages")
            client.close()
            greeted_in_turn(others)
            world.arrived(2)
        finally:
            for sock in others:
                sock.close()
            world.stop()


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


def test_delivery_runs_out_of_descriptors_at_any_step(world: World) -> None:
    """Content is opened, connections are made: whichever comes to nothing, the mail is deferred, not bounced."""
    server = world.server
    pid = world.worker("delivery")
    used = descriptors(pid)
    for spare in range(4):
        world.limit("delivery", "nofile", used + spare)
        queue_id = server.send(f"ann{spare}@client.test", TO, LARGE)
        told = server.wait_log(f"{queue_id}: to=<{TO}>")
        assert re.search(r"status=sent|status=deferred .*(Too many open files|cannot open message content)", told)
        world.limit("delivery", "nofile", 1000)
        world.arrived(spare + 1)
    assert "open content file" in server.log()
    assert "panic" not in server.log()
    assert world.worker("delivery") == pid


def test_the_queue_manager_takes_no_more_commands(world: World) -> None:
    """Commands say so and fail; mail goes on; nobody spins; then commands are carried out."""
    server = world.server
    pid = world.worker("qmgr")
    world.limit("qmgr", "nofile", descriptors(pid))
    for command in (["postqueue", "-j"], ["postqueue", "-f"], ["postsuper", "-h", "ALL"]):
        done = server.command(*command, check=False)
        assert done.returncode
        assert "the queue manager" in done.stderr
    server.send("ann@client.test", TO, LARGE)
    until(lambda: len(world.peer.messages) == 1, "the message")
    until(lambda: asleep(pid), "rest")
    world.limit("qmgr", "nofile", 1000)
    world.arrived(1)


def test_a_notice_waits_until_content_can_be_read(world: World) -> None:
    """Its sender gets back what he has sent, and not a notice without it."""
    server, peer = world.server, world.peer
    world.limit("qmgr", "nofile", descriptors(world.worker("qmgr")))
    peer.replies[f"RCPT TO:<{TO}>"] = "550 5.1.1 No such user"
    queue_id = server.send("ann@client.test", TO, LARGE)
    server.wait_log(f"{queue_id}: to=<{TO}>.*status=bounced")
    server.wait_log(f"warning: {queue_id}: content file {queue_id}: Too many open files")
    world.limit("qmgr", "nofile", 1000)
    world.arrived(1)
    (notice,) = peer.messages
    assert notice.recipients == ["ann@client.test"]
    assert "\nSubject: large\n" in notice.content


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
