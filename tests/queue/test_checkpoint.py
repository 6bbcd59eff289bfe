import os
import threading
from pathlib import Path

import apsw
import pytest

from gatepost.queue import checkpoint
from gatepost.queue.schema import open_connection
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch
from tests.queue.messages import a_message

CONTENT = os.urandom(20_000)


def turn_over(store: SqliteStore, first: int, last: int) -> None:
    """Each number's message replaces the one before."""
    for number in range(first, last):
        store.commit(Batch(new=[a_message(number, content=CONTENT)], removed=[a_message(number - 1).queue_id]))


def test_the_log_starts_over_after_a_checkpoint(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path, checkpoints=False)
    connection = open_connection(tmp_path / "queue.db")
    lock = threading.Lock()
    turn_over(store, 1, 50)
    checkpoint.checkpoint(connection, lock)
    turn_over(store, 50, 60)
    size = (tmp_path / "queue.db-wal").stat().st_size
    for number in range(60, 300, 20):
        checkpoint.checkpoint(connection, lock)
        turn_over(store, number, number + 20)
    # Written over, not cut and not grown.
    assert (tmp_path / "queue.db-wal").stat().st_size == size
    assert not lock.locked()
    connection.close()
    store.close()
    assert (tmp_path / "queue.db-wal").stat().st_size == 0
    assert (tmp_path / "queue.db").stat().st_size < 30 * len(CONTENT)


def test_its_thread_runs_beside_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = threading.Event()
    real = checkpoint.checkpoint

    def watched(*arguments: object) -> None:
        real(*arguments)  # type: ignore[arg-type]
        moved.set()

    monkeypatch.setattr(checkpoint, "checkpoint", watched)
    monkeypatch.setattr(checkpoint, "USUAL_OCTETS", 1_000_000)
    store = SqliteStore(tmp_path)
    turn_over(store, 1, 10)  # about half of it: 55,000 octets a commit
    assert not moved.is_set()
    turn_over(store, 10, 60)
    assert moved.wait(20)
    store.close()


def test_a_log_that_is_too_long_holds_up_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LARGE_OCTETS", 400_000)
    taken = []

    class Lock:
        def __enter__(self) -> None:
            taken.append(True)

        def __exit__(self, *error: object) -> None:
            pass

    store = SqliteStore(tmp_path, checkpoints=False)
    connection = open_connection(tmp_path / "queue.db")
    turn_over(store, 1, 3)
    checkpoint.checkpoint(connection, Lock())  # type: ignore[arg-type]
    assert not taken
    turn_over(store, 3, 40)
    checkpoint.checkpoint(connection, Lock())  # type: ignore[arg-type]
    assert taken
    connection.close()
    store.close()


def test_after_a_large_removal_the_file_becomes_smaller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MANY_REMOVED", 50), ("SPARE_PAGES", 20), ("STEP_PAGES", 64), ("STEP_PAUSE", 0.0)):
        monkeypatch.setattr(checkpoint, name, value)
    small = threading.Event()
    real = checkpoint.too_many_spare

    def watched(connection: apsw.Connection) -> bool:
        if not real(connection):
            small.set()
            return False
        return True

    store = SqliteStore(tmp_path)
    for first in range(1, 101, 20):
        store.commit(Batch(new=[a_message(number, content=CONTENT) for number in range(first, first + 20)]))
    monkeypatch.setattr(checkpoint, "too_many_spare", watched)
    store.commit(Batch(removed=[a_message(number).queue_id for number in range(1, 81)]))
    assert small.wait(20)
    assert store.free() > 0
    assert [line.queue_id for line in store.listing()] == [a_message(number).queue_id for number in range(81, 101)]
    store.close()
    assert (tmp_path / "queue.db").stat().st_size < 55 * len(CONTENT)


def test_what_operators_change_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush of a large queue writes no content, but a page or two per message."""
    moved = threading.Event()
    monkeypatch.setattr(checkpoint, "checkpoint", lambda *arguments: moved.set())
    store = SqliteStore(tmp_path)
    ids = [a_message(number).queue_id for number in range(1, 1001)]
    store.commit(Batch(new=[a_message(number) for number in range(1, 1001)]))
    assert not moved.is_set()
    for when in range(5):
        store.commit(Batch(attempt=[(queue_id, float(when)) for queue_id in ids]))
    assert moved.wait(20)
    store.close()
