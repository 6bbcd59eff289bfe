"""The checksums of a log are SQLite's, forwards and backwards, and a log that is sound is never called damaged."""

import os
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.queue.log_file import (
    FRAME,
    PAGE,
    checksum,
    checksum_before,
    follows,
    frames_in,
    heads,
    place,
    read_header,
    refuse_damaged_log,
)
from gatepost.queue.schema import open_connection
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch
from tests.queue.logged import logged
from tests.queue.messages import a_message

WORDS = st.integers(0, 0xFFFFFFFF)


@given(st.binary(max_size=64).map(lambda data: data * 8), st.tuples(WORDS, WORDS), st.sampled_from(["little", "big"]))
def test_backwards(data: bytes, sums: tuple[int, int], order: str) -> None:
    assert checksum_before(data, order, checksum(data, order, sums)) == sums


def test_each_frame_follows_the_one_before() -> None:
    log = os.open(logged().folder / "queue.db-wal", os.O_RDONLY)
    header = read_header(log, 1000)
    assert header is not None and header.sums is not None
    found = heads(log, header.salts, range(frames_in(log)))
    assert list(found) == list(range(logged().ends[-1] + 1))
    sums = header.sums
    for frame, head in found.items():
        assert follows(log, header.order, frame, sums, head)
        assert not follows(log, header.order, frame, (sums[0] ^ 1, sums[1]), head)
        sums = head.sums
    os.close(log)


@pytest.mark.parametrize("content", [b"", b"short", b"\xa5" * 9000, bytes(3 * FRAME)])
def test_a_file_without_frames_is_no_damaged_log(tmp_path: Path, content: bytes) -> None:
    SqliteStore(tmp_path).close()
    (tmp_path / "queue.db-wal").write_bytes(content)
    connection = open_connection(tmp_path / "queue.db")
    refuse_damaged_log(tmp_path / "queue.db", connection)
    connection.close()


def test_a_transaction_that_was_rolled_back(tmp_path: Path) -> None:
    """A large one, which stands in the log in part; the next is shorter, and torn by a power cut."""
    store = SqliteStore(tmp_path, checkpoints=False)
    store.commit(Batch(new=[a_message(number, content=bytes(PAGE)) for number in range(1, 50)]))
    store._writer.execute("PRAGMA cache_size = 5")
    store._writer.execute("BEGIN")
    store._writer.execute("UPDATE message SET envelope = envelope || x'20', content = content || x'20'")
    store._writer.execute("ROLLBACK")
    store.commit(Batch(new=[a_message(100)]))
    before = (tmp_path / "queue.db-wal").read_bytes()
    store.commit(Batch(new=[a_message(101)]))
    accepted, _ = store._writer.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    for connection in (store._reader, store._writer):
        connection.close()
    log = tmp_path / "queue.db-wal"
    assert frames_in_file(log) > accepted + 20
    with log.open("r+b") as opened:  # the frame before the last one never reached the disk
        opened.seek(place(accepted - 2))
        opened.write(before[place(accepted - 2) : place(accepted - 1)])
    store = SqliteStore(tmp_path)
    assert store.count() == {"incoming": 50}
    store.close()


def frames_in_file(log: Path) -> int:
    with log.open("rb") as opened:
        return frames_in(opened.fileno())
