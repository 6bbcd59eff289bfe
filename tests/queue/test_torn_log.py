"""What power cuts leave of a transaction behind the log's end, once and again, is no damage: nobody got `250`."""

from pathlib import Path
from shutil import copytree

import apsw

from gatepost.queue.queue_file import check_queue_file
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch
from tests.queue.logged import in_page
from tests.queue.messages import a_message


def opened(folder: Path) -> SqliteStore:
    assert check_queue_file(folder) == ""
    return SqliteStore(folder, checkpoints=False)


def frames(store: SqliteStore) -> int:
    """That SQLite takes of the log."""
    return int(store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0])


def power_cut(store: SqliteStore, folder: Path, to: Path, frame: int) -> SqliteStore:
    """The queue as it is found after one in the transaction that begins with that frame. The store is closed."""
    copytree(folder, to)
    store.close()
    in_page(to / "queue.db-wal", frame)
    return opened(to)


def numbers(store: SqliteStore) -> list[str]:
    return sorted(listed.queue_id for listed in store.listing())


def test_what_is_left_of_one_is_not_taken_for_more_after_another(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    first.mkdir()
    store = opened(first)
    store.commit(Batch(new=[a_message(1), a_message(2)]))
    begun = frames(store)
    store.commit(Batch(new=[a_message(number, content=b"x" * 9000) for number in range(10, 20)]))
    end = frames(store)
    store = power_cut(store, first, second, begun + 1)
    assert numbers(store) == sorted(a_message(number).queue_id for number in (1, 2))
    store.commit(Batch(new=[a_message(30)]))
    after = frames(store)
    store.commit(Batch(new=[a_message(31)]))
    assert frames(store) < end, "what was left would end behind this"
    store = power_cut(store, second, third, after)
    assert numbers(store) == sorted(a_message(number).queue_id for number in (1, 2, 30))
    store.close()
