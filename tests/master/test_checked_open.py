"""Files are opened as root only where mail_owner could not have put another one. As root; skipped otherwise."""

import errno
import os
import pwd
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.master.checked_open import open_checked

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="must be root: opens what only root may")

OWNER = pwd.getpwnam("nobody")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def opened(path: Path) -> bytes:
    with open(open_checked(str(path), OWNER), "rb") as stream:
        return stream.read()


def secret(folder: Path, name: str = "secret") -> Path:
    path = folder / name
    path.write_text("secret")
    path.chmod(0o600)
    return path


def give(path: Path) -> None:
    os.chown(path, OWNER.pw_uid, OWNER.pw_gid, follow_symlinks=False)


def refused(path: Path) -> str:
    with pytest.raises(PermissionError) as caught:
        open_checked(str(path), OWNER)
    assert caught.value.filename == str(path)
    return str(caught.value.strerror)


def test_a_file_and_links_to_it(folder: Path) -> None:
    file = secret(folder)
    (folder / "live").mkdir()
    (folder / "live" / "relative").symlink_to("../secret")
    (folder / "live" / "absolute").symlink_to(folder / "live" / ".." / "live" / "relative")
    (folder / "to").symlink_to("live")
    for path in (file, folder / "live" / "relative", folder / "live" / "absolute", folder / "to" / "absolute"):
        assert opened(path) == b"secret"


def test_a_file_that_another_owns_is_as_good(folder: Path) -> None:
    file = secret(folder)
    give(file)
    assert opened(file) == b"secret"


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_folder_of_the_owner(folder: Path, mode: int) -> None:
    inner = folder / "inner"
    inner.mkdir(mode=mode)
    file = secret(inner)
    give(inner)
    assert refused(file) == "in a folder that nobody can write in"
    (folder / "outer").symlink_to("inner/secret")
    assert refused(folder / "outer") == "in a folder that nobody can write in"


def test_folders_that_a_group_or_everybody_can_write_in(folder: Path) -> None:
    file = secret(folder)
    folder.chmod(0o777)
    refused(file)
    folder.chmod(0o1777)  # as /tmp: there nobody takes away what is another's
    assert opened(file) == b"secret"
    (folder / "laid").symlink_to("secret")
    give(folder / "laid")
    refused(folder / "laid")
    os.chown(folder, 0, OWNER.pw_gid)
    folder.chmod(0o770)
    refused(file)
    os.chown(folder, 0, 0)
    assert opened(file) == b"secret"


def test_only_regular_files(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    assert refused(folder / "fifo") == "not a regular file"
    with pytest.raises(OSError):
        open_checked(str(folder), OWNER)
    with pytest.raises(OSError):
        open_checked("/", OWNER)


def test_links_that_go_round_and_files_that_are_not_there(folder: Path) -> None:
    (folder / "a").symlink_to("b")
    (folder / "b").symlink_to("a")
    with pytest.raises(OSError) as caught:
        open_checked(str(folder / "a"), OWNER)
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(FileNotFoundError):
        open_checked(str(folder / "none"), OWNER)


def test_no_descriptor_is_left(folder: Path) -> None:
    file = secret(folder)
    (folder / "link").symlink_to(file)
    before = len([*Path("/proc/self/fd").iterdir()])
    for path in (file, folder / "link"):
        opened(path)
    for path in (folder, folder / "none"):
        with pytest.raises(OSError):
            open_checked(str(path), OWNER)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
