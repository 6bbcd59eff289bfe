"""The queue on the disk is read-only, damaged, cut or gone: told clearly, nothing deleted, all else goes."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from tests.crash.conftest import RELAY
from tests.crash.volumes import DiskGatepost, VolumeGatepost, why_no_disk, why_not
from tests.scenarios.peers import Peer
from tests.scenarios.server import Gatepost, temporary_folder, until

MAIN_CF = f"""\
{RELAY}\
notify_classes =
"""
LARGE = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 4000
TO = "bob@far.test"


class World:
    def __init__(self, folder: Path) -> None:
        self.peer = Peer()
        self.server = Gatepost(folder, MAIN_CF.format(port=self.peer.port))
        self.queue = self.server.queue

    def with_deferred_mail(self) -> list[str]:
        """Two small messages and a large one wait in the queue of a stopped system."""
        self.peer.replies["RCPT"] = "450 4.2.0 Later"
        self.server.start()
        ids = [self.server.send("ann@client.test", TO) for _ in range(2)]
        ids.append(self.server.send("large@client.test", TO, LARGE))
        until(lambda: [m["queue_name"] for m in self.server.queued()] == ["deferred"] * 3, "the deferred queue")
        self.server.stop()
        self.peer.replies.clear()
        return ids

    def queues(self) -> dict[str, str]:
        return {str(m["queue_id"]): str(m["queue_name"]) for m in self.server.queued()}

    def files(self) -> dict[str, bytes]:
        """What holds mail."""
        paths = [self.queue / "queue.db", self.queue / "queue.db-wal", *(self.queue / "content").iterdir()]
        return {path.name: path.read_bytes() for path in paths if path.exists() and path.stat().st_size}

    def stop(self) -> None:
        try:
            self.server.stop()
        finally:
            self.peer.stop()
        assert "panic:" not in self.server.log() and "Traceback" not in self.server.log()


@pytest.fixture
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder)
        yield made
        made.stop()


def header_overwritten(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"\xa5" * 4096)


def cut(file: Path) -> None:
    os.truncate(file, 4096 * 3)


def emptied(file: Path) -> None:
    os.truncate(file, 0)


def read_only(file: Path) -> None:
    file.chmod(0o400)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (Path.unlink, "queue.db is missing, though it held a queue: queue.db-wal is there; restore it"),
        (read_only, "queue.db: Permission denied"),
    ],
)
def test_a_queue_file_that_cannot_be_used(
    world: World, damage: Callable[[Path], None], said: str, long_form: bool
) -> None:
    """The start refuses and changes nothing; with the file back all mail is there and goes."""
    if damage is Path.unlink and not long_form:
        pytest.skip("in the long form only (make faults); see tests/queue/test_queue_file.py")
    ids = world.with_deferred_mail()
    file = world.queue / "queue.db"
    shutil.copy2(file, world.server.folder / "backup")
    mode, owner = file.stat().st_mode, file.stat().st_uid
    damage(file)
    before = world.files()
    done = world.server.command("start", check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("gatepost start: fatal: ") and f"{world.queue}/{said}" in done.stderr, done.stderr
    assert world.files() == before
    shutil.copy2(world.server.folder / "backup", file)
    file.chmod(mode)
    os.chown(file, owner, -1)
    world.server.start()
    assert set(world.queues()) == set(ids)
    world.server.command("postqueue", "-f")
    for queue_id in ids:
        world.server.wait_log(f"{queue_id}: removed")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (header_overwritten, "queue.db: file is not a database"),
        (cut, "queue.db: database disk image is malformed"),
        (emptied, "queue.db is empty, though it held a queue"),
    ],
)
@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_a_queue_file_that_is_damaged(
    world: World, damage: Callable[[Path], None], said: str, options: list[str], long_form: bool
) -> None:
    """The start tells; what can be read goes; the damaged file is kept; new mail goes, and after another start, too."""
    if (damage is not header_overwritten or options) and not long_form:
        pytest.skip("in the long form only (make faults); see tests/queue/test_mending.py")
    ids = world.with_deferred_mail()
    file = world.queue / "queue.db"
    damage(file)
    damaged = file.read_bytes()
    done = world.server.command("start", *options)
    try:
        assert done.stderr.startswith("gatepost start: warning: ") and f"{world.queue}/{said}" in done.stderr
        (line,) = world.server.log_lines("messages were carried over")
        found = world.queues()
        assert f"{file}: {len(found)} messages were carried over into a new file" in line
        assert damage is not header_overwritten or found == dict.fromkeys(ids, "deferred")
        world.server.command("postqueue", "-f")
        for queue_id in (queue_id for queue_id, queue in found.items() if queue == "deferred"):
            world.server.wait_log(f"{queue_id}: removed")
        (kept,) = world.queue.glob("queue.db.damaged-*[0-9]")
        assert kept.read_bytes() == damaged
        assert f"the damaged one is kept as {kept}" in world.server.log()
        world.server.wait_log(f"{world.server.send('next@client.test', TO)}: removed")
    finally:
        world.server.command("stop")
    world.server.start()
    world.server.wait_log(f"{world.server.send('last@client.test', TO)}: removed")
    assert len(world.server.log_lines("looking through the whole file")) == 1


def test_damage_that_shows_at_work(world: World) -> None:
    """Of an index, which nothing reads at a start: the queue manager ends with the reason, and its successor mends."""
    ids = world.with_deferred_mail()
    file = world.queue / "queue.db"
    connection = apsw.Connection(str(file))
    page = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'waiting_slot'").get
    connection.close()
    with file.open("r+b") as opened:
        opened.seek((page - 1) * 4096)
        opened.write(bytes(4096))
    world.server.start()
    world.server.wait_log(rf"postfix/qmgr\[\d+\]: fatal: {world.queue}: database disk image is malformed")
    world.server.wait_log(r"3 messages were carried over into a new file; of these 0 are in the corrupt queue, 0 were")
    until(lambda: len(world.queues()) == 3, "the queue manager's successor")
    world.server.command("postqueue", "-f")
    for queue_id in ids:
        world.server.wait_log(f"{queue_id}: removed")
    assert len(world.server.log_lines("qmgr.*fatal")) == 1


def test_damage_deep_inside(world: World) -> None:
    """Of small contents: those messages are kept as corrupt and named; the others go."""
    ids = world.with_deferred_mail()
    file = world.queue / "queue.db"
    data = file.read_bytes()
    place = data.index(b"Hello.\n")
    file.write_bytes(data[:place] + b"Jello" + data[place + 5 :])
    (hurt,) = [queue_id for queue_id in ids if queue_id.encode() in data[place - 700 : place]][-1:]
    world.server.start()
    world.server.command("postqueue", "-f")
    for queue_id in ids:
        if queue_id != hurt:
            world.server.wait_log(f"{queue_id}: removed")
    world.server.wait_log(rf"warning: {hurt}: damaged message, moved to the corrupt queue: ")
    until(lambda: world.queues() == {hurt: "corrupt"}, "the corrupt queue")


@pytest.mark.parametrize("kind", ["missing", "cut"])
def test_a_large_content(world: World, kind: str, long_form: bool) -> None:
    if kind == "missing" and not long_form:
        pytest.skip("in the long form only (make faults)")
    *small, large = world.with_deferred_mail()
    (file,) = (world.queue / "content").iterdir()
    if kind == "missing":
        file.unlink()
    else:
        os.truncate(file, 1000)
    what = "content file missing" if kind == "missing" else r"content file has 1000 of \d+ octets"
    world.server.start()
    world.server.command("postqueue", "-f")
    for queue_id in small:
        world.server.wait_log(f"{queue_id}: removed")
    world.server.wait_log(rf"warning: {large}: damaged message, moved to the corrupt queue: {what}")
    until(lambda: world.queues() == {large: "corrupt"}, "the corrupt queue")
    assert kind == "missing" or file.exists()
    assert not [m for m in world.peer.messages if m.sender == "large@client.test"]
    world.server.send("next@client.test", TO)
    until(lambda: any(m.sender == "next@client.test" for m in world.peer.messages), "the next message")


def test_a_large_content_with_other_octets(world: World) -> None:
    """As long as it was, so that only its checksum tells: accepted by nobody, kept, and named."""
    *small, large = world.with_deferred_mail()
    (file,) = (world.queue / "content").iterdir()
    with file.open("r+b") as opened:
        opened.seek(-5000, os.SEEK_END)
        opened.write(b"\xef")
    damaged = file.read_bytes()
    world.server.start()
    world.server.command("postqueue", "-f")
    for queue_id in small:
        world.server.wait_log(f"{queue_id}: removed")
    said = rf"warning: {large}: damaged message, moved to the corrupt queue: content file checksum mismatch"
    world.server.wait_log(said)
    until(lambda: world.queues() == {large: "corrupt"}, "the corrupt queue")
    assert file.read_bytes() == damaged
    world.server.send("next@client.test", TO)
    until(lambda: any(m.sender == "next@client.test" for m in world.peer.messages), "the next message")
    assert not [m for m in world.peer.messages if m.sender == "large@client.test"]


def test_a_large_content_with_other_octets_is_not_taken_in_anew(world: World) -> None:
    """postsuper -r would give it a checksum that fits."""
    large = world.with_deferred_mail()[-1]
    (file,) = (world.queue / "content").iterdir()
    with file.open("r+b") as opened:
        opened.seek(-5000, os.SEEK_END)
        opened.write(b"\xef")
    world.server.start()
    world.server.command("postsuper", "-r", large)
    world.server.wait_log(
        rf"warning: {large}: damaged message, moved to the corrupt queue: content file checksum mismatch"
    )
    until(lambda: world.queues().get(large) == "corrupt", "the corrupt queue")
    assert not [m for m in world.peer.messages if m.sender == "large@client.test"]


def test_large_content_cannot_be_written(world: World) -> None:
    """Not for lack of space: refused for now and told; small mail goes on; then large mail does, too."""
    server = world.server.start()
    folder = world.queue / "content"
    client = server.client()
    folder.chmod(0o500)
    assert client.send("large@client.test", TO, LARGE) == "451 4.3.0 Error: queue file write error"
    server.wait_log(r"postfix/cleanup\[\d+\]: warning: \w+: write queue file: .*Permission denied")
    assert client.send("small@client.test", TO).startswith("250 ")
    folder.chmod(0o700)
    assert client.send("large@client.test", TO, LARGE).startswith("250 ")
    # In the middle of one that is refused the folder is closed, too: the file stays for now.
    for line in ("MAIL FROM:<half@client.test>", f"RCPT TO:<{TO}>", "DATA"):
        assert client.say(line)[0] in "23"
    client.sock.sendall(LARGE.encode())
    until(lambda: any(path.stat().st_size for path in folder.iterdir()), "a content file")
    folder.chmod(0o500)
    client.hang_up()
    server.wait_log("lost connection after DATA")
    folder.chmod(0o700)
    until(lambda: [m.sender[:5] for m in world.peer.messages] == ["small", "large"], "both messages")


def test_the_end_of_the_log_is_damaged(world: World) -> None:
    """As after a fault of the disk: what stands before the damage is there, and the mail system serves."""
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    server = world.server.start()
    ids = []
    for number in range(3):
        ids.append(server.send(f"ann{number}@client.test", TO))
        until(lambda: list(world.queues().values()) == ["deferred"] * len(ids), "the deferred queue")
    assert server.process is not None
    pids = [server.process.pid, *server.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    server.process.wait()
    log = world.queue / "queue.db-wal"
    place = log.read_bytes().rindex(ids[-1].encode())
    with log.open("r+b") as opened:
        opened.seek(place)
        opened.write(b"?")
    server.start()
    found = world.queues()
    assert set(ids[:2]) <= set(found) <= set(ids)
    world.peer.replies.clear()
    server.command("postqueue", "-f")
    for queue_id in found:
        server.wait_log(f"{queue_id}: removed")


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_volume_is_read_only_and_writable_again() -> None:
    """A start tells; a start after that goes on with all mail."""
    with temporary_folder() as folder:
        peer = Peer(RCPT="450 4.2.0 Later")
        server = VolumeGatepost(folder, MAIN_CF.format(port=peer.port), {}).start()
        try:
            queue_id = server.send("ann@client.test", TO)
            until(lambda: [m["queue_name"] for m in server.queued()] == ["deferred"], "the deferred queue")
            server.stop()
            server.read_only = [server.queue]
            server.launch()
            assert server.process is not None
            server.process.wait(30)
            assert f"{server.queue}: Read-only file system" in server.output()
            peer.replies.clear()
            server.read_only = []
            server.start()
            server.command("postqueue", "-f")
            server.wait_log(f"{queue_id}: removed")
        finally:
            server.stop()
            peer.stop()


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_the_disk_fails_at_work(options: list[str], long_form: bool) -> None:
    """Nothing gets 250 any more, the log says why, a stop works; with the disk back all that got it is there."""
    if options and not long_form:
        pytest.skip("in the long form only (make faults)")
    if reason := why_no_disk():
        pytest.skip(reason)
    with temporary_folder() as folder:
        peer = Peer(RCPT="450 4.2.0 Later")
        queue = folder / "queue"
        server = DiskGatepost(folder, MAIN_CF.format(port=peer.port), {queue: 32 << 20}).start(*options)
        try:
            ids = [server.send("ann@client.test", TO), server.send("large@client.test", TO, LARGE)]
            for queue_id in ids:
                server.wait_log(f"{queue_id}: to=.*status=deferred")
            client = server.client()
            server.break_disk(queue)
            assert client.send("late@client.test", TO) == "451 4.3.0 Error: queue file write error"
            server.wait_log(rf"postfix/qmgr\[\d+\]: fatal: {queue}: ")
            if options:  # its queue is its own; what starts it anew has to
                assert server.process is not None and server.process.wait(60) == 1
            else:
                server.wait_log(f"fatal: {queue}/private/store.lock: Read-only file system")
                server.stop()
            client.hang_up()
            peer.replies.clear()
            server.start(*options)
            server.command("postqueue", "-f")
            for queue_id in ids:
                server.wait_log(f"{queue_id}: removed")
            assert sorted(message.sender for message in peer.messages) == ["ann@client.test", "large@client.test"]
            assert "Traceback" not in server.log() and "panic:" not in server.log()
        finally:
            server.stop()
            peer.stop()
