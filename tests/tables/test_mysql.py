"""`mysql:` tables, asked of a real MariaDB, and compared with Postfix's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.asked import Asked
from tests.tables.database_servers import MariaDb, closing, garbage, silent, strange_server
from tests.tables.postmap import query

SQL = r"""
CREATE TABLE alias (address varchar(100) COLLATE utf8mb4_bin, target varchar(100), number int, day date);
INSERT INTO alias VALUES ('joe@example.com', 'joe', 1, '2020-01-31'), ('list@example.com', 'one@a.example', 2, NULL);
INSERT INTO alias VALUES ('list@example.com', 'two@b.example', 3, NULL), ('o''brien@example.com', 'quote', 4, NULL);
INSERT INTO alias VALUES ('back\\slash@example.com', 'back', 5, NULL), ('empty@example.com', '', 6, NULL);
INSERT INTO alias VALUES ('null@example.com', NULL, 7, NULL), ('jürgen@example.com', 'umlaut', 8, NULL);
INSERT INTO alias VALUES ('%s@example.com', 'percent', 9, NULL), ('a"b@example.com', 'double', 10, NULL);
CREATE PROCEDURE find(IN a varchar(100)) SELECT target FROM alias WHERE address = a COLLATE utf8mb4_bin;
CREATE PROCEDURE nothing(IN a varchar(100)) SET @found = a;
"""

KEYS = (
    r"joe@example.com JOE@Example.COM list@example.com o'brien@example.com back\slash@example.com empty@example.com "
    r'null@example.com %s@example.com a"b@example.com nobody@example.com joe @example.com example.com joe@ '
    r"a'--@example.com joe@mail.example.com \'@example.com"
)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    server = MariaDb()
    try:
        server.create(SQL)
        yield server
    finally:
        server.remove()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    asked = Asked("mysql", tmp_path)
    yield asked
    await asked.close()


def login(server: MariaDb) -> str:
    return f"hosts = inet:127.0.0.1:{server.port}\nuser = mail\npassword = it's\ndbname = mail\n"


@pytest.mark.parametrize(
    "settings",
    [
        "query = SELECT target FROM alias WHERE address = '%s'",
        "query = SELECT target, number, day FROM alias WHERE address = '%s' ORDER BY number",
        "query = SELECT '%s|%u|%d|%S|%U|%D', '%%'",
        "query = SELECT number / 3, number / 3e0, number = 1, day FROM alias WHERE address = '%s' ORDER BY number",
        "query = SELECT '%u'\nresult_format = <%s|%u|%d|%S|%U|%D|%1>",
        "query = SELECT target FROM alias WHERE address = '%s' ORDER BY number\nresult_format = smtp:[%d]",
        "query = SELECT target FROM alias WHERE address = '%s'\ndomain = example.com",
        "query = CALL find('%s')",
        "query = CALL nothing('%s')\nrequire_result_set = no",
        "table = alias\nselect_field = target\nwhere_field = address\nadditional_conditions = AND number < 2",
    ],
)
async def test_as_postfix(mariadb: MariaDb, asked: Asked, tmp_path: Path, settings: str) -> None:
    table = asked.open(login(mariadb) + settings + "\n")
    theirs, warnings = query(tmp_path, table.name, KEYS.split())
    mine = {key: value for key in KEYS.split() if (value := await table.lookup(key)) is not None}
    assert mine == theirs
    ours = [text for text in asked.world.take_warnings() if "empty" in text]
    assert ours == [text.replace('"mysql:mysql:', '"mysql:') for text in warnings if "empty" in text]


async def test_utf8(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT target FROM alias WHERE address = '%s'")
    assert await table.lookup("JÜRGEN@example.com") == "umlaut"
    assert table.fixed


async def test_without_backslash_escapes(mariadb: MariaDb, asked: Asked) -> None:
    mariadb.sql("SET GLOBAL sql_mode = 'NO_BACKSLASH_ESCAPES'")
    try:
        table = asked.open(login(mariadb) + "query = SELECT target FROM alias WHERE address = '%s'")
        assert await table.lookup("back\\slash@example.com") == "back"
        assert await table.lookup("o'brien@example.com") == "quote"
        assert await table.lookup("\\' OR 1=1 -- @example.com") is None
    finally:
        mariadb.sql("SET GLOBAL sql_mode = ''")


async def test_result_that_is_not_utf8(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT x'ff' WHERE '%s' = 'bad' UNION SELECT '%s'")
    assert await table.lookup("good") == "good"
    with pytest.raises(LookupTemporaryFailure, match="not UTF-8"):
        await table.lookup("bad")
    assert await table.lookup("good") == "good"


async def test_no_result_set(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = CALL nothing('%s')")
    with pytest.raises(LookupTemporaryFailure, match="no result set"):
        await table.lookup("joe@example.com")


async def test_two_result_sets(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT '%s'; SELECT 2")
    with pytest.raises(LookupTemporaryFailure, match="multiple result sets"):
        await table.lookup("joe@example.com")


async def test_socket(mariadb: MariaDb, asked: Asked) -> None:
    text = login(mariadb).replace(f"inet:127.0.0.1:{mariadb.port}", f"unix:{mariadb.socket}")
    assert await asked.open(text + "query = SELECT '%u'").lookup("joe@a") == "joe"


async def test_option_file(mariadb: MariaDb, asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/client.cnf").write_text('[client]\nuser = mail\npassword = "it\'s"\n[other]\nuser = nobody\n')
    options = tmp_path / "my.cnf"
    options.write_text(f"# comment\n[mail]\nsocket={mariadb.socket}\ndatabase=mail\n!includedir {tmp_path}/more\n")
    text = f"option_file = {options}\noption_group = mail\nquery = SELECT '%u', DATABASE()"
    assert await asked.open(text).lookup("joe@a") == "joe,mail"


async def test_option_file_is_not_there(asked: Asked) -> None:
    table = asked.open("option_file = /nowhere/my.cnf\nquery = SELECT '%s'")
    assert "open /nowhere/my.cnf: No such file" in asked.world.tables.problems()[0].text
    with pytest.raises(LookupTemporaryFailure):
        await table.lookup("joe@a")


async def test_tls(mariadb: MariaDb, asked: Asked) -> None:
    text = login(mariadb) + "query = SELECT variable_value FROM information_schema.session_status\n"
    text += " WHERE variable_name = 'ssl_cipher'\n"
    assert await asked.open(text, "plain.cf").lookup("joe") is None
    verify = "tls_verify_cert = yes\n"
    trusting = asked.open(f"{text}{verify}tls_CAfile = {mariadb.certificate}\n", "trusting.cf")
    assert "TLS" in (await trusting.lookup("joe") or "")
    with pytest.raises(LookupTemporaryFailure, match="certificate"):
        await asked.open(f"{text}{verify}tls_ciphers = HIGH", "untrusting.cf").lookup("joe")


async def test_certificate_is_not_there(asked: Asked) -> None:
    asked.open("tls_cert_file = /nowhere/cert.pem\nquery = SELECT 1")
    assert "TLS: " in asked.world.tables.problems()[0].text


async def test_wrong_query_and_wrong_password(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT nothing FROM alias WHERE address = '%s'")
    with pytest.raises(LookupTemporaryFailure, match="Unknown column"):
        await table.lookup("joe@example.com")
    table = asked.open(login(mariadb).replace("it's", "its") + "query = SELECT 1", "other.cf")
    with pytest.raises(LookupTemporaryFailure, match="Access denied"):
        await table.lookup("joe@example.com")


async def test_slow_query(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(
        login(mariadb) + "query = SELECT '%u', SLEEP('%d')\ngatepost_timeout = 1\ngatepost_connections = 1"
    )
    with pytest.raises(LookupTemporaryFailure, match="no answer within 1 s"):
        await table.lookup("joe@60")
    assert await table.lookup("joe@0") == "joe,0"


async def test_many_at_once(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT '%u', CONNECTION_ID(), SLEEP(0.01)\ngatepost_connections = 3")
    answers = await asyncio.gather(*(table.lookup(f"u{number}@d") for number in range(30)))
    users, workers = zip(*((answer or "").split(",")[:2] for answer in answers), strict=True)
    assert list(users) == [f"u{number}" for number in range(30)]
    assert len(set(workers)) <= 3


async def test_server_goes_and_comes_back(mariadb: MariaDb, asked: Asked) -> None:
    table = asked.open(login(mariadb) + "query = SELECT '%u'")
    assert await table.lookup("joe@a") == "joe"
    mariadb.stop()
    try:
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@b")
        assert any("connect to mysql server" in text for text in asked.world.take_warnings())
    finally:
        mariadb.start()
    assert await table.lookup("joe@c") == "joe"


@pytest.mark.parametrize("talk", [silent, garbage, closing])
async def test_server_that_is_none(asked: Asked, talk: object) -> None:
    async with strange_server(talk) as port:  # type: ignore[arg-type]
        table = asked.open(f"hosts = 127.0.0.1:{port}\nuser = x\nquery = SELECT '%s'\ngatepost_timeout = 1")
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe@a")


def test_library_missing(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "asyncmy", None)
    with pytest.raises(ConfigError, match=r"pip install 'gatepost\[mysql\]'"):
        asked.open("hosts = x")
