"""A start after damage: who is killed in the middle of it, or has no space, loses nothing, and the next one goes on."""

import os
import random
import signal
import sys
from pathlib import Path

import apsw
import pytest

from gatepost.mail.queue_id import short_queue_id
from gatepost.queue import mending, salvage
from gatepost.queue.log_file import PAGE
from gatepost.queue.mending import open_mended
from gatepost.queue.queue_file import SUSPECT, check_queue_file, suspect, suspicions
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, StoreFailure, StoreFull
from tests.queue.damage import (
    DAMAGES,
    HELD,
    LARGE,
    MESSAGES,
    REMOVED,
    SAVED,
    damage,
    everything,
    fill,
    noise,
    queues,
    sample,
    zeros,
)
from tests.queue.messages import a_message

KEPT = MESSAGES - len(REMOVED)


def opened(folder: Path, told: list[str] | None = None) -> SqliteStore:
    return open_mended(
        folder, told.append if told is not None else lambda text: None, on_failure=lambda failure: None, clock=lambda: 0
    )


def beside(folder: Path) -> set[str]:
    """What is kept beside the queue file."""
    return {path.name for path in folder.iterdir() if path.name not in ("content", "queue.db", "queue.db-wal")} - {
        "queue.db-shm"
    }


def test_a_sound_queue_is_left_alone(tmp_path: Path) -> None:
    sample().copy(tmp_path / "queue")
    told: list[str] = []
    store = opened(tmp_path / "queue", told)
    assert everything(store) == sample().messages
    store.close()
    assert told == [] and beside(tmp_path / "queue") == set()


def work(store: SqliteStore) -> None:
    """What a queue manager does: each table and index is read and written."""
    store.due(1e9, MESSAGES)
    store.next_due()
    list(store.listing())
    new = [a_message(1000 + number, content=b"x" * 5000) for number in range(30)]
    names = [message.queue_id for message in new]
    store.commit(Batch(new=new, attempt=[(name, 7.0) for name in sample().messages]))
    store.commit(Batch(removed=names))


PAGES = sorted({page: number for number, page in sample().pages.items() if page != ("message", "overflow")}.items())


@pytest.mark.parametrize(("page", "number"), PAGES, ids=lambda value: "-".join(value) if type(value) is tuple else "")
def test_a_page_of_each_kind(tmp_path: Path, page: tuple[str, str], number: int) -> None:
    """However it shows, after one failure, or some, there is a queue that works, with all that could be read."""
    damage(sample().copy(tmp_path / "queue"), number, zeros)
    failures: list[StoreFailure] = []
    told: list[str] = []
    for attempt in range(4):
        store = open_mended(tmp_path / "queue", told.append, on_failure=failures.append)
        try:
            work(store)
            break
        except StoreFailure:
            assert len(failures) == attempt + 1
        finally:
            store.close()
    store = opened(tmp_path / "queue")
    kept = {name: stored.message for name, stored in everything(store).items()}
    assert kept == {name: stored.message for name, stored in sample().messages.items() if name in kept}
    assert len(kept) >= KEPT - (8 if page == ("message", "leaf") or page[0] == "recipient_chunk" else 0)
    assert len(queues(store)) == KEPT
    store.close()


@pytest.mark.parametrize("kind", ["garbage", "other text", "first page", "cut", "emptied"])
def test_a_file_that_cannot_be_opened(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "queue.db"
    store = fill(tmp_path)
    store.close()
    whole = len(file.read_bytes())
    if kind == "garbage":
        file.write_bytes(os.urandom(20_000))
    elif kind == "other text":
        file.write_text("What is this?\n")
    elif kind == "first page":
        damage(file, 1, zeros)
    elif kind == "cut":
        os.truncate(file, whole // 2)
    else:
        (tmp_path / "queue.db-wal").write_bytes(b"\xa5" * 5000)
        os.truncate(file, 0)
    damaged = file.read_bytes()
    told: list[str] = []
    store = opened(tmp_path, told)
    expected = {"first page": KEPT, "garbage": 0, "other text": 0, "emptied": 0}
    assert len(queues(store)) == expected.get(kind, len(queues(store)))
    assert kind != "cut" or len(queues(store)) > 100
    assert store.reserve(1) > MESSAGES
    work(store)
    store.close()
    assert (tmp_path / "queue.db.damaged-19700101-000000").read_bytes() == damaged
    assert next(line for line in told if "carried over" in line).startswith(
        f"{file}: {len(queues_of(tmp_path))} messages were carried over into a new file; of these "
    )
    assert told[-1] == f"{file} is a new file; the damaged one is kept as {file}.damaged-19700101-000000"
    assert suspicions(tmp_path) == []


def test_a_table_that_is_missing(tmp_path: Path) -> None:
    """By what the file says of itself; its rows are there. So is mail whose large contents are not."""
    folder = tmp_path / "queue"
    connection = apsw.Connection(str(sample().copy(folder)))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_schema WHERE name = 'fresh'")
    connection.close()
    (folder / "content").rename(tmp_path / "away")
    assert "no such table: fresh" in check_queue_file(folder)
    store = opened(folder)
    assert len(everything(store)) == KEPT - len(LARGE)
    store.close()


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_ends_in_a_queue_that_works(tmp_path: Path, seed: int) -> None:
    """After some failures, each of which is told; but for what only a message's own checksum could tell."""
    chance = random.Random(seed)
    file = sample().copy(tmp_path / "queue")
    for _ in range(chance.choice((1, 2, 5))):
        damage(file, chance.choice(list(sample().pages)), chance.choice(DAMAGES), chance.randrange(1000))
    for _ in range(6):
        told: list[StoreFailure] = []
        try:
            store = open_mended(file.parent, lambda text: None, on_failure=told.append)
        except StoreFailure as failure:
            assert suspicions(file.parent) or "not a queue file" in str(failure)
            continue
        try:
            work(store)
            kept = {name: stored.message.content for name, stored in everything(store).items()}
            break
        except StoreFailure:
            assert told
        finally:
            store.close()
    else:
        data = file.read_bytes()
        assert data[68:72] != b"Gate" or data[60:64] != b"\0\0\0\2"  # then it is not taken for ours
        return
    assert kept == {name: stored.message.content for name, stored in sample().messages.items() if name in kept}


def queues_of(folder: Path) -> dict[int, str]:
    store = SqliteStore(folder)
    found = dict(queues(store))
    store.close()
    return found  # type: ignore[return-value]


def test_damage_while_the_log_has_more(tmp_path: Path) -> None:
    """The log is carried over, too, and then kept beside the file it belongs to."""
    store = fill(tmp_path)
    store._writer.wal_checkpoint()
    store.commit(Batch(new=[a_message(1000)]))
    for connection in (store._reader, store._writer):
        connection.close()
    damage(tmp_path / "queue.db", sample().page("waiting", "leaf"), noise)
    suspect(tmp_path, "seen")
    store = opened(tmp_path)
    assert store.load(short_queue_id(1000)) is not None
    assert len(queues(store)) == KEPT + 1
    store.close()
    assert (tmp_path / "queue.db.damaged-19700101-000000-wal").stat().st_size


def test_an_index_that_is_wrong_is_made_anew(tmp_path: Path) -> None:
    """It costs no second file: the damage is in nothing that could not be told from the rest."""
    file = sample().copy(tmp_path / "queue")
    name = short_queue_id(200).encode()
    for number in pages_with(file, "waiting_slot", name):
        damage(file, number, lambda data, chance: data.replace(name, b"X" * len(name)))
    store = opened(tmp_path / "queue")
    with pytest.raises(StoreFailure, match="malformed"):
        store.commit(Batch(attempt=[(short_queue_id(200), 1.0)]))
    store.close()
    told: list[str] = []
    store = opened(tmp_path / "queue", told)
    assert everything(store) == sample().messages
    work(store)
    store.close()
    assert told[1:] == [f"{file}: its index was wrong and was made anew; no mail is lost"]
    assert beside(tmp_path / "queue") == set()


def pages_with(file: Path, table: str, text: bytes) -> list[int]:
    """Those that have it, and those that had it once."""
    data = file.read_bytes()
    return [
        number
        for number, page in sample().pages.items()
        if page[0] == table and text in data[(number - 1) * PAGE : number * PAGE]
    ]


def test_what_comes_again_though_nothing_is_found(tmp_path: Path) -> None:
    """A state that is no Unicode: SQLite does not mind. The second time the rows are looked at one by one."""
    folder = tmp_path / "queue"
    file = sample().copy(folder)
    name = short_queue_id(250).encode()

    def no_unicode(data: bytes, chance: random.Random) -> bytes:
        place = data.find(b"mail.example", data.index(name))
        return data[:place] + b"\xff" + data[place + 1 :] if place >= 0 else data

    for number in pages_with(file, "waiting", name):
        damage(file, number, no_unicode)
    told: list[str] = []
    for expected in ("nothing wrong was found", "carried over"):
        store = opened(folder, told)
        with pytest.raises(StoreFailure, match="utf-8"):
            store.due(1e9, MESSAGES)
        store.close()
        told.clear()
        opened(folder, told).close()
        assert any(expected in line for line in told)
        told.clear()
        opened(folder, told).close()  # and no start looks again for nothing
        assert told == []
    store = opened(folder)
    assert len(store.due(1e9, MESSAGES)) == KEPT - len(HELD) - len(SAVED) - 1
    assert queues(store)[250] == "hold"
    store.close()
    # What even a new file does not help against makes no further ones.
    before = beside(folder)
    for _ in range(3):
        suspect(folder, "again")
        opened(folder).close()
    assert beside(folder) == before | {SUSPECT}


def test_large_contents_without_a_message_are_kept(tmp_path: Path) -> None:
    """Otherwise they would be removed after a day, as what is left of mail that was never acknowledged."""
    folder = tmp_path / "queue"
    damage(sample().copy(folder), sample().page("message", "leaf"), zeros)
    (folder / "content" / short_queue_id(5000)).write_text("of a message that nothing tells of")
    suspect(folder, "seen")
    told: list[str] = []
    opened(folder, told).close()
    kept = folder / "queue.db.damaged-19700101-000000-content"
    assert [path.name for path in kept.iterdir()] == [short_queue_id(5000)]
    assert "1 large contents without a message are in queue.db.damaged-19700101-000000-content" in told[-2]


def test_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told; nothing is changed, no half of a file stays; with space the next start does it."""
    folder = tmp_path / "queue"
    file = sample().copy(folder)
    damage(file, 1, zeros)
    before = file.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(salvage, "_SETTINGS", (*salvage._SETTINGS, "max_page_count = 20"))
        patch.setattr(mending, "_room", lambda folder: None)
        with pytest.raises(StoreFull, match="no space to carry over what can be read"):
            opened(folder)
    assert file.read_bytes() == before
    assert beside(folder) == {SUSPECT}
    store = opened(folder)
    assert everything(store) == sample().messages
    store.close()


def test_a_disk_that_gives_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be well again, so its queue is not taken away."""
    folder = tmp_path / "queue"
    damage(sample().copy(folder), 1, zeros)

    def pread(descriptor: int, length: int, offset: int) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        with pytest.raises(StoreFailure, match="the disk cannot be read; the file was left as it is"):
            opened(folder)
    assert beside(folder) == {SUSPECT}
    store = opened(folder)
    assert everything(store) == sample().messages
    store.close()


STEPS = ("os.rename", "os.remove", "os.link", "os.mkdir", "open")


def killed_after(folder: Path, steps: int) -> bool:
    """In a process of its own that is killed before that step; False if there are not so many."""
    left = steps

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and str(arguments[0]).startswith(str(folder)):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            sys.addaudithook(hook)
            opened(folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_anywhere(tmp_path: Path) -> None:
    """And then once more, here and there."""
    steps, killed = 0, True
    while killed:
        folder = tmp_path / str(steps)
        file = sample().copy(folder)
        (folder / "content" / short_queue_id(5000)).write_text("of no message")
        damage(file, sample().page("message", "root"), zeros)
        before = file.read_bytes()
        suspect(folder, "seen")
        killed = killed_after(folder, steps)
        if steps % 2:
            killed_after(folder, steps // 2)
        store = opened(folder)
        assert everything(store) == sample().messages, steps
        work(store)
        store.close()
        kept = [path for path in folder.iterdir() if path.name.startswith("queue.db.damaged-")]
        assert before in [path.read_bytes() for path in kept if path.is_file()], steps
        assert not any("salvag" in path.name for path in folder.iterdir())
        steps += 1
    assert steps > 10


def test_a_log_without_its_file_is_still_refused(tmp_path: Path) -> None:
    store = fill(tmp_path)
    for connection in (store._reader, store._writer):
        connection.close()
    (tmp_path / "queue.db").rename(tmp_path / "away")
    with pytest.raises(StoreFailure, match="is missing, though it held a queue"):
        opened(tmp_path)
    (tmp_path / "away").rename(tmp_path / "queue.db")
    store = opened(tmp_path)
    assert len(queues(store)) == KEPT
    store.close()


def test_the_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "queue.db"))
    connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    with pytest.raises(StoreFailure, match="not a queue file"):
        opened(tmp_path)
    assert beside(tmp_path) == set()
