"""Tables that only root may read, used and read anew by workers that are not root. As root only."""

import os
import pwd
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.server import Gatepost, alive, owner_name, temporary_folder, until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="must be root: what only root may read")

MAIN_CF = """\
myhostname = mail.ours.example
mydestination = ours.example
local_recipient_maps =
local_transport = discard:
alias_maps =
mynetworks = 127.0.0.1
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
gatepost_smtpd_processes = 1
smtpd_recipient_restrictions = check_recipient_access hash:{folder}/secret/access
"""


class World:
    """An access table of mode 0600 in a folder of mode 0700, both root's."""

    def __init__(self, folder: Path) -> None:
        self.secret = folder / "secret"
        self.secret.mkdir(mode=0o700)
        self.write("access", "one")
        self.main_cf = MAIN_CF.format(folder=folder)
        self.server = Gatepost(folder, self.main_cf)

    def write(self, name: str, word: str) -> None:
        path = self.secret / f"{name}.new"
        path.write_text(f"bob@ours.example REJECT {word}\n")
        path.chmod(0o600)
        path.rename(self.secret / name)

    def ask(self) -> str:
        client = self.server.client()
        client.say("MAIL FROM:<ann@client.example>")
        reply = client.say("RCPT TO:<bob@ours.example>")
        client.close()
        return reply.removeprefix("554 5.7.1 <bob@ours.example>: Recipient address rejected: ")

    def owner_id(self) -> int:
        return pwd.getpwnam(owner_name()).pw_uid

    def becomes(self, word: str) -> None:
        until(lambda: self.ask() == word, f"the answer {word}")


@pytest.fixture
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder)
        yield made
        made.server.stop()


@pytest.mark.parametrize("mode", ["--single-process", ""])
def test_a_table_is_read_and_read_again_and_another_after_a_reload(world: World, mode: str) -> None:
    server = world.server.start(*filter(None, [mode]))
    assert world.ask() == "one"
    world.write("access", "two")
    world.becomes("two")
    world.write("other", "three")
    server.write(world.main_cf.replace("secret/access", "secret/other"))
    server.command("reload")
    world.becomes("three")
    world.write("other", "four")
    world.becomes("four")
    server.write(world.main_cf.replace("secret/access", "secret/gone"))
    os.kill(server.master_pid(), signal.SIGHUP)  # the command would refuse it before master does
    server.wait_log("the old configuration goes on")
    world.write("other", "five")
    world.becomes("five")
    assert not server.log_lines("panic|fatal|Permission")


def test_a_file_may_become_roots_alone_after_a_reload(world: World) -> None:
    """The process that opens it is told then, and not when main.cf may have been edited again."""
    for name in ("access", "other"):
        (world.secret / name).write_text("bob@ours.example REJECT one\n")
    world.secret.chmod(0o755)
    server = world.server.start("--single-process")
    server.write(world.main_cf.replace("secret/access", "secret/other"))
    server.command("reload")
    server.wait_log("reload -- version")
    server.write(world.main_cf.replace("secret/access", "secret/third"))
    world.secret.chmod(0o700)
    world.write("other", "two")
    world.becomes("two")


def test_no_worker_is_root_and_the_opener_ends_with_the_rest(world: World) -> None:
    server = world.server.start()
    (opener,) = server.workers("opener")
    rest = [pid for kind in ("smtpd", "qmgr", "delivery") for pid in server.workers(kind)]
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in rest} == {world.owner_id()}
    assert Path(f"/proc/{opener}").stat().st_uid == 0
    server.stop()
    until(lambda: not alive(opener), "the opener's end")


def test_a_single_process_leaves_no_opener(world: World) -> None:
    server = world.server.start("--single-process")
    (opener,) = server.workers("opener")
    server.stop()
    until(lambda: not alive(opener), "the opener's end")


def test_an_opener_that_is_killed_is_replaced(world: World) -> None:
    server = world.server.start()
    (opener,) = server.workers("opener")
    os.kill(opener, signal.SIGKILL)
    until(lambda: server.workers("opener") not in ([], [opener]), "another opener")
    world.write("access", "two")
    world.becomes("two")


def test_no_opener_where_mail_owner_reads_everything(world: World) -> None:
    world.secret.chmod(0o755)
    (world.secret / "access").chmod(0o644)
    server = world.server.start()
    assert world.ask() == "one"
    assert server.workers("opener") == []
    # By a reload, too, there may be something to open for the first time.
    (world.secret / "access").chmod(0o600)
    world.write("access", "two")
    server.command("reload")
    until(lambda: len(server.workers("opener")) == 1, "an opener")
    world.becomes("two")


@pytest.mark.parametrize("mode", ["--single-process", ""])
def test_who_could_replace_a_table_cannot_have_another_file_read(world: World, mode: str) -> None:
    """A link that mail_owner has laid, to what only root may read. The log may have been opened anew meanwhile."""
    server = world.server.start(*filter(None, [mode]))
    server.command("logrotate")
    world.write("access", "two")
    world.becomes("two")
    world.write("shadow", "taken")
    owner = world.owner_id()
    os.chown(world.secret, owner, -1)
    (world.secret / "access").unlink()
    (world.secret / "access").symlink_to(world.secret / "shadow")
    os.chown(world.secret / "access", owner, -1, follow_symlinks=False)

    def refused() -> bool:
        assert world.ask() == "two"
        return bool(server.log_lines("file opener: .*/access: in a folder that .* can write in"))

    until(refused, "the refusal")


def test_without_root_what_cannot_be_read_is_an_error_at_start(world: World) -> None:
    folder = world.server.folder
    server = Gatepost(folder / "ordinary", world.main_cf, user=owner_name())
    done = server.command("start", check=False)
    if "dac_read_search" in " ".join(server.prefix):
        pytest.skip("the user may read everything here, since Python is where only root gets in")
    assert done.returncode != 0
    assert (
        f"{server.conf}/main.cf, line 14: parameter smtpd_recipient_restrictions: "
        f"open {world.secret}/access: Permission denied"
    ) in done.stderr
