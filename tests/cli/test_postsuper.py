import io
import os
import pwd
import tempfile
from pathlib import Path

import pytest

from gatepost.queue.store import Batch, Deferral
from tests.cli.stopped_queue import StoppedQueue
from tests.queue.messages import a_message

NEW, DEFERRED, HELD = (a_message(number).queue_id for number in (1, 2, 3))


@pytest.fixture
def queue(stopped: StoppedQueue) -> StoppedQueue:
    fill(stopped)
    return stopped


def fill(queue: StoppedQueue) -> None:
    queue.put(a_message(1), a_message(2), a_message(3, hold=True))
    queue.commit(Batch(deferred=[Deferral(DEFERRED, 5000.0, [(0, "4.0.0", "later")])]))


def test_each_act_on_a_message(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("postsuper", "-H", HELD, "-h", NEW, "-d", DEFERRED) == 0
    assert capsys.readouterr() == (
        "",
        f"postsuper: {DEFERRED}: removed\n"
        f"postsuper: {NEW}: placed on hold\n"
        f"postsuper: {HELD}: released from hold\n"
        "postsuper: Deleted: 1 message\n"
        "postsuper: Placed on hold: 1 message\n"
        "postsuper: Released from hold: 1 message\n",
    )
    assert queue.stored() == {NEW: "hold", HELD: "deferred"}
    log = queue.log.read_text().splitlines()
    assert [line.partition("]: ")[2] for line in log][:2] == [f"{DEFERRED}: removed", f"{NEW}: placed on hold"]
    assert f" postfix/postsuper[{os.getpid()}]: Deleted: 1 message" in queue.log.read_text()


def test_expired_and_requeued(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("postsuper", "-e", DEFERRED, "-e", HELD) == 0
    assert queue.run("postsuper", "-f", HELD, "-e", DEFERRED, "-r", NEW) == 0
    assert capsys.readouterr().err == (
        f"postsuper: {DEFERRED}: expired\n"
        f"postsuper: {HELD}: expired\n"
        "postsuper: Force-expired: 2 messages\n"
        f"postsuper: {NEW}: requeued\n"
        f"postsuper: {HELD}: released from hold\n"
        "postsuper: Requeued: 1 message\n"
        "postsuper: Force-expired: 0 messages\n"
        "postsuper: Released from hold: 1 message\n"
    )
    assert queue.stored() == {NEW: "deferred", DEFERRED: "deferred", HELD: "deferred"}


@pytest.mark.parametrize(
    ("arguments", "said", "left"),
    [
        (["-d", "ALL"], "Deleted: 3 messages", {}),
        (["-d", "ALL", "deferred"], "Deleted: 1 message", {NEW: "incoming", HELD: "hold"}),
        (["-h", "ALL"], "Placed on hold: 2 messages", {NEW: "hold", DEFERRED: "hold", HELD: "hold"}),
        (["-h", "ALL", "incoming"], "Placed on hold: 1 message", {NEW: "hold", DEFERRED: "deferred", HELD: "hold"}),
        (["-H", "ALL"], "Released from hold: 1 message", {NEW: "incoming", DEFERRED: "deferred", HELD: "deferred"}),
        (["-d", "ALL", "corrupt"], "Deleted: 0 messages", {NEW: "incoming", DEFERRED: "deferred", HELD: "hold"}),
        (["-e", "ALL"], "Force-expired: 3 messages", {NEW: "incoming", DEFERRED: "deferred", HELD: "hold"}),
        (["-r", "ALL", "hold"], "Requeued: 1 message", {NEW: "incoming", DEFERRED: "deferred", HELD: "deferred"}),
    ],
)
def test_all_messages_are_counted_not_named(
    queue: StoppedQueue, arguments: list[str], said: str, left: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert queue.run("postsuper", *arguments) == 0
    assert capsys.readouterr().err == f"postsuper: {said}\n"
    assert queue.stored() == left


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-h", HELD], "Placed on hold: 0 messages"),
        (["-H", NEW], "Released from hold: 0 messages"),
        (["-d", "ABCDEF0123"], "Deleted: 0 messages"),
        (["-d", NEW, "hold"], "Deleted: 0 messages"),
        (["-d", "ALL", "defer", "bounce", "trace", "flush", "maildrop"], "Deleted: 0 messages"),
        (["-d", "deferred"], "warning: invalid mail queue id: deferred\npostsuper: Deleted: 0 messages"),
        (["-h", "x!"], "warning: invalid mail queue id: x!\npostsuper: Placed on hold: 0 messages"),
        (["-h", "x!", "nosuch"], "warning: invalid mail queue id: x!\npostsuper: Placed on hold: 0 messages"),
        (["-H", HELD, "saved", "deferred"], "Released from hold: 0 messages"),
        (["-r", "x!", "saved"], "warning: invalid mail queue id: x!\npostsuper: Requeued: 0 messages"),
    ],
)
def test_nothing_to_be_done_is_no_failure(
    queue: StoppedQueue, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = queue.stored()
    assert queue.run("postsuper", *arguments) == 0
    assert capsys.readouterr().err == f"postsuper: {said}\n"
    assert queue.stored() == before


def test_names_of_queues_count_from_the_first_queue_id_on(
    queue: StoppedQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert queue.run("postsuper", "-d", "x!", "-d", NEW, "-d", "y!", "nosuch") == 1
    told = "postsuper: warning: invalid mail queue id: x!\npostsuper: fatal: invalid directory name: nosuch\n"
    assert capsys.readouterr().err == told
    assert len(queue.stored()) == 3


def test_what_is_to_be_released_is_on_hold_whatever_else_is_named(
    queue: StoppedQueue, capsys: pytest.CaptureFixture[str]
) -> None:
    assert queue.run("postsuper", "-H", HELD, "-H", NEW, "nosuch", "hold") == 0
    told = f"postsuper: {HELD}: released from hold\npostsuper: Released from hold: 1 message\n"
    assert capsys.readouterr().err == told


def test_queue_ids_on_standard_input(
    queue: StoppedQueue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{NEW}\n\n{HELD}\nnot one\n"))
    assert queue.run("postsuper", "-d", "-") == 0
    assert capsys.readouterr().err == (
        f"postsuper: {NEW}: removed\npostsuper: warning: invalid mail queue id: \npostsuper: {HELD}: removed\n"
        "postsuper: warning: invalid mail queue id: not one\npostsuper: Deleted: 2 messages\n"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-d", "ALL", "nosuch"], "invalid directory name: nosuch"),
        (["-d", NEW, "hold", "nosuch"], "invalid directory name: nosuch"),
        (["-s", "nosuch"], "invalid directory name: nosuch"),
        (["-p", "corrupt"], "invalid directory name: corrupt"),
        (["-S", "saved"], "invalid directory name: saved"),
        (["-r", NEW, "saved"], "invalid directory name: saved"),
        (["-e", "ALL", "saved"], "invalid directory name: saved"),
        (["-H", "ALL", "saved", "hold"], "invalid directory name: saved"),
        (["-f", HELD, "saved", "hold"], "invalid directory name: saved"),
        (["-d"], "argument -d: expected one argument"),
        (["-h", "ALL", "saved"], "invalid directory name: saved"),
        (["-d", "ALL", "-e", "ALL", "saved"], "invalid directory name: saved"),
        (["-d", "--sender", "a@b", "saved"], "invalid directory name: saved"),
        (["-d", NEW, "--sender", "a@b"], "argument -d: either an ID, or options that select"),
        (["-d", "-", "--sender", "a@b"], "argument -d: either an ID, or options that select"),
        (["--sender", "a@b"], "nothing to be done to what is selected: -d, -e, -f, -h, -H or -r?"),
        (["-d", "--sender", ""], "an empty ADDRESS: the null sender is <>"),
        (["-d", "--older-than", "2x"], "--older-than 2x: not a number, with one of s, m, h, d, w behind it"),
        (["-d", "--larger-than", "-1"], "--larger-than -1: not a number, with one of k, m, g behind it"),
    ],
)
def test_what_is_refused(
    queue: StoppedQueue, arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert queue.run("postsuper", *arguments) == 1
    assert capsys.readouterr().err == f"postsuper: fatal: {text}\n"
    assert len(queue.stored()) == 3


@pytest.mark.parametrize(
    ("arguments", "acts", "left"),
    [
        (["-d", "--sender", "sender@example.com", "--reason", "later"], {DEFERRED: "removed"}, [NEW, HELD]),
        (["-d", "--domain", "example.org", "--older-than", "1w", "deferred", "hold"],
         {DEFERRED: "removed", HELD: "removed"}, [NEW]),
        (["-d", "hold", "--older-than", "90"], {HELD: "removed"}, [NEW, DEFERRED]),
        (["-d", "ALL", "--sender", "<>"], {}, [NEW, DEFERRED, HELD]),
        (["-H", "--smaller-than", "1k"], {HELD: "released from hold"}, [NEW, DEFERRED, HELD]),
        (["-d", "--newer-than", "52w"], {}, [NEW, DEFERRED, HELD]),
    ],
)  # fmt: skip
def test_what_is_selected(
    queue: StoppedQueue, arguments: list[str], acts: dict[str, str], left: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert queue.run("postsuper", *arguments) == 0
    said = capsys.readouterr().err.splitlines()
    assert said[:-1] == [f"postsuper: {queue_id}: {past}" for queue_id, past in acts.items()]
    assert said[-1].endswith(f": {len(acts)} message{'' if len(acts) == 1 else 's'}")
    assert list(queue.stored()) == left


def test_without_an_act_the_queue_is_in_order(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    assert queue.run("postsuper") == 0
    assert queue.run("postsuper", "-s", "-p") == 0
    assert capsys.readouterr() == ("", "")


def test_a_queue_that_never_was(queue: StoppedQueue, capsys: pytest.CaptureFixture[str]) -> None:
    (queue.queue / "pid" / "master.pid").unlink()
    assert queue.run("postsuper", "-d", "ALL") == 1
    err = capsys.readouterr().err
    assert f"postsuper: fatal: {queue.queue}: no queue here" in err


@pytest.mark.skipif(os.geteuid() != 0, reason="root only")
def test_root_leaves_no_file_that_mail_owner_cannot_open(capsys: pytest.CaptureFixture[str]) -> None:
    owner = pwd.getpwnam("nobody")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        queue = StoppedQueue(Path(name), owner="nobody")
        for path in (queue.queue, *queue.queue.rglob("*")):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        assert queue.run("postsuper", "-d", "ALL") == 0
        assert (os.geteuid(), os.getegid()) == (0, pwd.getpwuid(0).pw_gid)
        assert {path.owner() for path in queue.queue.rglob("*")} == {"nobody"}
