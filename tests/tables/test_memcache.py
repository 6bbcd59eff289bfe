"""`memcache:` tables, asked of a real memcached, and compared with Postfix's."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.asked import Asked
from tests.tables.database_servers import Memcached, closing, garbage, silent, strange_server
from tests.tables.postmap import query

KEYS = "joe@example.com JOE@example.com ann nobody@example.com example.com @example.com joe@a.b %s joe+x@example.com"


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    server = Memcached()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    asked = Asked("memcache", tmp_path)
    yield asked
    await asked.close()


def put(server: Memcached, **values: str) -> None:
    assert server.talk("flush_all\r\n") == "OK\r\n"
    for key, value in values.items():
        key = key.replace("_at_", "@").replace("_", ":")
        assert server.talk(f"set {key} 0 0 {len(value)}\r\n{value}\r\n") == "STORED\r\n"


def here(server: Memcached) -> str:
    return f"memcache = inet:127.0.0.1:{server.port}\nretry_pause = 1\nmax_try = 1\n"


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "key_format = table:%s",
        "key_format = table:%u",
        "key_format = table:%D",
        "key_format = %2.%1",
        "domain = example.com",
        "backup = inline:{ann=other, nobody@example.com=somebody}",
        "backup = inline:{ann=other, nobody@example.com=somebody}\nkey_format = other:%s",
    ],
)
async def test_as_postfix(memcached: Memcached, asked: Asked, tmp_path: Path, settings: str) -> None:
    values = {"joe_at_example.com": "one two", "ann": "three", "table_joe": "four", "table_example.com": "five"}
    values |= {"example.com": "six", "table_ann": "seven", "a.b": "eight"}
    table = asked.open(here(memcached) + settings)
    put(memcached, **values)
    theirs, _ = query(tmp_path, table.name, KEYS.split())
    put(memcached, **values)
    mine = {key: value for key in KEYS.split() if (value := await table.lookup(key)) is not None}
    assert mine == theirs
    assert table.fixed


async def test_what_the_backup_finds_is_put_into_the_memcache(memcached: Memcached, asked: Asked) -> None:
    put(memcached)
    table = asked.open(here(memcached) + "backup = inline:{joe=x}\nkey_format = t:%s\nflags = 5\nttl = 60")
    assert await table.lookup("Joe") == "x"
    assert memcached.talk("get t:joe\r\n") == "VALUE t:joe 5 1\r\nx\r\nEND\r\n"


async def test_keys_that_no_memcache_holds(memcached: Memcached, asked: Asked) -> None:
    table = asked.open(here(memcached))
    for key in ("a b", "a\r\nflush_all", "x" * 251, "a\0b"):
        assert await table.lookup(key) is None


async def test_sizes(memcached: Memcached, asked: Asked) -> None:
    put(memcached, joe="x" * 20)
    table = asked.open(here(memcached) + "data_size_limit = 19")
    with pytest.raises(LookupTemporaryFailure, match="data_size_limit"):
        await table.lookup("joe")
    table = asked.open(here(memcached) + "line_size_limit = 10", "line.cf")
    with pytest.raises(LookupTemporaryFailure, match="longer than 10"):
        await table.lookup("joe")


async def test_server_goes_and_comes_back(memcached: Memcached, asked: Asked) -> None:
    put(memcached, joe="x")
    table = asked.open(here(memcached))
    with_backup = asked.open(here(memcached) + "backup = inline:{joe=y}", "backup.cf")
    assert await table.lookup("joe") == "x"
    memcached.stop()
    try:
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe")
        assert await with_backup.lookup("joe") == "y"
        assert any("connect to memcache server" in text for text in asked.world.take_warnings())
    finally:
        memcached.start()
    put(memcached, joe="z")
    assert await table.lookup("joe") == "z"


@pytest.mark.parametrize("talk", [silent, garbage, closing])
async def test_server_that_is_none(asked: Asked, talk: object) -> None:
    async with strange_server(talk) as port:  # type: ignore[arg-type]
        table = asked.open(f"memcache = inet:127.0.0.1:{port}\ntimeout = 1\nretry_pause = 1")
        with pytest.raises(LookupTemporaryFailure):
            await table.lookup("joe")


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("memcache = localhost:11211", "invalid transport name: localhost in service: localhost:11211"),
        ("key_format = %q", "% expansion"),
        ("backup = nothing:x", "unsupported dictionary type"),
        ("ttl = -1", "ttl"),
    ],
)
def test_mistakes(asked: Asked, setting: str, what: str) -> None:
    asked.open(setting)
    assert what in asked.world.tables.problems()[0].text
