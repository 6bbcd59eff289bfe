"""What is the durable store's own: files, damage, space, failures. The contract is in test_store.py."""

import contextlib
import itertools
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from gatepost.mail.envelope import Message
from gatepost.mail.queue_id import short_queue_id
from gatepost.queue import reader
from gatepost.queue.queue_file import suspicions
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Deferral, StoreFailure, StoreFull
from tests.queue.damage import MANY, damage, sample, zeros
from tests.queue.messages import a_message
from tests.queue.power_cut_vfs import PowerCutVFS

_names = itertools.count()


@pytest.fixture
def vfs() -> PowerCutVFS:
    return PowerCutVFS(f"faulty-{next(_names)}")


@pytest.fixture
def faulty(tmp_path: Path, vfs: PowerCutVFS) -> Iterator[SqliteStore]:
    store = SqliteStore(tmp_path, vfs=vfs.name, checkpoints=False)
    yield store
    vfs.full = vfs.sync_fails = False
    store.close()


def with_file(folder: Path, number: int, content: bytes) -> Message:
    message = a_message(number, content=content)
    message.content, message.content_file = b"", message.queue_id
    (folder / "content" / message.queue_id).write_bytes(content)
    return message


def alter(folder: Path, statement: str) -> None:
    connection = apsw.Connection(str(folder / "queue.db"))
    connection.set_busy_timeout(10_000)
    connection.execute(statement)
    connection.close()


def test_messages_and_numbers_outlive_the_process(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(Batch(new=[a_message(1), a_message(2, recipients=300)]))
    store.commit(Batch(deferred=[Deferral(short_queue_id(2), 5000.0, [(250, "4.0.0", "x")])]))
    last = store.reserve(10) + 9
    store.close()
    store = SqliteStore(tmp_path)
    assert store.reserve(1) > last
    assert store.count() == {"incoming": 1, "deferred": 1}
    stored = store.load(short_queue_id(2))
    assert stored is not None
    assert (stored.message, stored.reasons) == (a_message(2, recipients=300), {250: ("4.0.0", "x")})
    store.close()


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(Batch(new=[a_message(1)]))
    store.commit(Batch(deferred=[Deferral(short_queue_id(1), 5000.0, warn_sent=True)]))
    store.close()
    alter(tmp_path, "ALTER TABLE waiting RENAME COLUMN flags TO warn_sent; PRAGMA user_version = 1")
    store = SqliteStore(tmp_path)
    stored = store.load(short_queue_id(1))
    assert stored is not None and stored.message.warn_sent and not stored.expire
    store.close()


def test_a_queue_made_anew_does_not_repeat_ids(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "a", clock=lambda: 1.8e9)
    second = SqliteStore(tmp_path / "b", clock=lambda: 1.8e9 + 3600)
    assert second.reserve(1) - first.reserve(1) == 3600
    first.close()
    second.close()


def test_one_sync_per_commit(faulty: SqliteStore, vfs: PowerCutVFS) -> None:
    faulty.commit(Batch(new=[a_message(1)]))
    vfs.syncs.clear()
    faulty.commit(Batch(new=[a_message(number) for number in range(2, 60)], removed=[short_queue_id(1)]))
    deferral = Deferral(short_queue_id(2), 5.0, [(0, "4.0.0", "x")])
    faulty.commit(Batch(deferred=[deferral], done=[(short_queue_id(3), [0])]))
    assert [Path(path).name for path in vfs.syncs] == ["queue.db-wal"] * 2


def test_files_are_private(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "queue")
    store.commit(Batch(new=[a_message(1)]))
    names = sorted(path.name for path in (tmp_path / "queue").iterdir())
    assert names == ["content", "queue.db", "queue.db-shm", "queue.db-wal"]
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "queue").iterdir()} == {0}
    store.close()


def test_without_space_nothing_is_stored_and_the_store_goes_on(faulty: SqliteStore, vfs: PowerCutVFS) -> None:
    faulty.commit(Batch(new=[a_message(1)]))
    vfs.full = True
    with pytest.raises(StoreFull):
        faulty.commit(Batch(new=[a_message(2)], removed=[short_queue_id(1)]))
    assert faulty.count() == {"incoming": 1}
    vfs.full = False
    faulty.commit(Batch(new=[a_message(2)]))
    assert faulty.count() == {"incoming": 2}


def test_a_failed_sync_is_final(faulty: SqliteStore, vfs: PowerCutVFS) -> None:
    faulty.commit(Batch(new=[a_message(1)]))
    vfs.sync_fails = True
    with pytest.raises(StoreFailure):
        faulty.commit(Batch(new=[a_message(2)]))
    vfs.sync_fails = False
    vfs.syncs.clear()
    with pytest.raises(StoreFailure):
        faulty.commit(Batch(new=[a_message(3)]))
    with pytest.raises(StoreFailure):
        faulty.load(short_queue_id(1))
    faulty.close()
    # Not even at the end is anything of it written again.
    assert vfs.syncs == []


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE message SET content = zeroblob(length(content))", "checksum"),
        ("UPDATE message SET content = substr(content, 1, 3)", "3 of 18 octets"),
        ("UPDATE message SET envelope = substr(envelope, 2)", "checksum"),
        ("UPDATE message SET recipients = 102", "101 of 102 recipients"),
        ("DELETE FROM recipient_chunk", "100 of 101 recipients"),
        ("UPDATE message SET envelope = 'text'", "unreadable row"),
    ],
)
def test_a_damaged_message_goes_to_the_corrupt_queue(tmp_path: Path, statement: str, what: str) -> None:
    warnings: list[str] = []
    store = SqliteStore(tmp_path, warnings.append)
    queue_id = short_queue_id(1)
    store.commit(Batch(new=[a_message(1, recipients=101)]))
    alter(tmp_path, statement)
    assert store.load(queue_id) is None
    assert store.due(1e9, 10) == []
    assert store.next_due() is None
    assert len(warnings) == 1
    assert queue_id in warnings[0]
    assert what in warnings[0]
    assert [line.queue for line in store.listing()] in (["corrupt"], ["incoming"])
    # The mark is written with whatever comes next, at the latest when the store is closed.
    store.close()
    store = SqliteStore(tmp_path, warnings.append)
    assert store.count() == {"corrupt": 1}
    assert store.due(1e9, 10) == []
    store.close()


def test_damage_found_by_due_is_reported_once(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = SqliteStore(tmp_path, warnings.append)
    store.commit(Batch(new=[a_message(1), a_message(2)]))
    alter(tmp_path, "UPDATE message SET checksum = 5 WHERE id = 1")
    for _ in range(2):
        assert [one.message.queue_id for one in store.due(1e9, 10)] == [short_queue_id(2)]
    assert len(warnings) == 1
    store.commit(Batch(removed=[short_queue_id(2)]))
    assert store.count() == {"corrupt": 1}
    store.close()


def test_a_start_compares_content_files_and_rows(tmp_path: Path) -> None:
    now = 1.8e9
    store = SqliteStore(tmp_path, clock=lambda: now)
    content = b"x" * 200_000
    messages = [with_file(tmp_path, number, content) for number in range(1, 4)]
    store.commit(Batch(new=messages))
    store.close()
    missing, short, whole = ((tmp_path / "content" / message.content_file) for message in messages)
    missing.unlink()
    short.write_bytes(content[:-1])
    for name, age in (("old", 90_000), ("young", 3600)):
        (tmp_path / "content" / name).touch()
        os.utime(tmp_path / "content" / name, (now - age, now - age))
    os.utime(whole, (now - 90_000, now - 90_000))
    warnings: list[str] = []
    store = SqliteStore(tmp_path, warnings.append, clock=lambda: now)
    assert store.count() == {"corrupt": 2, "incoming": 1}
    assert {path.name for path in (tmp_path / "content").iterdir()} == {"young", short.name, whole.name}
    assert len(warnings) == 2
    store.close()
    # Reported once, kept.
    store = SqliteStore(tmp_path, warnings.append, clock=lambda: now)
    assert store.count() == {"corrupt": 2, "incoming": 1}
    assert len(warnings) == 2
    store.close()


def test_a_content_file_that_vanishes_is_noticed_when_loaded(tmp_path: Path) -> None:
    warnings: list[str] = []
    store = SqliteStore(tmp_path, warnings.append)
    message = with_file(tmp_path, 1, b"x" * 200_000)
    store.commit(Batch(new=[message]))
    Path(store.content_path(message.content_file)).unlink()
    assert store.load(message.queue_id) is None
    assert len(warnings) == 1
    store.close()


def test_another_file_is_not_taken_for_a_queue(tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "queue.db"))
    other.execute("CREATE TABLE precious(x)")
    other.close()
    with pytest.raises(StoreFailure, match="not a queue file"):
        SqliteStore(tmp_path)
    with contextlib.closing(apsw.Connection(str(tmp_path / "queue.db"))) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "queue.db").write_text("This is not a database. " * 100)
    with pytest.raises(StoreFailure):
        SqliteStore(tmp_path / "text")


@pytest.mark.parametrize(
    "index",
    ["waiting_due ON waiting(next_attempt, queue_id)", "waiting_order ON waiting(next_attempt, id, queue_id)"],
)
def test_the_order_of_attempts_of_an_earlier_file_is_made_anew(tmp_path: Path, index: str) -> None:
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        ids = [short_queue_id(number) for number in (3, 1, 2)]
        store.commit(Batch(new=[a_message(number) for number in (3, 1, 2)]))
        store.commit(Batch(moved=[(queue_id, "deferred") for queue_id in ids]))
    alter(tmp_path, f"DROP INDEX waiting_slot; CREATE INDEX {index} WHERE next_attempt IS NOT NULL")
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        assert [one.message.queue_id for one in store.due(1.0, 10)] == [ids[1], ids[2], ids[0]]
    with contextlib.closing(apsw.Connection(str(tmp_path / "queue.db"))) as file:
        indexes = file.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql NOT NULL").fetchall()
    assert indexes == [("waiting_slot",)]


def test_operators_can_read_and_delete_with_sqlite3(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    store.commit(Batch(new=[a_message(1, recipients=150), a_message(2)]))
    store.commit(Batch(deferred=[Deferral(short_queue_id(1), 5000.0, [(0, "4.4.1", "connection timed out")])]))
    query = "SELECT queue_id, queue, sender, recipients, size, reason FROM queue"
    shown = subprocess.run(["sqlite3", tmp_path / "queue.db", query], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines() == [
        f"{short_queue_id(1)}|deferred|sender@example.com|150|18|connection timed out",
        f"{short_queue_id(2)}|incoming|sender@example.com|1|18|",
    ]
    subprocess.run(["sqlite3", tmp_path / "queue.db", ".timeout 10000", "DELETE FROM message WHERE id = 1"], check=True)
    assert store.count() == {"incoming": 1}
    assert store.load(short_queue_id(1)) is None
    store.close()


def test_reading_beside_writing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    written = 0

    def write() -> None:
        nonlocal written
        for number in range(1, 301):
            store.commit(Batch(new=[a_message(number)]))
            written = number

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        before = written
        assert store.count().get("incoming", 0) >= before
        if before:
            assert store.load(short_queue_id(before)) is not None
    writer.join()
    assert len(store.due(1e9, 1000)) == 300
    store.close()


def test_a_message_is_not_stored_without_its_content_file(tmp_path: Path) -> None:
    """A start whose clock had jumped takes a file that is being written for an abandoned one."""
    store = SqliteStore(tmp_path)
    gone, cut, whole = (with_file(tmp_path, number, b"x" * 200_000) for number in range(1, 4))
    Path(store.content_path(gone.content_file)).unlink()
    os.truncate(store.content_path(cut.content_file), 5)
    with pytest.raises(ValueError, match=f"content file {gone.queue_id}: No such file"):
        store.commit(Batch(new=[whole, gone]))
    with pytest.raises(ValueError, match=f"content file {cut.queue_id} has 5 of 200000 octets"):
        store.commit(Batch(new=[cut]))
    store.commit(Batch(new=[whole]))
    assert store.count() == {"incoming": 1}
    store.close()


def test_counts_of_several_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "COUNT_PAGE", 3)
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        store.commit(Batch(new=[a_message(number) for number in range(1, 12)]))
        ids = [short_queue_id(number) for number in range(1, 12)]
        store.commit(
            Batch(moved=[(queue_id, "hold") for queue_id in ids[:5]], deferred=[Deferral(i, 9.0) for i in ids[5:9]])
        )
        assert store.count() == {"hold": 5, "deferred": 4, "incoming": 2}
        assert list(store.count_in_pieces()) == [
            {"incoming": 2},
            {"hold": 3},
            {"hold": 2, "deferred": 1},
            {"deferred": 3},
        ]


def waiting_at(store: SqliteStore, moments: dict[int, float]) -> None:
    """Deferred messages with these numbers and next attempts."""
    store.commit(Batch(new=[a_message(number) for number in moments]))
    reasons = [(0, "4.4.1", "connection timed out")]
    store.commit(Batch(deferred=[Deferral(short_queue_id(number), when, reasons) for number, when in moments.items()]))


def test_what_is_due_is_told_to_the_moment(tmp_path: Path) -> None:
    """Also of messages that are near to one another in the index of what waits."""
    moments = {1: 1003.0, 2: 1001.5, 3: 1001.0, 4: 1030.0, 5: 990.25}
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        waiting_at(store, moments)
        for now in (0.0, 990.25, 1000.0, 1001.0, 1002.0, 1029.9, 2000.0):
            expected = sorted((number for number, when in moments.items() if when <= now), key=moments.__getitem__)
            assert [one.message.queue_id for one in store.due(now, 10)] == [short_queue_id(one) for one in expected]
        gone: set[str] = set()
        for number in sorted(moments, key=moments.__getitem__):
            assert store.next_due(gone) == moments[number]
            gone.add(short_queue_id(number))
        assert store.next_due(gone) is None


def test_mail_that_is_held_has_few_pages_written(tmp_path: Path) -> None:
    """However their attempts are scattered: neighbours in number are neighbours in the index."""
    count = 20_000
    with contextlib.closing(SqliteStore(tmp_path, checkpoints=False)) as store:
        waiting_at(store, {number: 1000.0 + number * 7919 % 40_000 / 1000 for number in range(1, count + 1)})
        log = tmp_path / "queue.db-wal"
        before = log.stat().st_size
        store.commit(Batch(moved=[(short_queue_id(number), "hold") for number in range(5000, 5200)]))
        assert (log.stat().st_size - before) / 4120 < 40


def test_what_is_due_is_found_behind_many_that_are_left_out(tmp_path: Path) -> None:
    """All at one moment, as after a flush: those that are under way stand before the others."""
    with contextlib.closing(SqliteStore(tmp_path)) as store:
        waiting_at(store, dict.fromkeys(range(1, 3001), 1000.0) | {3001: 2000.0})
        active = {short_queue_id(number) for number in range(1, 2701)}
        assert [one.message.queue_id for one in store.due(1000.0, 5, active)] == [
            short_queue_id(number) for number in range(2701, 2706)
        ]
        assert len(store.due(1000.0, 1000, active)) == 300
        assert store.next_due(active) == 1000.0
        assert store.next_due({short_queue_id(number) for number in range(1, 3001)}) == 2000.0


def test_damage_that_is_not_one_message_s_own(tmp_path: Path) -> None:
    """What leads to the messages cannot be read: none of them is taken for corrupt, and the next start is to look."""
    damage(sample().copy(tmp_path / "queue"), sample().page("fresh", "root"), zeros)
    failures: list[StoreFailure] = []
    store = SqliteStore(tmp_path / "queue", on_failure=failures.append)
    for content in (True, False):
        with pytest.raises(StoreFailure, match="malformed"):
            store.load(short_queue_id(1), content=content)
    assert len(failures) == 1 and suspicions(tmp_path / "queue") == ["database disk image is malformed"]
    store.close()


def test_damage_that_is_one_message_s_own(tmp_path: Path) -> None:
    """Its content leads nowhere, or its recipients are no text."""
    file = sample().copy(tmp_path / "queue")
    connection = apsw.Connection(str(file))
    large = connection.execute("SELECT queue_id FROM message WHERE length(content) > 9000 LIMIT 1").get
    many = short_queue_id(MANY[0])
    content = connection.execute("SELECT substr(content, 1, 100) FROM message WHERE queue_id = ?", (large,)).get
    connection.execute("UPDATE recipient_chunk SET recipients = CAST(x'ff' AS TEXT) WHERE id = ?", (MANY[0],))
    connection.close()
    data = file.read_bytes()
    end = data.index(content) // 4096 * 4096 + 4096
    file.write_bytes(data[: end - 4] + b"\x7f\0\0\0" + data[end:])  # the page that it goes on at
    told: list[str] = []
    store = SqliteStore(tmp_path / "queue", told.append)
    assert store.load(large) is None and store.load(many) is None
    assert store.recipients(many, [150]) == {}
    assert [line.partition(":")[0] for line in told] == [large, many]
    store.commit(Batch())
    assert store.load(short_queue_id(2)) is not None
    assert suspicions(tmp_path / "queue") == []
    store.close()
