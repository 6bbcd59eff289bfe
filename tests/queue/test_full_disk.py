"""The disk is full, or fails, at each write in turn: what was acknowledged is there, and what was refused is not."""

import threading
from pathlib import Path

import apsw
import pytest

from gatepost.mail.queue_id import short_queue_id
from gatepost.queue.checkpoint import checkpoint
from gatepost.queue.schema import open_connection
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral, StoreFailure, StoreFull
from tests.queue.messages import a_message
from tests.queue.power_cut_vfs import PowerCutVFS

MOST = 400
"""More writes than there are."""


class FullVFS(PowerCutVFS):
    """From its `steps`th write on there is no space, until `full` is taken back; or each of them fails."""

    error = apsw.SQLITE_FULL

    def step(self) -> None:
        if self.steps is not None:
            self.steps -= 1
            if self.steps < 0:
                raise apsw.exception_for(self.error)


def batches() -> list[Batch]:
    """All kinds of writes: content of several pages, recipients in chunks, marks, removals, numbers."""
    first = [a_message(number, content=b"x" * 9000 + b"\n") for number in range(1, 8)]
    many = a_message(8, recipients=350)
    ids = [message.queue_id for message in first]
    return [
        Batch(new=[*first, many]),
        Batch(deferred=[Deferral(ids[0], 500.0, [(0, "4.4.1", "timeout")])], done=[(many.queue_id, list(range(120)))]),
        Batch(removed=ids[1:4], moved=[(ids[4], "hold")], new=[a_message(9)]),
        Batch(shifted=[60.0], attempt=[(ids[0], 5.0)], expired=[ids[5]]),
    ]


def state(store: SqliteStore) -> dict[str, tuple[str, tuple[int, ...]]]:
    found = {}
    for line in store.listing():
        stored = store.load(line.queue_id)
        assert stored is not None
        found[line.queue_id] = (stored.queue, tuple(stored.open))
    return found


def after(upto: int, folder: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    store = SqliteStore(folder)
    for batch in batches()[:upto]:
        store.commit(batch)
    found = state(store)
    store.close()
    return found


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[str, tuple[int, ...]]]]:
    """What the queue holds after so many batches."""
    return [after(upto, tmp_path_factory.mktemp(f"upto{upto}")) for upto in range(len(batches()) + 1)]


@pytest.mark.parametrize("error", ["full", "io"])
def test_at_each_write(tmp_path: Path, error: str, expected: list[dict[str, tuple[str, tuple[int, ...]]]]) -> None:
    refused = 0
    for at in range(0, MOST, 1 if error == "full" else 3):
        vfs = FullVFS(f"{error}-{at}")
        vfs.error = apsw.SQLITE_FULL if error == "full" else apsw.SQLITE_IOERR_WRITE
        folder = tmp_path / str(at)
        store = SqliteStore(folder, vfs=vfs.name, checkpoints=False)
        mover = open_connection(folder / "queue.db", vfs.name)
        vfs.steps = at
        written = 0
        failed = False
        for batch in batches():
            try:
                store.reserve(5000)
                store.commit(batch)
                written += 1
                checkpoint(mover, threading.Lock())
            except apsw.FullError:
                pass  # the log keeps everything
            except StoreFull:
                assert error == "full"
                refused += 1
                # There is space again: nothing of it was stored, and now all of it is.
                vfs.steps = None
                assert state(store) == expected[written]
                store.commit(batch)
                written += 1
            except (StoreFailure, apsw.Error):
                assert error == "io"
                failed = True
                break
        untouched = vfs.steps is not None and vfs.steps >= 0
        vfs.steps = None
        mover.close()
        store.close()
        later = SqliteStore(folder)
        found = state(later)
        assert later.reserve(1) > 8
        later.close()
        # A batch that nobody was told of may be there.
        assert found in (expected[written], expected[min(written + failed, 4)]), at
        connection = apsw.Connection(str(folder / "queue.db"))
        assert connection.pragma("integrity_check") == "ok"
        connection.close()
        if untouched:
            break
    else:
        raise AssertionError("there are more writes than that")
    assert refused > 10 or error == "io"
    assert short_queue_id(1) in expected[1]
