from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from gatepost.queue.wide_scan import AHEAD, Row, scan


@pytest.fixture
def connect(tmp_path: Path) -> Callable[[], apsw.Connection]:
    def connect() -> apsw.Connection:
        return apsw.Connection(str(tmp_path / "file"))

    with closing(connect()) as connection:
        connection.execute("CREATE TABLE message(id INTEGER PRIMARY KEY)")
    return connect


def put(connect: Callable[[], apsw.Connection], numbers: list[int]) -> None:
    with closing(connect()) as connection, connection:
        connection.executemany("INSERT INTO message VALUES(?)", [(number,) for number in numbers])


def read(connection: apsw.Connection, first: int, last: int) -> list[Row]:
    return connection.execute("SELECT id FROM message WHERE id BETWEEN ? AND ? ORDER BY id", (first, last)).fetchall()


@pytest.mark.parametrize(
    "numbers", [[], [1], [5, 6], list(range(1, 500)), [0, 1, 10**6, 10**6 + 9, 10**6 + 10, 10**12, (1 << 60) - 1]]
)
def test_everything_once_and_in_order(connect: Callable[[], apsw.Connection], numbers: list[int]) -> None:
    put(connect, numbers)
    pages = list(scan(connect, read, 10))
    assert [number for page in pages for (number,) in page] == numbers
    assert all(len(page) <= 10 for page in pages)


def test_it_reads_no_more_than_a_little_ahead(connect: Callable[[], apsw.Connection]) -> None:
    put(connect, list(range(1000)))
    begun: list[int] = []

    def watched(connection: apsw.Connection, first: int, last: int) -> list[Row]:
        begun.append(first)
        return read(connection, first, last)

    pages = scan(connect, watched, 10)
    assert next(pages) == [(number,) for number in range(10)]
    pages.close()  # type: ignore[attr-defined]
    assert len(begun) <= AHEAD + 1


def test_a_failure_ends_it(connect: Callable[[], apsw.Connection]) -> None:
    put(connect, list(range(50)))

    def failing(connection: apsw.Connection, first: int, last: int) -> list[Row]:
        return connection.execute("SELECT nonsense").fetchall()

    with pytest.raises(apsw.SQLError):
        list(scan(connect, failing, 10))
