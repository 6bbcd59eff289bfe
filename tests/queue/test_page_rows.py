"""What SQLite writes is read; what it would never write is no row."""

from pathlib import Path

import apsw
import pytest

from gatepost.queue.log_file import PAGE
from gatepost.queue.page_file import PageFile
from gatepost.queue.page_rows import BadPage, Row, rows_in

VALUES: list[tuple[object, ...]] = [
    (None, 0, 1, -1, 127, -128, 32767, -32768, 1 << 23, -(1 << 31), 1 << 40, -(1 << 47), (1 << 63) - 1),
    (1.5, -0.0, "", "ä€😀", b"", b"\x00\xff"),
    ("x" * 3000, "y"),
    ("x" * 4061, b"y" * 20_000, 7),
    (b"z" * 130_000,),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "queue.db"
    connection = apsw.Connection(str(path))
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    for table, values in enumerate(VALUES):
        names = ", ".join(f"c{column}" for column in range(len(values)))
        marks = ", ".join("?" * len(values))
        connection.execute(f"CREATE TABLE t{table}({names})")
        connection.execute(f"INSERT INTO t{table}(rowid, {names}) VALUES({1 << 7 * table}, {marks})", values)
        if len(values) > 1:
            connection.execute(f"CREATE INDEX i{table} ON t{table}({names})")
    connection.close()
    return path


def rows(path: Path) -> list[Row | None]:
    file = PageFile(path)
    found: list[Row | None] = []
    try:
        for page in range(2, file.count + 1):
            if file.kind(page)[0] in (1, 5):
                data = file.read(page)
                assert data is not None
                found += [row and row._replace(pages=()) for row in rows_in(file, page, data)]
        return found
    finally:
        file.close()


def test_all_that_a_column_can_hold(file: Path) -> None:
    found = rows(file)
    for table, values in enumerate(VALUES):
        assert Row(1 << 7 * table, values, True) in found
        assert len(values) == 1 or Row(None, (*values, 1 << 7 * table), True) in found
    assert len(found) == 2 * len(VALUES) - 1


def test_a_row_whose_end_is_lost(file: Path) -> None:
    """The last row's."""
    data = bytearray(file.read_bytes())
    data[-10 * PAGE : -9 * PAGE] = bytes(PAGE)
    file.write_bytes(data)
    (row,) = [row for row in rows(file) if row is not None and not row.whole]
    (content,) = row.columns
    assert isinstance(content, bytes) and 80_000 < len(content) < 130_000
    assert content.rstrip(b"\0") == content.strip(b"\0").replace(b"\0", b"") and row.number == 1 << 28


@pytest.mark.parametrize("data", [bytes(PAGE), b"\x0d\x00\x00\xff\xff" + bytes(PAGE - 5), b"\xff" * PAGE])
def test_no_page_of_a_tree(file: Path, data: bytes) -> None:
    pages = PageFile(file)
    with pytest.raises(BadPage):
        list(rows_in(pages, 3, data))
    pages.close()


@pytest.mark.parametrize(
    "cell",
    [
        b"\xff" * 9 + b"\x01",  # a length of 64 bits
        b"\x05\x01\x09\x01\x02",  # a header longer than the row
        b"\x03\x01\x02\x06\x00",  # a number of which only the beginning is there
        b"\x05\x01\x02\x13\xff\xff\xff",  # text that is none
        b"\x0c\x01\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\x07\x00",  # a column of 64 bits
        b"\x03\x01\x02\x0a\x00",  # a kind of column that there is not
    ],
)
def test_rows_that_are_none(file: Path, cell: bytes) -> None:
    pages = PageFile(file)
    data = b"\x0d\x00\x00\x00\x01\x00\x00\x00" + (PAGE - len(cell)).to_bytes(2, "big")
    data += bytes(PAGE - len(cell) - len(data)) + cell
    assert list(rows_in(pages, 3, data)) == [None]
    pages.close()
