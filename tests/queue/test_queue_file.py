"""What a start tells of, refuses, or leaves to the queue manager; nothing is changed, or taken for a new queue."""

import os
from pathlib import Path

import apsw
import pytest

from gatepost.queue.queue_file import SUSPECT, check_queue_file, finish_swap, is_damage, suspect, suspicions
from gatepost.queue.schema import NotAQueueFile
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, StoreFailure
from tests.queue.messages import a_message


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """One message, in the write-ahead log only."""
    store = SqliteStore(tmp_path, checkpoints=False)
    store.commit(Batch(new=[a_message(1)]))
    for connection in (store._reader, store._writer):
        connection.close()
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.endswith("-shm") and path.name != SUSPECT and path.is_file() and path.stat().st_size
    }


def test_a_sound_queue_and_none_at_all(queue: Path, tmp_path: Path) -> None:
    before = contents(queue)
    assert check_queue_file(queue) == ""
    assert contents(queue) == before
    store = SqliteStore(queue)
    assert store.count() == {"incoming": 1}
    store.close()
    (tmp_path / "new").mkdir()
    assert check_queue_file(tmp_path / "new") == ""
    assert list((tmp_path / "new").iterdir()) == []


def damaged(queue: Path, kind: str) -> str:
    path = queue / "queue.db"
    if kind == "emptied":
        os.truncate(path, 0)
        return "is empty, though it held a queue"
    if kind == "missing":
        path.unlink()
        return "is missing, though it held a queue"
    if kind == "header":
        (queue / "queue.db-wal").unlink()  # it has the first page, too
        path.write_bytes(b"\xa5" * 4096)
        return "file is not a database"
    if kind == "not ours":
        (queue / "queue.db-wal").unlink()
        path.write_bytes(path.read_bytes()[:68] + b"else" + path.read_bytes()[72:])
        return "not a queue file of version"
    (queue / "queue.db-wal").unlink()
    os.truncate(path, 5000)
    return "malformed"


@pytest.mark.parametrize("kind", ["emptied", "missing", "header", "not ours", "cut"])
def test_damage(queue: Path, kind: str) -> None:
    """A start tells what the queue manager will mend, and refuses what it could not."""
    store = SqliteStore(queue)
    store.close()
    store = SqliteStore(queue, checkpoints=False)
    store.commit(Batch(new=[a_message(2)]))
    for connection in (store._reader, store._writer):
        connection.close()
    said = damaged(queue, kind)
    before = contents(queue)
    if kind in ("missing", "not ours"):
        with pytest.raises(NotAQueueFile, match=f"{queue}/queue.db.*{said}"):
            check_queue_file(queue)
    else:
        told = check_queue_file(queue)
        assert told.startswith(f"{queue}/queue.db") and said in told
    with pytest.raises(StoreFailure):
        SqliteStore(queue)
    assert contents(queue) == before
    assert bool(suspicions(queue)) == (kind not in ("missing", "not ours"))


def test_a_file_that_may_not_be_written(queue: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everything; tests/crash/test_store_faults.py does it as mail_owner")
    (queue / "queue.db").chmod(0o400)
    with pytest.raises(NotAQueueFile, match="Permission denied"):
        check_queue_file(queue)


def test_suspicions_are_added(tmp_path: Path) -> None:
    assert suspicions(tmp_path) == []
    suspect(tmp_path, "one")
    suspect(tmp_path, "two \udcff")
    assert suspicions(tmp_path) == ["one", "two ?"]
    suspect(tmp_path / "nowhere", "three")


@pytest.mark.parametrize("already", [0, 1, 2, 3])
def test_a_swap_that_was_broken_off(tmp_path: Path, already: int) -> None:
    """Wherever it was: the new file gets the place, the old one and its log are kept together."""
    for name in ("queue.db", "queue.db-wal", "queue.db-shm")[already:]:
        (tmp_path / name).write_text(f"old {name}")
    for name in ("queue.db", "queue.db-wal", "queue.db-shm")[:already]:
        (tmp_path / name.replace("db", "db.damaged-T")).write_text(f"old {name}")
    (tmp_path / "queue.db.salvaged-T").write_text("new")
    assert check_queue_file(tmp_path) == ""
    told: list[str] = []
    finish_swap(tmp_path, told.append)
    finish_swap(tmp_path, told.append)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "queue.db": "new",
        "queue.db.damaged-T": "old queue.db",
        "queue.db.damaged-T-wal": "old queue.db-wal",
        "queue.db.damaged-T-shm": "old queue.db-shm",
    }
    assert told == [f"{tmp_path}/queue.db is a new file; the damaged one is kept as {tmp_path}/queue.db.damaged-T"]


def test_what_damage_is() -> None:
    def failed(code: int) -> Exception:
        return apsw.exception_for(code)

    assert all(is_damage(failed(code)) for code in (apsw.SQLITE_CORRUPT, apsw.SQLITE_NOTADB, apsw.SQLITE_IOERR_READ))
    others = (apsw.SQLITE_FULL, apsw.SQLITE_BUSY, apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_WRITE)
    assert not any(is_damage(failed(code)) for code in others)
