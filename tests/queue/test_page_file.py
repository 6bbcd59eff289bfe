"""The pages of a file and its log are those that SQLite sees, and the map tells what each is."""

import os
from pathlib import Path

import apsw
import pytest

from gatepost.queue.log_file import PAGE
from gatepost.queue.page_file import FREE, ROOT, TREE, UNKNOWN, PageFile
from tests.queue.damage import damage, noise, sample, zeros


def test_kinds_and_roots(tmp_path: Path) -> None:
    file = PageFile(sample().copy(tmp_path / "queue"))
    roots = {name: page for page, (name, kind) in sample().pages.items() if kind == "root"}
    assert file.count == len(sample().pages)
    for page, (name, kind) in sample().pages.items():
        is_tree = kind in ("root", "leaf", "internal")
        assert (file.kind(page)[0] in (ROOT, TREE)) == is_tree, (page, name, kind)
        assert file.root(page) == (roots[name] if is_tree else None)
        assert (file.kind(page)[0] == FREE) == (kind in ("free", "map"))
    file.close()


def test_a_map_that_makes_no_sense_is_not_believed(tmp_path: Path) -> None:
    """The list of unused pages tells what it can, the rest is unknown."""
    for how in (noise, zeros):
        path = sample().copy(tmp_path / how.__name__)
        damage(path, 2, how)
        file = PageFile(path)
        for page, (_, kind) in sample().pages.items():
            if page > 2 and page < 822:
                assert file.kind(page) == ((FREE if kind == "free" else UNKNOWN), 0)
                assert file.root(page) is None
        file.close()


def test_a_list_of_unused_pages_that_runs_in_a_circle(tmp_path: Path) -> None:
    path = sample().copy(tmp_path / "queue")
    trunk = int.from_bytes(path.read_bytes()[32:36], "big")
    damage(path, trunk, lambda data, chance: trunk.to_bytes(4, "big") + data[4:])
    damage(path, 2, zeros)
    file = PageFile(path)
    assert file.kind(trunk)[0] == FREE
    file.close()


@pytest.fixture
def logged(tmp_path: Path) -> tuple[Path, apsw.Connection]:
    """Three transactions in the log, each of some pages."""
    path = tmp_path / "queue.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.wal_autocheckpoint(0)
    connection.execute("CREATE TABLE t(content)")
    for octet in range(3):
        connection.execute("INSERT INTO t VALUES(?)", (bytes([octet]) * 10_000,))
    return path, connection


def seen(path: Path) -> tuple[int, bytes]:
    file = PageFile(path)
    pages = b"".join([file.read(page) or b"" for page in range(1, file.count + 1)])
    file.close()
    return len(pages) // PAGE, pages


def by_sqlite(path: Path) -> bytes:
    """The file with its log moved into it."""
    connection = apsw.Connection(str(path))
    connection.execute("SELECT count(*) FROM t").fetchall()
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    return path.read_bytes()


@pytest.mark.parametrize("lost", [0, 1, PAGE, 5 * PAGE, 12 * PAGE])
def test_what_stands_in_the_log(logged: tuple[Path, apsw.Connection], tmp_path: Path, lost: int) -> None:
    """Up to the last transaction that is whole, as SQLite has it after a crash."""
    _, connection = logged
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("queue.db", "queue.db-wal"):
        (copy / name).write_bytes((tmp_path / name).read_bytes())
    connection.close()
    log = copy / "queue.db-wal"
    os.truncate(log, log.stat().st_size - lost)
    count, pages = seen(copy / "queue.db")
    expected = by_sqlite(copy / "queue.db")
    assert (count * PAGE, pages) == (len(expected), expected)


def test_a_log_that_was_begun_anew(logged: tuple[Path, apsw.Connection]) -> None:
    """What stands behind its end is of an earlier one."""
    path, connection = logged
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
    connection.execute("DELETE FROM t WHERE rowid = 1")
    count, pages = seen(path)
    connection.close()
    expected = by_sqlite(path)
    assert (count * PAGE, pages) == (len(expected), expected)


def test_a_log_that_is_none(logged: tuple[Path, apsw.Connection], tmp_path: Path) -> None:
    path, connection = logged
    connection.close()
    file = by_sqlite(path)
    for log in (b"", b"short", b"\xa5" * 9000):
        (tmp_path / "queue.db-wal").write_bytes(log)
        assert seen(path) == (len(file) // PAGE, file)


def test_what_is_not_there(tmp_path: Path) -> None:
    path = sample().copy(tmp_path / "queue")
    os.truncate(path, 10 * PAGE + 100)
    file = PageFile(path)
    assert file.count == len(sample().pages)
    assert file.read(10) is not None
    assert file.read(11) is None and file.read(0) is None and file.read(file.count + 1) is None
    file.close()
    with pytest.raises(FileNotFoundError):
        PageFile(tmp_path / "nothing")
