"""`pgsql:` tables, asked of a real PostgreSQL, and compared with Postfix's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.asked import Asked
from tests.tables.database_servers import Postgres, closing, garbage, silent, strange_server
from tests.tables.postmap import query

SQL = r"""
CREATE TABLE alias (address text, target text, active bool, number int, tags text[]);
INSERT INTO alias VALUES
    ('joe@example.com', 'joe', true, 1, '{a,"b c"}'), ('list@example.com', 'one@a.example', true, 2, '{}'),
    ('list@example.com', 'two@b.example', true, 3, '{}'), ('o''brien@example.com', 'quote', true, 4, '{}'),
    ('back\slash@example.com', 'back', true, 5, '{}'), ('empty@example.com', '', true, 6, '{}'),
    ('null@example.com', NULL, true, 7, '{}'), ('jürgen@example.com', 'umlaut', false, 8, '{}'),
    ('%s@example.com', 'percent', true, 9, '{}'), ('at@@example.com', '@b.example', true, 10, '{}');
GRANT SELECT ON alias TO mail;
CREATE FUNCTION find(text) RETURNS text AS 'SELECT target FROM alias WHERE address = $1' LANGUAGE sql;
"""

KEYS = (
    r"joe@example.com JOE@Example.COM list@example.com o'brien@example.com back\slash@example.com empty@example.com "
    r"null@example.com %s@example.com nobody@example.com joe @example.com example.com joe@ a'--@example.com "
    r"joe@mail.example.com \'@example.com joe@com $joe@example.com at@@example.com joe@a.b.c.d.e.f.g.h.i.j.k"
)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    try:
        server.create(SQL)
        yield server
    finally:
        server.remove()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    asked = Asked("pgsql", tmp_path)
    yield asked
    await asked.close()


def login(server: Postgres) -> str:
    return f"hosts = inet:127.0.0.1:{server.port}\nuser = mail\npassword = it's\ndbname = mail\n"


@pytest.mark.parametrize(
    "settings",
    [
        "query = SELECT target FROM alias WHERE address = '%s'",
        "query = SELECT target, number FROM alias WHERE address = '%s' ORDER BY number",
        "query = SELECT '%s|%u|%d|%S|%U|%D'",
        "query = SELECT '%u %%' WHERE '%u' <> ''",
        "query = SELECT '%1|%2|%3'",
        "query = SELECT '%s'\nresult_format = <%s|%u|%d|%S|%U|%D>",
        "query = SELECT '%s'\nresult_format = %u%%",
        "query = SELECT 'x'\nresult_format = %2.%1",
        "query = SELECT target FROM alias WHERE address = '%s' ORDER BY number\nresult_format = smtp:[%d]",
        "query = SELECT target FROM alias WHERE address = '%s'\ndomain = example.com, b.example",
        "query = SELECT target FROM alias WHERE address = '%s'\ndomain = !example.com, inline:{mail.example.com=x}",
        "query = SELECT active, number, number / 4.0, tags, NULL FROM alias WHERE address = '%s' ORDER BY number",
        "query = SELECT '{1,null,\"NULL\",\"\"}'::text[], '10.0.0.1'::inet, 'ab'::char(4), 1.50::float8, 'ab'::bytea",
        "query = SELECT ROW(1, '%u'), point(1, 2.5), ARRAY[[1, 2], [3, 4]], '2020-01-31'::date, '1 day'::interval",
        "table = alias\nselect_field = target\nwhere_field = address",
        "table = alias\nselect_field = target\nwhere_field = address\nadditional_conditions = AND number < 2",
        "select_function = find",
        "select_function = find\nquery = SELECT 'query counts'",
    ],
)
async def test_as_postfix(postgres: Postgres, asked: Asked, tmp_path: Path, settings: str) -> None:
    table = asked.open(login(postgres) + settings + "\n")
    theirs, warnings = query(tmp_path, table.name, KEYS.split())
    mine = {key: value for key in KEYS.split() if (value := await table.lookup(key)) is not None}
    assert mine == theirs
    assert [text for text in asked.world.take_warnings() if "empty" in text] == [
        text.replace('"pgsql:pgsql:', '"pgsql:') for text in warnings if "empty" in text
    ]


async def test_utf8(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT target FROM alias WHERE address = '%s'")
    assert await table.lookup("JÜRGEN@example.com") == "umlaut"
    assert await table.lookup("a\0b@example.com") is None
    assert table.fixed


async def test_socket_and_uri(postgres: Postgres, asked: Asked) -> None:
    for name, hosts in (
        ("one.cf", f"unix:{postgres.folder}:{postgres.port}"),
        ("three.cf", f"[127.0.0.1]:{postgres.port}"),
        ("two.cf", f"postgresql://mail:it%27s@127.0.0.1:{postgres.port}/mail?sslmode=disable"),
    ):
        table = asked.open(f"hosts = {hosts}\nuser = mail\npassword = it's\ndbname = mail\nquery = SELECT '%u'", name)
        assert await table.lookup("joe@example.com") == "joe"


async def test_tls(postgres: Postgres, asked: Asked) -> None:
    uri = f"postgresql://mail:it%27s@127.0.0.1:{postgres.port}/mail?sslrootcert={postgres.certificate}&sslmode="
    question = "\nquery = SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert await asked.open(f"hosts = {uri}verify-full{question}").lookup("joe") == "t"
    text = f"hosts = {uri}verify-full{question}".replace("/certificate.pem", "/log")
    with pytest.raises(LookupTemporaryFailure):
        await asked.open(text, "untrusted.cf").lookup("joe")


async def test_bad_port(asked: Asked) -> None:
    asked.open("query = SELECT 1\nhosts = inet:db:none")
    assert "line 2: bad port in db:none" in asked.world.tables.problems()[0].text


async def test_expansion_limit(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT target FROM alias WHERE address = '%s'\nexpansion_limit = 1\n")
    assert await table.lookup("joe@example.com") == "joe"
    with pytest.raises(LookupTemporaryFailure, match="expansion limit"):
        await table.lookup("list@example.com")


async def test_backslashes_of_an_old_server(postgres: Postgres, asked: Asked) -> None:
    uri = f"postgresql://mail:it%27s@127.0.0.1:{postgres.port}/mail?options=-c%20standard_conforming_strings%3Doff"
    table = asked.open(f"hosts = {uri}\nquery = SELECT target FROM alias WHERE address = '%s'")
    assert await table.lookup(r"back\slash@example.com") == "back"
    assert await table.lookup(r"\' OR true --@example.com") is None


async def test_wrong_query(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT target FROM nothing WHERE address = '%s'")
    for _ in range(2):
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@example.com")
    assert all("pgsql query failed" in text and '"nothing"' in text for text in asked.world.take_warnings())


async def test_wrong_password(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres).replace("it's", "its") + "query = SELECT '%s'")
    with pytest.raises(LookupTemporaryFailure, match="authentication"):
        await table.lookup("joe@example.com")


async def test_column_of_a_type_without_text(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT '[1,5)'::int4range, '%u'")
    with pytest.raises(LookupTemporaryFailure, match="cast it to text"):
        await table.lookup("joe@example.com")


async def test_slow_query(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(
        login(postgres) + "query = SELECT '%u', pg_sleep('%d')\ngatepost_timeout = 1\ngatepost_connections = 1"
    )
    with pytest.raises(LookupTemporaryFailure, match="no answer within 1 s"):
        await table.lookup("joe@60")
    assert await table.lookup("joe@0") == "joe"


async def test_more_questions_than_connections(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(
        login(postgres) + "query = SELECT '%u', pg_backend_pid(), pg_sleep(0.01)\ngatepost_connections = 3"
    )
    answers = await asyncio.gather(*(table.lookup(f"u{number}@d") for number in range(30)))
    users, workers = zip(*((answer or "").split(",")[:2] for answer in answers), strict=True)
    assert list(users) == [f"u{number}" for number in range(30)]
    assert len(set(workers)) <= 3


async def test_tables_share_connections(postgres: Postgres, asked: Asked) -> None:
    one = asked.open(login(postgres) + "query = SELECT pg_backend_pid(), '%s'\nresult_format = %s")
    two = asked.open(login(postgres) + "query = SELECT '%s', pg_backend_pid()", "two.cf")
    first, second = await one.lookup("x"), await two.lookup("x")
    assert (first or "").split(",") == (second or "").split(",")[::-1]


async def test_server_goes_and_comes_back(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT '%u'")
    assert await table.lookup("joe@a") == "joe"
    postgres.stop()
    try:
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@b")
        assert any("connect to pgsql server" in text for text in asked.world.take_warnings())
    finally:
        postgres.start()
    assert await table.lookup("joe@c") == "joe"


async def test_restart_between_two_questions_is_not_noticed(postgres: Postgres, asked: Asked) -> None:
    table = asked.open(login(postgres) + "query = SELECT '%u'")
    assert await table.lookup("joe@a") == "joe"
    postgres.stop()
    postgres.start()
    assert await table.lookup("joe@b") == "joe"
    assert asked.world.take_warnings() == []


async def test_second_host_answers(postgres: Postgres, asked: Asked) -> None:
    async with strange_server(closing) as port:
        text = login(postgres).replace("hosts =", f"hosts = 127.0.0.1:{port}")
        table = asked.open(text + "query = SELECT '%u'\nidle_interval = 1\nretry_interval = 100")
        for _ in range(8):
            assert await table.lookup("joe@a") == "joe"
    # It is left alone after its first failure; if the lot never fell on it there is none.
    assert len(asked.world.take_warnings()) <= 1


@pytest.mark.parametrize("talk", [silent, garbage, closing])
async def test_server_that_is_none(asked: Asked, talk: object) -> None:
    async with strange_server(talk) as port:  # type: ignore[arg-type]
        table = asked.open(f"hosts = 127.0.0.1:{port}\nuser = x\nquery = SELECT '%s'\ngatepost_timeout = 1")
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@a")


def test_library_missing(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(ConfigError, match=r"pip install 'gatepost\[pgsql\]'"):
        asked.open("hosts = x")
