import os
import pwd
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.delivery.local_process import run_apart
from gatepost.delivery.mailbox import Identity, MailCopy, Outcome
from gatepost.delivery.maildir import deliver_to_maildir
from gatepost.delivery.mbox import MboxRules, deliver_to_mbox

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root")
COPY = MailCopy("me@client.example", "d@ours.example", "daemon@ours.example", b"Subject: hi\n\nbody\n")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture
def user() -> Identity:
    entry = pwd.getpwnam("nobody")
    return Identity(entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_dir)


async def test_answer_comes_back() -> None:
    assert await run_apart(lambda: Outcome("2.0.0", "x", ["w"])) == Outcome("2.0.0", "x", ["w"])


@as_root
async def test_child_that_dies() -> None:
    def die() -> Outcome:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    assert await run_apart(die) == Outcome("4.3.0", "mailbox delivery process died")


@as_root
async def test_child_that_hangs() -> None:
    def hang() -> Outcome:
        signal.pause()
        raise AssertionError

    assert await run_apart(hang, 0.05) == Outcome("4.3.0", "mailbox delivery took too long")


def mbox(folder: Path, user: Identity, in_spool: bool = True) -> Outcome:
    return deliver_to_mbox(f"{folder}/nobody", COPY, user, MboxRules(), in_spool=in_spool, now=1.0)


@as_root
@pytest.mark.parametrize(("mode", "group"), [(0o1777, 0), (0o2775, 8), (0o755, 0)])
async def test_spool_folders(folder: Path, user: Identity, mode: int, group: int) -> None:
    os.chown(folder, 0, group)
    folder.chmod(mode)
    for _ in range(2):
        assert (await run_apart(lambda: mbox(folder, user))).text == "delivered to mailbox"
    found = (folder / "nobody").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (user.uid, user.gid, 0o600)
    assert [path.name for path in folder.iterdir()] == ["nobody"]
    assert os.geteuid() == 0


@as_root
async def test_what_root_may_the_recipient_may_not(folder: Path, user: Identity) -> None:
    (folder / "nobody").touch(0o600)
    outcome = await run_apart(lambda: mbox(folder, user))
    assert outcome.text.endswith(f"destination {folder}/nobody is not owned by recipient")
    outcome = await run_apart(lambda: mbox(folder, user, in_spool=False))
    assert outcome.text.endswith(f"unable to create lock file {folder}/nobody.lock: Permission denied")
    folder.chmod(0o1777)
    outcome = await run_apart(lambda: mbox(folder, user))
    assert outcome.text.endswith("cannot open file: Permission denied")


@as_root
async def test_maildir_is_made_by_the_recipient(folder: Path, user: Identity) -> None:
    def deliver() -> Outcome:
        return deliver_to_maildir(f"{folder}/Maildir/", COPY, user, size_limit=0, hostname="vm", now=1.5)

    outcome = await run_apart(deliver)
    assert outcome.dsn == "5.2.0"
    assert outcome.warnings[0].startswith(
        f"maildir access problem for UID/GID={user.uid}/{user.gid}: create maildir file {folder}/Maildir/tmp/1.P"
    )
    assert outcome.warnings[1] == "perhaps you need to create the maildirs in advance"
    os.chown(folder, user.uid, user.gid)
    assert (await run_apart(deliver)).text == "delivered to maildir"
    (message,) = (folder / "Maildir" / "new").iterdir()
    assert (message.owner(), (folder / "Maildir").owner()) == ("nobody", "nobody")
