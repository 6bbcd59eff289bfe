"""Damage in the middle of the write-ahead log: found at the start, told, and no mail behind it is lost unsaid."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import apsw
import pytest

from gatepost.queue.log_file import HEADER, place
from gatepost.queue.mending import open_mended
from gatepost.queue.queue_file import check_queue_file
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, StoreFailure
from tests.queue.damage import everything, queues
from tests.queue.logged import (
    Harm,
    another_page_number,
    in_header,
    in_page,
    in_page_number,
    in_sums,
    logged,
    message_number,
    one_octet,
    overwrite,
    sector,
    whole_frame,
    whole_page,
)
from tests.queue.messages import a_message

HARMS: list[Harm] = [
    in_header, in_page_number, in_sums, another_page_number, in_page, one_octet, whole_page, whole_frame, sector,
]  # fmt: skip
PLACES: dict[str, Callable[[list[int]], int]] = {
    "first": lambda ends: 0,
    "second": lambda ends: 1,
    "commit": lambda ends: ends[3],
    "after a commit": lambda ends: ends[3] + 1,
    "before a commit": lambda ends: ends[8] - 1,
    "middle": lambda ends: ends[-1] // 2,
    "late": lambda ends: ends[-3] - 2,
}


def mended(folder: Path, told: list[str] | None = None) -> SqliteStore:
    return open_mended(
        folder, told.append if told is not None else lambda text: None, on_failure=lambda failure: None, clock=lambda: 0
    )


def judge(folder: Path) -> tuple[int, int, int, int]:
    """Message by message: whole and as it was, on hold, told of as corrupt, and on hold though it was removed."""
    told: list[str] = []
    store = mended(folder, told)
    kept, present = everything(store), dict(queues(store))
    store.close()
    same, held, corrupt = 0, 0, 0
    for name, was in logged().messages.items():
        number = message_number(name)
        if name not in kept:
            assert present.get(number) == "corrupt", f"{name} is lost"
            assert any(line.startswith(f"{name}: damaged message") for line in told)
            corrupt += 1
        else:
            assert kept[name].message == was.message
            if kept[name] == was:
                same += 1
            else:
                assert kept[name].queue == "hold", name
                assert any(line.startswith(f"{name}: what has become") for line in told)
                held += 1
    back = {number: queue for number, queue in present.items() if number in logged().removed}
    assert set(back.values()) <= {"hold", "corrupt"}
    return same, held, corrupt, len(back)


def test_a_sound_log(tmp_path: Path) -> None:
    logged().copy(tmp_path / "queue")
    assert check_queue_file(tmp_path / "queue") == ""
    told: list[str] = []
    store = mended(tmp_path / "queue", told)
    assert everything(store) == logged().messages
    store.close()
    assert told == []


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_frame_in_the_middle(tmp_path: Path, harm: Harm, where: str) -> None:
    """It is had back if only its header is lost; of a lost page newer images may be there; else all is told."""
    log = logged().copy(tmp_path / "queue")
    harm(log, PLACES[where](logged().ends))
    same, held, corrupt, back = judge(tmp_path / "queue")
    if harm in (in_header, in_page_number, in_sums):
        assert (same, held, corrupt, back) == (len(logged().messages), 0, 0, 0)
    assert corrupt <= 4 and held <= 100 and back <= 20


def test_it_is_told_and_kept(tmp_path: Path) -> None:
    """By a start before anything is done, by whoever else would open it, and by the queue manager."""
    folder = tmp_path / "queue"
    log = logged().copy(folder)
    frame = PLACES["middle"](logged().ends)
    in_page(log, frame)
    files = {path: path.read_bytes() for path in (folder / "queue.db", log)}
    ends = sum(end >= frame for end in logged().ends)
    where = f"frame {frame + 1} (octet {place(frame)})"
    said = f"queue.db-wal is damaged: SQLite would drop {ends} transactions from {where} on"
    assert check_queue_file(folder) == f"{folder}/queue.db: {said}"
    for _ in range(2):
        with pytest.raises(StoreFailure) as failed:
            SqliteStore(folder)
        assert str(failed.value) == f"{folder}: {said}"
    assert {path: path.read_bytes() for path in files} == files
    told: list[str] = []
    mended(folder, told).close()
    assert told[0] == f"{folder}/queue.db: {said}: looking through the whole file, which may take some time"
    assert f"queue.db: {len(logged().messages)} messages were carried over into a new file" in told[-2]
    assert {Path(f"{folder}/queue.db.damaged-19700101-000000{end}").read_bytes() for end in ("", "-wal")} == set(
        files.values()
    )
    told.clear()
    assert check_queue_file(folder) == ""
    mended(folder, told).close()
    assert told == []


@pytest.mark.parametrize("length", [1, HEADER, 4096])
def test_the_header(tmp_path: Path, length: int) -> None:
    """SQLite would take the log for an empty one. A sector takes the first frame along."""
    log = logged().copy(tmp_path / "queue")
    overwrite(log, 0, length)
    assert "queue.db-wal is damaged: SQLite would drop 24 transactions from its header on" in check_queue_file(
        tmp_path / "queue"
    )
    same, _, corrupt, back = judge(tmp_path / "queue")
    assert corrupt <= 1 and back <= 3
    assert length == 4096 or same == len(logged().messages)


def test_a_header_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor a frame: SQLite ends there, or fails, and either way the rest is carried over."""
    log = logged().copy(tmp_path / "queue")
    overwrite(log, 0, 4096)
    real, inode = os.pread, log.stat().st_ino

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        if offset < 4096 and os.fstat(descriptor).st_ino == inode:
            raise OSError(5, "Input/output error")
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", pread)
    assert judge(tmp_path / "queue")[2] <= 1


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_the_last_transaction(tmp_path: Path, harm: Harm) -> None:
    """As after a power cut in the middle of it: nobody got 250 for it, so it is dropped without a word."""
    for frame in (logged().ends[-2] + 2, logged().ends[-1]):
        log = logged().copy(tmp_path / f"queue{frame}")
        harm(log, frame)
        untold(log.parent)


def untold(folder: Path) -> int:
    """Nothing is said or copied. How many messages there are."""
    assert check_queue_file(folder) == ""
    told: list[str] = []
    store = mended(folder, told)
    kept = everything(store)
    store.close()
    assert told == [] and not list(folder.glob("queue.db.*"))
    return len(kept)


def test_a_log_that_was_cut(tmp_path: Path) -> None:
    """In the last transaction that is a power cut. Anywhere else there is no telling: nothing stands behind it."""
    ends = logged().ends
    cuts = [place(ends[-1]), place(ends[-1]) + 100, place(ends[-2] + 1), place(ends[5] + 1), place(0), 10, 0]
    found = []
    for cut in cuts:
        log = logged().copy(tmp_path / f"queue{cut}")
        os.truncate(log, cut)
        found.append(untold(log.parent))
    assert found[0] == found[1] == found[2] and found[4] == found[5] == found[6]


def test_one_transaction_behind_the_damage(tmp_path: Path) -> None:
    """Another one had begun: so the one before it was synced, and acknowledged."""
    ends = logged().ends
    for number, cut in enumerate((place(ends[-2] + 3), place(ends[-1] + 1))):
        log = logged().copy(tmp_path / f"queue{number}")
        os.truncate(log, cut)
        in_page(log, ends[-2] - 1)
        assert "SQLite would drop" in check_queue_file(log.parent)
    # The end of the one before it cannot be read, but both have the same pages.
    log = logged().copy(tmp_path / "queue")
    whole_frame(log, ends[-2])
    assert set(logged().pages[ends[-3] + 1 : ends[-2]]) & set(logged().pages[ends[-2] + 1 :])
    assert "SQLite would drop 1 transactions" in check_queue_file(log.parent)
    judge(log.parent)


def test_a_log_that_was_begun_anew(tmp_path: Path) -> None:
    """What stands behind its end is of an earlier turn, and in the file; damage before the end is found."""
    folder = tmp_path / "queue"
    log = logged().copy(folder)
    store = SqliteStore(folder, checkpoints=False)
    store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    names = sorted(name for name, stored in logged().messages.items() if stored.queue == "deferred")[:30]
    for name in names:
        store.commit(Batch(attempt=[(name, 77.0)]))
    expected = everything(store)
    for connection in (store._reader, store._writer):
        connection.close()
    assert untold(copied(folder, tmp_path / "sound")) == len(expected)
    for frame in (0, 10, 20):
        damaged = copied(folder, tmp_path / str(frame))
        in_page(damaged / log.name, frame)
        assert "queue.db-wal is damaged" in check_queue_file(damaged)
        store = mended(damaged)
        kept = everything(store)
        store.close()
        assert set(kept) == set(expected)
        assert {name for name, stored in kept.items() if stored != expected[name]} <= {
            name for name, stored in kept.items() if stored.queue == "hold"
        }


def copied(folder: Path, to: Path) -> Path:
    copytree(folder, to)
    return to


@pytest.mark.parametrize("seed", range(20))
def test_any_damage_of_a_log(tmp_path: Path, seed: int) -> None:
    """Once: each message is whole, on hold, or told of. More than once: no wrong message, and a queue that works."""
    chance = random.Random(seed)
    folder = tmp_path / "queue"
    log = logged().copy(folder)
    times = chance.choice((1, 1, 3))
    for _ in range(times):
        length = chance.choice((1, 24, 512, 4096, 10_000))
        overwrite(log, chance.randrange(place(logged().ends[-2])), length, chance.choice((chance, None)))
    if times == 1:
        judge(folder)
    store = mended(folder)
    for name, stored in everything(store).items():
        assert name not in logged().messages or stored.message == logged().messages[name].message
        assert name in logged().messages or stored.queue == "hold"
    store.commit(Batch(new=[a_message(9999)]))
    store.close()
