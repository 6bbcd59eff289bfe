"""Texts and file contents as Postfix 3.7's local(8) has them."""

import fcntl
import io
import os
import time
from pathlib import Path

import pytest

from gatepost.delivery.mailbox import Identity, MailCopy, failure_dsn
from gatepost.delivery.mbox import LockRules, MboxRules, deliver_to_mbox

NOW = 1795363287.0
ME = Identity("daemon", os.getuid(), os.getgid(), "/nonexistent")
CONTENT = b"Subject: hi\n\nbody\nFrom here\n>From there\n From x\nFrom\nend\n"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def copy(**more: object) -> MailCopy:
    values: dict[str, object] = {
        "sender": "me@client.example",
        "original": "Daemon+x@ours.example",
        "delivered_to": "daemon@ours.example",
        "content": CONTENT,
    }
    return MailCopy(**{**values, **more})  # type: ignore[arg-type]


def deliver(path: Path, message: MailCopy | None = None, rules: MboxRules | None = None, user: Identity = ME) -> str:
    rules = rules or MboxRules(LockRules(attempts=3))
    outcome = deliver_to_mbox(
        str(path), message or copy(), user, rules, in_spool=True, now=NOW, sleep=lambda seconds: None
    )
    return f"{outcome.dsn} {outcome.text}"


EXPECTED = (
    "From me@client.example  Sun Nov 22 16:01:27 2026\n"
    "Return-Path: <me@client.example>\n"
    "X-Original-To: Daemon+x@ours.example\n"
    "Delivered-To: daemon@ours.example\n"
    "Subject: hi\n\nbody\n>From here\n>From there\n From x\nFrom\nend\n\n"
)


def test_appends(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    assert deliver(box) == "2.0.0 delivered to mailbox"
    assert deliver(box, copy(content=io.BytesIO(CONTENT))) == "2.0.0 delivered to mailbox"
    assert box.read_text() == EXPECTED * 2
    assert box.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [box]


@pytest.mark.parametrize(
    ("there", "added"), [("From a\n\nHal", "\n\n"), ("From a\nX: y\n", "\n"), ("From a\n\nText\n\n", ""), ("\n", "\n")]
)
def test_after_a_message_that_was_broken_off(tmp_path: Path, there: str, added: str) -> None:
    """As after a power cut: the next message begins with a line of its own, behind an empty one."""
    box = tmp_path / "daemon"
    box.write_text(there)
    assert deliver(box) == "2.0.0 delivered to mailbox"
    assert box.read_text() == there + added + EXPECTED


def test_senders(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    deliver(box, copy(sender=""))
    assert box.read_text().startswith("From MAILER-DAEMON  Sun Nov 22 16:01:27 2026\nReturn-Path: <>\nX-Orig")
    box.unlink()
    deliver(box, copy(sender="a b@x.example", show_original=False))
    assert box.read_text().startswith(
        'From "a b"@x.example  Sun Nov 22 16:01:27 2026\nReturn-Path: <"a b"@x.example>\nDel'
    )


def test_size_limit_leaves_the_mailbox_as_it_was(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    box.write_text("old\n")
    result = deliver(box, rules=MboxRules(size_limit=100))
    assert result == f"5.2.2 cannot update mailbox {box} for user daemon. error writing message: File too large"
    assert box.read_text() == "old\n"


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda box: box.mkdir(), "5.2.0 * cannot open file: Is a directory"),
        (lambda box: box.symlink_to("/dev/null"), "5.2.0 * cannot open file: Too many levels of symbolic links"),
        (os.mkfifo, "5.2.0 * cannot open file: No such device or address"),
        (lambda box: (box.parent / "daemon.lock").touch(), "4.2.0 * unable to create lock file BOX.lock: File exists"),
    ],
)
def test_mailbox_that_is_none(tmp_path: Path, prepare: object, reason: str) -> None:
    box = tmp_path / "daemon"
    prepare(box)  # type: ignore[operator]
    expected = reason.replace("*", f"cannot update mailbox {box} for user daemon.").replace("BOX", str(box))
    assert deliver(box) == expected


def test_hard_links_are_refused(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    box.touch()
    os.link(box, tmp_path / "other")
    assert deliver(box).endswith("cannot open file: file has 2 hard links")


def test_owner(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    box.touch()
    other = Identity("other", os.getuid() + 1, os.getgid(), "/nonexistent")
    if os.getuid() == 0:
        pytest.skip("root delivers as the other one; see test_local_process")
    assert deliver(box, user=other) == (
        f"4.2.0 cannot update mailbox {box} for user other. destination {box} is not owned by recipient"
    )
    assert deliver(box, rules=MboxRules(strict_owner=False), user=other) == "2.0.0 delivered to mailbox"


def test_folder_is_missing(tmp_path: Path) -> None:
    box = tmp_path / "none" / "daemon"
    text = f"unable to create lock file {box}.lock: No such file or directory"
    assert deliver(box) == f"5.2.0 cannot update mailbox {box} for user daemon. {text}"


def test_stale_lock_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / "daemon.lock"
    lock.touch()
    assert deliver(tmp_path / "daemon", rules=MboxRules(LockRules(attempts=2, stale=-5))).startswith("2.0.0")
    assert not lock.exists()


@pytest.mark.parametrize("kind", ["flock", "dotlock"])
def test_waits_for_another_program(tmp_path: Path, kind: str) -> None:
    box = tmp_path / "daemon"
    box.touch()
    lock = tmp_path / "daemon.lock"
    waits = []
    with box.open("ab") as held:
        if kind == "flock":
            fcntl.flock(held, fcntl.LOCK_EX)
        else:
            lock.touch()

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                fcntl.flock(held, fcntl.LOCK_UN)
                lock.unlink(missing_ok=True)

        rules = MboxRules(LockRules(frozenset((kind,)), 5, 7))
        outcome = deliver_to_mbox(str(box), copy(), ME, rules, in_spool=True, now=NOW, sleep=sleep)
    assert (outcome.dsn, waits) == ("2.0.0", [7, 7])


def test_flock_that_is_never_free(tmp_path: Path) -> None:
    box = tmp_path / "daemon"
    with box.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = deliver(box, rules=MboxRules(LockRules(frozenset(("flock",)), 2)))
    text = "unable to lock for exclusive access: Resource temporarily unavailable"
    assert result == f"4.2.0 cannot update mailbox {box} for user daemon. {text}"


def test_status_of_errors() -> None:
    codes = [failure_dsn(number, "5.2.0") for number in (11, 28, 122, 27, 13)]
    assert codes == ["4.2.0", "4.3.0", "5.2.2", "5.2.2", "5.2.0"]
