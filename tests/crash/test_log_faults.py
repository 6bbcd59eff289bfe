"""The log of the queue is damaged in its middle, or its file again and again: no mail is lost, and all is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gatepost.queue.log_file import frames_in
from tests.crash.test_store_faults import TO, World, header_overwritten
from tests.queue.logged import Harm, in_header, in_page, sector, whole_frame
from tests.scenarios.server import temporary_folder, until

MESSAGES = 12


@pytest.fixture
def world() -> Iterator[World]:
    with temporary_folder() as folder:
        made = World(folder)
        yield made
        made.stop()


def killed_with_mail(world: World) -> list[str]:
    """Each message was taken in and deferred in transactions of its own, which only the log has."""
    world.peer.replies["RCPT"] = "450 4.2.0 Later"
    world.server.start()
    ids = []
    for number in range(MESSAGES):
        ids.append(world.server.send(f"ann{number}@client.test", TO))
        until(lambda: list(world.queues().values()) == ["deferred"] * len(ids), "the deferred queue")
    world.server.stop(kill=True)
    world.peer.replies.clear()
    return ids


@pytest.mark.parametrize("harm", [in_header, in_page, whole_frame, sector], ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("options", [[], ["--single-process"]], ids=["processes", "single-process"])
def test_the_middle_of_the_log_is_damaged(world: World, harm: Harm, options: list[str], long_form: bool) -> None:
    """What stands behind it was acknowledged: it goes, or waits on hold for somebody to look."""
    if (harm not in (in_header, whole_frame) or options) and not long_form:
        pytest.skip("in the long form only (make faults); see tests/queue/test_log_damage.py")
    ids = killed_with_mail(world)
    log = world.queue / "queue.db-wal"
    with log.open("rb") as opened:
        harm(log, frames_in(opened.fileno()) // 2)
    damaged = log.read_bytes()
    done = world.server.command("start", *options)
    try:
        assert done.stderr.startswith("gatepost start: warning: ")
        assert "queue.db-wal is damaged: SQLite would drop" in done.stderr
        (line,) = world.server.log_lines("messages were carried over")
        found = world.queues()
        assert set(found) == set(ids), line
        assert harm is not in_header or set(found.values()) == {"deferred"}
        assert list(found.values()).count("corrupt") <= 1
        world.server.command("postqueue", "-f")
        if "hold" in found.values():
            world.server.command("postsuper", "-H", "ALL")
        for queue_id in (queue_id for queue_id, queue in found.items() if queue != "corrupt"):
            world.server.wait_log(f"{queue_id}: removed")
        (kept,) = world.queue.glob("queue.db.damaged-*[0-9]")
        assert Path(f"{kept}-wal").read_bytes() == damaged
        world.server.wait_log(f"{world.server.send('next@client.test', TO)}: removed")
    finally:
        world.server.command("stop")
    assert len(world.server.log_lines("looking through the whole file")) == 1


def test_damage_again_and_again(world: World) -> None:
    """There are enough damaged files: nothing is done, and all is there when somebody has seen to it."""
    ids = world.with_deferred_mail()
    file = world.queue / "queue.db"
    kept = [world.queue / f"queue.db.damaged-2026010{number}-000000" for number in range(3)]
    for path in kept:
        path.write_text("of before")
    header_overwritten(file)
    before = world.files()
    said = "queue.db is damaged, and was replaced 3 times within a week"
    world.server.launch()
    world.server.wait_log(rf"postfix/qmgr\[\d+\]: fatal: .*{said}")
    world.server.stop()
    done = world.server.command("start", check=False)
    assert done.returncode == 1 and done.stderr.startswith("gatepost start: fatal: ") and said in done.stderr
    assert world.files() == before
    for path in kept:
        path.unlink()
    world.server.start()
    world.server.command("postqueue", "-f")
    for queue_id in ids:
        world.server.wait_log(f"{queue_id}: removed")
