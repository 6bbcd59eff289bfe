"""`sqlite:` tables, compared with Postfix's."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.asked import Asked
from tests.tables.postmap import query

SQL = r"""
CREATE TABLE alias (address text, target, number real);
INSERT INTO alias VALUES
    ('joe@example.com', 'joe', 1.5), ('list@example.com', 'one@a.example', 2), ('list@example.com', 'two@b.example', 3),
    ('o''brien@example.com', 'quote', 4), ('back\slash@example.com', 'back', 5), ('empty@example.com', '', 6),
    ('null@example.com', NULL, 7), ('%s@example.com', 'percent', 1e10), ('number@example.com', 17, 1e-7),
    ('blob@example.com', x'6162', 0), ('jürgen@example.com', 'umlaut', 9);
"""

KEYS = (
    r"joe@example.com JOE@Example.COM list@example.com o'brien@example.com back\slash@example.com empty@example.com "
    r"null@example.com %s@example.com number@example.com blob@example.com nobody@example.com joe @example.com "
    r"example.com joe@ a'--@example.com joe@mail.example.com"
)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    fill(tmp_path / "db", SQL)
    asked = Asked("sqlite", tmp_path)
    yield asked
    await asked.close()


def fill(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def here(asked: Asked) -> str:
    return f"dbpath = {asked.folder}/db\n"


@pytest.mark.parametrize(
    "settings",
    [
        "query = SELECT target FROM alias WHERE address = '%s'",
        "query = SELECT number, target FROM alias WHERE address = '%s' ORDER BY number",
        "query = SELECT '%s|%u|%d|%S|%U|%D|%%'",
        "query = SELECT '%2 %1'\nresult_format = <%s %U>",
        "query = SELECT target FROM alias WHERE address = '%s'\nresult_format = %d",
        "query = SELECT target FROM alias WHERE address = '%s'\ndomain = example.com",
        "table = alias\nselect_field = target\nwhere_field = address\nadditional_conditions = AND number < 2",
    ],
)
async def test_as_postfix(asked: Asked, tmp_path: Path, settings: str) -> None:
    table = asked.open(here(asked) + settings)
    theirs, warnings = query(tmp_path, table.name, KEYS.split())
    mine = {key: value for key in KEYS.split() if (value := await table.lookup(key)) is not None}
    assert mine == theirs
    ours = [text for text in asked.world.take_warnings() if "empty" in text]
    assert ours == [text.replace('"sqlite:sqlite:', '"sqlite:') for text in warnings if "empty" in text]


async def test_utf8(asked: Asked) -> None:
    table = asked.open(here(asked) + "query = SELECT target FROM alias WHERE address = '%s'")
    assert await table.lookup("JÜRGEN@example.com") == "umlaut"


async def test_new_rows_and_a_new_file_count_at_once(asked: Asked) -> None:
    table = asked.open(here(asked) + "query = SELECT target FROM alias WHERE address = '%s'")
    assert await table.lookup("new") is None
    fill(asked.folder / "db", "INSERT INTO alias VALUES ('new', 'row', 0)")
    assert await table.lookup("new") == "row"
    fill(asked.folder / "other", "CREATE TABLE alias (address, target); INSERT INTO alias VALUES ('new', 'file')")
    (asked.folder / "other").replace(asked.folder / "db")
    assert await table.lookup("new") == "file"


async def test_cannot_tell(asked: Asked) -> None:
    table = asked.open(here(asked) + "query = SELECT nothing FROM alias WHERE address = '%s'")
    with pytest.raises(LookupTemporaryFailure, match="nothing"):
        await table.lookup("joe")
    table = asked.open(here(asked) + "query = SELECT target FROM alias\nexpansion_limit = 3", "limit.cf")
    with pytest.raises(LookupTemporaryFailure, match="expansion limit"):
        await table.lookup("joe")
    table = asked.open(here(asked) + "query = SELECT CAST(x'ff' AS text)", "utf8.cf")
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("joe")
    table = asked.open(here(asked) + "query = DELETE FROM alias", "write.cf")
    with pytest.raises(LookupTemporaryFailure, match=r"read-?only"):
        await table.lookup("joe")


async def test_file_goes_and_comes_back(asked: Asked) -> None:
    table = asked.open(here(asked) + "query = SELECT target FROM alias WHERE address = '%s'")
    (asked.folder / "db").rename(asked.folder / "away")
    with pytest.raises(LookupTemporaryFailure, match="No such file"):
        await table.lookup("joe@example.com")
    (asked.folder / "db").write_bytes(b"this is no database" * 100)
    with pytest.raises(LookupTemporaryFailure, match="not a database"):
        await table.lookup("joe@example.com")
    (asked.folder / "away").replace(asked.folder / "db")
    assert await table.lookup("joe@example.com") == "joe"


async def test_endless_query(asked: Asked) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE '%s' = 'hang') SELECT max(i) FROM n"
    table = asked.open(here(asked) + f"gatepost_timeout = 1\nquery = {endless}")
    hanging = asyncio.create_task(table.lookup("hang"))  # type: ignore[arg-type]
    other = asked.open(f"dbpath = {asked.folder}/./db\nquery = SELECT '%s'", "other.cf")
    assert await other.lookup("joe") == "joe"
    with pytest.raises(LookupTemporaryFailure, match="no answer within 1 s"):
        await hanging
    assert await table.lookup("joe") == "1"


def test_mistakes(asked: Asked) -> None:
    asked.open("query = SELECT 1", "a.cf")
    asked.open("dbpath = x", "b.cf")
    asked.open("dbpath = x\ntable = alias\nselect_field = y", "c.cf")
    problems = [problem.text.rpartition("unavailable. ")[2] for problem in asked.world.tables.problems()]
    assert problems == ["dbpath must be set", "query must be set", "where_field must be set"]
