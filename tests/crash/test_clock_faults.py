"""The wall clock jumps by a day or more either way while mail is under way: nothing expires, nothing is lost."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.clocked import Offset
from tests.crash.conftest import RELAY
from tests.scenarios.peers import Peer
from tests.scenarios.server import REPOSITORY, Client, Gatepost, queue_id_of, temporary_folder, until

DAY = 86400.0
MAIN_CF = f"""\
{RELAY}\
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
maximal_queue_lifetime = 20h
bounce_queue_lifetime = 20h
delay_warning_time = 10h
smtp_connection_cache_on_demand = no
notify_classes =
"""
TO = "bob@far.test"
MODES = pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
WARNING = "warning: the clock was set {} by {} seconds; the next attempts of deferred mail go along"


class ClockedGatepost(Gatepost):
    """Its wall clock differs from ours by `clock`."""

    def __init__(self, folder: Path, main_cf: str) -> None:
        super().__init__(folder, main_cf)
        self.clock = Offset(folder / "clock")

    def launch(self, *options: str) -> None:
        program = [sys.executable, "-m", "tests.crash.clocked", str(self.folder / "clock"), "-c", str(self.conf)]
        with open(self.folder / "out", "ab") as output:
            self.process = subprocess.Popen(
                [*program, "start", "--foreground", *options],
                cwd=REPOSITORY,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def jumps(self) -> list[str]:
        return [line.partition("]: ")[2] for line in self.log_lines("the clock was set")]


class World:
    def __init__(self, folder: Path, options: list[str], extra: str = "") -> None:
        self.peer = Peer()
        self.peer.replies["RCPT TO:<later"] = "450 4.2.0 Later"
        self.server = ClockedGatepost(folder, MAIN_CF.format(port=self.peer.port) + extra)
        self.server.start(*options)

    def deferred(self) -> None:
        until(lambda: {m["queue_name"] for m in self.server.queued()} == {"deferred"}, "only the deferred queue")

    def stop(self) -> None:
        self.peer.release.set()
        try:
            self.server.stop()
        finally:
            self.peer.stop()
        log = self.server.log()
        assert "panic:" not in log and "Traceback" not in log and "expired" not in log
        assert not re.search(r"delays?=\S*-", log)
        assert not [m for m in self.peer.messages if not m.sender], "a notice"


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as path:
        yield path


def begun(server: Gatepost) -> Client:
    client = server.client()
    for line in ("MAIL FROM:<half@client.test>", f"RCPT TO:<{TO}>", "DATA"):
        assert client.say(line)[0] in "23"
    client.sock.sendall(b"Subject: half\r\n\r\n")
    return client


@MODES
@pytest.mark.parametrize("way", [1, -1], ids=["forward", "back"])
def test_a_jump_under_load(folder: Path, options: list[str], way: int, long_form: bool) -> None:
    """Mail comes in, is being delivered, and waits for another attempt; then all of it goes, once."""
    if not long_form and bool(options) != (way > 0):
        pytest.skip("in the long form only (make faults)")
    world = World(folder, options)
    server, peer = world.server, world.peer
    try:
        waiting = server.send("later@client.test", "later@far.test")
        world.deferred()
        peer.release.clear()
        before = peer.commands.count("DATA")
        running = server.send("running@client.test", TO)
        until(lambda: peer.commands.count("DATA") > before, "DATA")
        client = begun(server)
        server.clock.set(way * DAY)
        half = queue_id_of(client.say("The other half.\r\n."))
        client.close()
        after = server.send("after@client.test", TO)
        peer.release.set()
        for queue_id in (running, half, after):
            server.wait_log(f"{queue_id}: removed")
        until(lambda: bool(server.jumps()), "a warning")
        attempts = len(server.log_lines(f"{waiting}: to=.*status=deferred"))
        # Its next attempts come neither a day late nor all the time.
        until(lambda: len(server.log_lines(f"{waiting}: to=.*status=deferred")) > attempts + 1, "further attempts")
        assert server.jumps() == [WARNING.format("forward" if way > 0 else "back", 86400)]
        peer.replies.clear()
        server.wait_log(f"{waiting}: removed")
        senders = sorted(m.sender.partition("@")[0] for m in peer.messages)
        assert senders == ["after", "half", "later", "running"]
    finally:
        world.stop()


def test_back_and_forth_with_a_restart(folder: Path, long_form: bool) -> None:
    """A clock that was wrong and is set right again; the queue manager's successors know what was skipped."""
    if not long_form:
        pytest.skip("in the long form only (make faults)")
    world = World(folder, [])
    server, peer = world.server, world.peer
    try:
        waiting = server.send("later@client.test", "later@far.test")
        world.deferred()
        server.clock.set(9 * DAY)
        until(lambda: len(server.jumps()) == 1, "the first warning")
        server.stop()
        server.start()
        attempts = len(server.log_lines(f"{waiting}: to=.*status=deferred"))
        until(lambda: len(server.log_lines(f"{waiting}: to=.*status=deferred")) > attempts, "a further attempt")
        server.clock.set(0.0)
        until(lambda: len(server.jumps()) == 2, "the second warning")
        peer.replies.clear()
        server.wait_log(f"{waiting}: removed")
        assert server.jumps() == [WARNING.format("forward", 777600), WARNING.format("back", 777600)]
    finally:
        world.stop()


def test_a_jump_while_the_queue_manager_is_down(folder: Path) -> None:
    """Nobody saw it. A large content that is coming in seems days old to the new one: it is refused."""
    world = World(folder, [])
    server, peer = world.server, world.peer
    line = "x" * 70 + "\r\n"
    try:
        waiting = server.send("later@client.test", "later@far.test")
        world.deferred()
        client = begun(server)
        client.sock.sendall((line * 4000).encode())
        until(lambda: any((server.queue / "content").iterdir()), "a content file")
        (victim,) = server.workers("qmgr")
        os.kill(victim, signal.SIGSTOP)
        server.clock.set(3 * DAY)
        os.kill(victim, signal.SIGKILL)
        until(lambda: server.workers("qmgr") not in ([], [victim]), "a new queue manager")
        server.wait_log(WARNING.format("forward", 259200))
        reply = client.say("The end.\r\n.")
        assert reply.startswith("451 4.3.0 "), reply
        client.close()
        again = server.send("half@client.test", TO, f"Subject: again\r\n\r\n{line * 4000}")
        peer.replies.clear()
        for queue_id in (waiting, again):
            server.wait_log(f"{queue_id}: removed")
        assert sorted(m.sender for m in peer.messages) == ["half@client.test", "later@client.test"]
        assert not server.log_lines("damaged")
    finally:
        world.stop()
