"""Damage that a start must tell of: nothing is changed, nothing is taken for a new queue."""

import os
from pathlib import Path

import pytest

from gatepost.queue.queue_file import check_queue_file
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
        if not path.name.endswith("-shm") and path.is_file() and path.stat().st_size
    }


def test_a_sound_queue_and_none_at_all(queue: Path, tmp_path: Path) -> None:
    before = contents(queue)
    check_queue_file(queue)
    assert contents(queue) == before
    store = SqliteStore(queue)
    assert store.count() == {"incoming": 1}
    store.close()
    (tmp_path / "new").mkdir()
    check_queue_file(tmp_path / "new")
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
    store = SqliteStore(queue)
    store.close()
    store = SqliteStore(queue, checkpoints=False)
    store.commit(Batch(new=[a_message(2)]))
    for connection in (store._reader, store._writer):
        connection.close()
    said = damaged(queue, kind)
    before = contents(queue)
    with pytest.raises(NotAQueueFile, match=f"{queue}/queue.db.*{said}"):
        check_queue_file(queue)
    with pytest.raises(StoreFailure):
        SqliteStore(queue)
    assert contents(queue) == before


def test_a_file_that_may_not_be_written(queue: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everything; tests/crash/test_store_faults.py does it as mail_owner")
    (queue / "queue.db").chmod(0o400)
    with pytest.raises(NotAQueueFile, match="Permission denied"):
        check_queue_file(queue)
