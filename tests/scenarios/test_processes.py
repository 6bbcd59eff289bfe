"""Processes that die, start, and stop: nobody else notices, and no mail is lost."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.peers import Peer
from tests.scenarios.server import (
    GATEPOST,
    REPOSITORY,
    Client,
    Gatepost,
    alive,
    free_port,
    owner_name,
    queue_id_of,
    temporary_folder,
    until,
)

MAIN_CF = """\
myhostname = relay.home.example
mydestination = home.example
alias_maps = inline:{{ team=bob@far.example }}
local_recipient_maps =
mynetworks = 127.0.0.1
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, defer_unauth_destination
relayhost = [127.0.0.1]:{port}
gatepost_smtpd_processes = 2
gatepost_delivery_processes = 2
"""


class World:
    def __init__(self) -> None:
        self._folder = temporary_folder()
        self.peer = Peer()
        self.server = Gatepost(self._folder.__enter__(), MAIN_CF.format(port=self.peer.port))

    def stop(self) -> None:
        try:
            self.server.stop()
            if self.server.command("status", check=False).returncode == 0:
                self.server.command("stop")
        finally:
            self.peer.stop()
            self._folder.__exit__(None, None, None)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    made = World()
    made.server.start()
    yield made
    made.stop()


def sessions_by_worker(server: Gatepost) -> dict[int, Client]:
    """An idle session in each smtpd worker."""
    found: dict[int, Client] = {}
    while len(found) < 2:
        client = server.client()
        local = client.sock.getsockname()[1]
        owner = next(pid for pid in server.workers("smtpd") if _has_peer_port(pid, server.port, local))
        if owner in found:
            client.close()
        else:
            found[owner] = client
    return found


def _has_peer_port(pid: int, port: int, peer_port: int) -> bool:
    """Does the process hold the connection between these two ports?"""
    wanted = f":{port:04X} 0100007F:{peer_port:04X} "
    with open(f"/proc/{pid}/net/tcp") as table:
        inode = next((line.split()[9] for line in table if wanted in line), "none")
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(path.readlink()) == f"socket:[{inode}]":
                return True
    return False


@pytest.mark.parametrize("kind", ["smtpd", "delivery"])
def test_workers_gather_their_writes(running: World, kind: str) -> None:
    """What io_setup(2) gives a process is mapped into its memory."""
    server = running.server
    queue_id = server.send("joe@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: removed")
    assert any("[aio]" in Path(f"/proc/{pid}/maps").read_text() for pid in server.workers(kind))


@pytest.mark.parametrize("kind", ["smtpd", "qmgr", "delivery", "local"])
def test_a_worker_that_is_killed_is_started_again(running: World, kind: str) -> None:
    server = running.server
    if kind == "local" and os.geteuid():
        pytest.skip("there is a worker for local delivery only as root")
    sessions = sessions_by_worker(server)
    others = {pid: name for name in ("smtpd", "qmgr", "delivery", "local") for pid in server.workers(name)}
    victim = server.workers(kind)[0]
    del others[victim]
    os.kill(victim, signal.SIGKILL)
    until(
        lambda: len(server.workers(kind)) == (2 if kind in ("smtpd", "delivery") else 1) and not alive(victim),
        f"a new {kind}",
    )
    server.wait_log(rf"warning: process {kind}\S* pid {victim} killed by signal 9")
    for pid, client in sessions.items():
        if pid != victim:
            queue_id = queue_id_of(client.send("ann@home.example", "bob@far.example"))
            server.wait_log(f"{queue_id}: removed")
        client.close()
    queue_id = server.send("ann@home.example", "team@home.example" if kind == "local" else "bob@far.example")
    server.wait_log(f"{queue_id}: removed")
    assert all(alive(pid) for pid in others), others


def test_workers_take_long_turns_but_not_what_runs_programs_of_users(running: World) -> None:
    policies = {
        kind: {os.sched_getscheduler(pid) for pid in running.server.workers(kind)}
        for kind in ("smtpd", "qmgr", "delivery", "local")
    }
    assert policies.pop("local") <= {os.SCHED_OTHER}
    assert set(map(frozenset, policies.values())) == {frozenset({os.SCHED_BATCH})}


def test_deferred_mail_outlives_the_queue_manager(world: World) -> None:
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    server = world.server.start()
    queue_id = server.send("ann@home.example", "bob@far.example")
    until(lambda: [i["queue_name"] for i in server.queued()] == ["deferred"], "deferred queue")
    before = server.queued()
    (victim,) = server.workers("qmgr")
    os.kill(victim, signal.SIGKILL)
    until(lambda: server.workers("qmgr") not in ([], [victim]), "a new queue manager")
    assert server.queued() == before
    world.peer.replies.clear()
    server.command("postqueue", "-f")
    server.wait_log(f"{queue_id}: removed")
    assert len(world.peer.messages) == 1


def test_a_queue_manager_that_dies_at_once_takes_no_old_request_for_a_new_one(world: World) -> None:
    """Both are numbered from the same start if they begin within one second."""
    world.peer.release.clear()
    server = world.server.start()
    queue_ids = [server.send("ann@home.example", "bob@far.example")]
    for _ in range(2):
        (victim,) = server.workers("qmgr")
        os.kill(victim, signal.SIGKILL)
        until(lambda victim=victim: server.workers("qmgr") not in ([], [victim]), "a new queue manager")
        queue_ids.append(server.send("ann@home.example", "bob@far.example"))
        until(lambda: world.peer.commands.count("DATA") == len(queue_ids), "all in their DATA")
    world.peer.release.set()
    for queue_id in queue_ids:
        server.wait_log(f"{queue_id}: removed")
    assert len(world.peer.messages) == len(queue_ids)


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_in_the_background(world: World, options: list[str]) -> None:
    """As an operator does: start, status, stop, and start again with mail in the queue."""
    server = world.server
    assert server.command("status", check=False).returncode == 1
    assert server.command("stop", check=False).stderr == "gatepost stop: fatal: the mail system is not running\n"
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    server.background(*options)
    pid = server.master_pid()
    assert server.command("status").stdout.startswith(f"the mail system is running: PID: {pid}\n")
    second = server.command("start", check=False)
    assert second.returncode == 1 and second.stderr == "gatepost start: fatal: the mail system is already running\n"
    queue_id = server.send("ann@home.example", "bob@far.example")
    until(lambda: [i["queue_name"] for i in server.queued()] == ["deferred"], "deferred queue")
    assert "deferred: 1" in server.command("status").stdout
    server.command("stop")
    assert not alive(pid)
    assert server.command("status", check=False).stdout == "the mail system is not running\n"
    assert queue_id in server.command("mailq").stdout
    world.peer.replies.clear()
    server.background(*options)
    server.command("postqueue", "-f")
    server.wait_log(f"{queue_id}: removed")
    assert [m.recipients for m in world.peer.messages] == [["bob@far.example"]]
    server.command("stop")


@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_when_master_is_killed_all_end_and_a_new_start_works(world: World, options: list[str]) -> None:
    server = world.server.background(*options)
    client = server.client()
    pids = [server.master_pid(), *server.workers()]
    # As root: the opener beside the single process; else qmgr, 2 smtpd, 2 delivery, and local as root.
    assert len(pids) == (1 if options else 6) + (os.geteuid() == 0)
    os.kill(pids[0], signal.SIGKILL)
    until(lambda: not any(map(alive, pids)), "the end of all")
    client.close()
    server.background(*options)
    queue_id = server.send("ann@home.example", "bob@far.example")
    server.wait_log(f"{queue_id}: removed")
    server.command("stop")


def test_a_start_waits_for_the_processes_of_a_master_that_was_killed(world: World) -> None:
    """And two starts at once: one serves, the other says so."""
    world.peer.release.clear()
    server = world.server.background()
    queue_id = server.send("ann@home.example", "bob@far.example")
    until(lambda: "DATA" in world.peer.commands, "DATA")
    pids = [server.master_pid(), *server.workers()]
    os.kill(pids[0], signal.SIGKILL)
    starts = [
        subprocess.Popen(
            [*server.prefix, *GATEPOST, "-c", str(server.conf), "start"],
            cwd=REPOSITORY,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    world.peer.release.set()
    said = [start.communicate(timeout=60)[1] for start in starts]
    assert sorted(start.returncode for start in starts) == [0, 1], said
    assert "gatepost start: fatal: the mail system is already running\n" in said
    assert not any(map(alive, pids))
    server.wait_log(f"{queue_id}: removed")
    server.command("stop")


def test_stopping_ends_what_is_under_way(world: World) -> None:
    """A message whose end comes after SIGTERM is either in the queue with 250, or the client knows that it is not."""
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    server = world.server.start()
    client, idle = server.client(), server.client()
    for line in ("MAIL FROM:<ann@home.example>", "RCPT TO:<bob@far.example>", "DATA"):
        client.say(line)
    client.sock.sendall(b"Subject: half\r\n\r\n")
    assert server.process is not None
    server.process.terminate()
    server.wait_log("terminating on signal 15")
    reply = client.say("The other half.\r\n.")
    server.process.wait(30)
    goodbye = "421 4.3.2 relay.home.example Service not available, closing transmission channel"
    assert idle.reply() == goodbye and idle.reply() == ""
    assert client.reply() == goodbye and client.reply() == ""
    queue_id = queue_id_of(reply)
    assert queue_id in server.command("mailq").stdout
    client.close()
    idle.close()


def test_stopping_while_a_delivery_hangs(world: World) -> None:
    """The other side does not answer: the stop is bounded, and the message stays in the queue."""
    world.peer.release.clear()
    server = world.server.start()
    queue_id = server.send("ann@home.example", "bob@far.example")
    until(lambda: "DATA" in world.peer.commands, "DATA")
    server.stop()
    assert queue_id in server.command("mailq").stdout
    world.peer.release.set()
    world.peer.messages.clear()
    server.start()
    server.wait_log(f"{queue_id}: removed")


def test_a_missing_mail_owner_is_told_with_the_remedy(world: World) -> None:
    if os.geteuid():
        pytest.skip("only root gives up its rights")
    server = world.server
    text = (server.conf / "main.cf").read_text().replace(f"mail_owner = {owner_name()}", "mail_owner = nosuchuser")
    (server.conf / "main.cf").write_text(text)
    done = server.command("start", check=False)
    assert done.returncode == 1
    assert "user nosuchuser does not exist; make it with: useradd --system --no-create-home" in done.stderr
    assert f"{server.conf}/main.cf" in done.stderr and "mail_owner" in done.stderr


def test_a_port_that_is_taken_is_told(world: World) -> None:
    server = world.server.start()
    with temporary_folder() as folder:
        other = Gatepost(folder, MAIN_CF.format(port=free_port()), port=server.port)
        done = other.command("start", check=False)
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{server.port}: Address already in use" in done.stderr


def test_where_the_configuration_is(world: World) -> None:
    conf = str(world.server.conf)
    for arguments, environment in (
        (["-c", conf, "postconf", "-h", "myhostname"], {}),
        (["postconf", "-c", conf, "-h", "myhostname"], {}),
        (["postconf", "-h", "myhostname"], {"MAIL_CONFIG": conf}),
    ):
        done = subprocess.run(
            [*GATEPOST, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "relay.home.example\n"
