import os
import re
from pathlib import Path

from gatepost.delivery.mailbox import Identity, MailCopy
from gatepost.delivery.maildir import deliver_to_maildir

NOW = 1795363398.043689
ME = Identity("daemon", os.getuid(), os.getgid(), "/nonexistent")
COPY = MailCopy("me@client.example", "d@ours.example", "daemon@ours.example", b"Subject: hi\n\nFrom here\n")


def deliver(box: Path, limit: int = 0) -> str:
    outcome = deliver_to_maildir(f"{box}/", COPY, ME, size_limit=limit, hostname="vm", now=NOW)
    return f"{outcome.dsn} {outcome.text}"


def test_delivery_makes_the_folders(tmp_path: Path) -> None:
    box = tmp_path / "home" / "Maildir"
    assert deliver(box) == "2.0.0 delivered to maildir"
    (message,) = (box / "new").iterdir()
    assert message.read_text() == (
        "Return-Path: <me@client.example>\nX-Original-To: d@ours.example\nDelivered-To: daemon@ours.example\n"
        "Subject: hi\n\nFrom here\n"
    )
    found = message.stat()
    name = re.fullmatch(rf"1795363398\.V{found.st_dev:x}I{found.st_ino:x}M4368\d\.vm", message.name)
    assert name is not None
    assert (found.st_mode & 0o777, found.st_nlink) == (0o600, 1)
    assert not list((box / "tmp").iterdir())
    assert sorted(folder.name for folder in box.iterdir()) == ["cur", "new", "tmp"]
    assert (box / "new").stat().st_mode & 0o777 == 0o700


def test_half_of_the_folders(tmp_path: Path) -> None:
    # Another delivery is just making them, or was killed at it.
    (tmp_path / "tmp").mkdir()
    assert deliver(tmp_path) == "2.0.0 delivered to maildir"
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert (tmp_path / "cur").is_dir()
    assert not list((tmp_path / "tmp").iterdir())


def test_two_in_the_same_moment(tmp_path: Path) -> None:
    for _ in range(2):
        assert deliver(tmp_path).startswith("2.0.0")
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_size_limit(tmp_path: Path) -> None:
    assert deliver(tmp_path, 20) == "5.2.2 maildir delivery failed: error writing message: File too large"
    assert not list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "new").iterdir())


def test_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "box").touch()
    result = deliver(tmp_path / "box")
    assert re.fullmatch(
        rf"5\.2\.0 maildir delivery failed: create maildir file {tmp_path}/box/tmp/1795363398\.P\d+Q\d+\.vm: "
        "Not a directory",
        result,
    )
