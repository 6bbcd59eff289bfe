"""The queue for users other than root: who may look at it and flush it, and that nobody else may change it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import GATEPOST, REPOSITORY, WAIT, Gatepost, as_user, free_port, temporary_folder, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes other users")

RESERVED = "use of this command is reserved for the superuser"


def main_cf() -> str:
    """All mail is deferred: nobody listens."""
    return f"relayhost = [127.0.0.1]:{free_port()}\nmydestination =\n"


class Users:
    """`ask("daemon", "postqueue", "-p")`: exit status, standard output and standard error of that user's command."""

    def __init__(self, folder: Path) -> None:
        self.main_cf = main_cf()
        self.server = Gatepost(folder, self.main_cf)

    def ask(self, user: str, *arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*as_user(user), *GATEPOST, "-c", str(self.server.conf), *arguments],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def users() -> Iterator[Users]:
    with temporary_folder() as folder:
        users = Users(folder)
        try:
            yield users
        finally:
            users.server.stop()


@pytest.mark.parametrize("options", [(), ("--single-process",)])
def test_everybody_may_look_and_flush_and_only_root_may_change(users: Users, options: tuple[str, ...]) -> None:
    server = users.server.start(*options)
    queue_id = server.send("a@x.example", "b@y.example")
    server.wait_log(f"{queue_id}: to=<b@y.example>.*status=deferred")
    assert users.ask("nobody", "postqueue", "-j") == (0, server.command("postqueue", "-j").stdout, "")
    assert queue_id in users.ask("nobody", "mailq")[1]
    for act in (["-f"], ["-i", queue_id], ["-s", "y.example"]):
        before = server.log().count("status=deferred")
        assert users.ask("nobody", "postqueue", *act) == (0, "", "")
        until(lambda before=before: server.log().count("status=deferred") > before, f"an attempt after {act}")
    for letter in "dhre":
        assert users.ask("nobody", "postsuper", f"-{letter}", "ALL") == (1, "", f"postsuper: fatal: {RESERVED}\n")
    status, shown, _ = users.ask("nobody", "postcat", "-q", queue_id)
    assert status and not shown
    assert [message["queue_name"] for message in server.queued()] == ["deferred"]


def test_the_lists_say_who_may(users: Users) -> None:
    server = users.server
    server.write(
        users.main_cf + "authorized_mailq_users = !nobody, static:all\nauthorized_flush_users = root, daemon\n"
    )
    server.start()
    refused = "postqueue: fatal: User nobody(65534) is not allowed to {} the mail queue\n"
    for option, act in (("-p", "view"), ("-j", "view"), ("-f", "flush")):
        assert users.ask("nobody", "postqueue", option) == (69, "", refused.format(act))
    assert users.ask("nobody", "postqueue", "-s", "y.example") == (69, "", refused.format("flush"))
    assert users.ask("daemon", "postqueue", "-p") == (0, "Mail queue is empty\n", "")
    assert users.ask("daemon", "postqueue", "-f") == (0, "", "")
    server.write(users.main_cf + "authorized_mailq_users = static:all\nauthorized_flush_users =\n")
    server.command("reload")
    until(lambda: users.ask("nobody", "postqueue", "-p")[0] == 0, "the new list")
    assert users.ask("daemon", "postqueue", "-f")[0] == 69
    assert server.command("postqueue", "-f").returncode == 0


def test_a_stopped_system_tells_others_nothing(users: Users) -> None:
    users.server.start()
    users.server.stop()
    status, shown, said = users.ask("nobody", "postqueue", "-p")
    assert (status, shown) == (69, "")
    assert said == "postqueue: fatal: Queue report unavailable - mail system is down\n"
    assert users.ask("nobody", "postsuper", "-d", "ALL") == (1, "", f"postsuper: fatal: {RESERVED}\n")
