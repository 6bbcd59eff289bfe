from collections.abc import Callable

import pytest

from gatepost.config.errors import ConfigError
from gatepost.tables.opening import Tables
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure
from tests.tables.surroundings import Surroundings

Write = Callable[..., str]


@pytest.mark.parametrize(
    "spec",
    [
        "nosuchtype:x",
        "nocolon",
        "static:",
        ":x",
        "inline:a=b",
        "inline:{a}",
        "inline:{}",
        "inline:{ {a=b}x }",
        "static:{a",
        "static:{a}b",
        "unix:shadow.byname",
        "randmap:{}",
        "unionmap:static:x",
        "pipemap:{nosuchtype:x}",
        "cidr:{1.2.3.4 x}",
        "pcre:{{/a/ x}y}",
        "proxy:nosuchtype:x",
    ],
)
def test_bad_spec(world: Surroundings, spec: str) -> None:
    with pytest.raises(ConfigError):
        world.tables.open(spec)
    with pytest.raises(ConfigError) as caught:
        world.tables.maps("virtual_alias_maps", spec)
    assert caught.value.parameter == "virtual_alias_maps"


def test_one_table_for_one_name(world: Surroundings) -> None:
    first = world.tables.open("inline:{a=b}")
    assert world.tables.open("inline:{a=b}") is first
    assert world.tables.open("proxy:inline:{a=b}") is first


async def test_missing_file_is_a_temporary_failure(world: Surroundings) -> None:
    for kind in ("texthash", "hash", "cidr", "regexp", "pcre"):
        maps = world.tables.maps("p", f"{kind}:/no/such/file static:x")
        with pytest.raises(LookupTemporaryFailure):
            await maps.find("key")
    assert any("No such file or directory" in text for text in world.warnings)


async def test_index_without_source(world: Surroundings, write: Write) -> None:
    path = write("table.db", "binary").removesuffix(".db")
    with pytest.raises(LookupTemporaryFailure) as caught:
        await world.tables.open(f"hash:{path}").lookup("x")
    assert f"postmap -s hash:{path}" in caught.value.reason


async def test_alias_syntax(world: Surroundings, write: Write) -> None:
    path = write("aliases", "Postmaster: root\nlist: a,\n b\n")
    table = world.tables.open(f"hash:{path}", syntax="aliases")
    assert await table.lookup("postmaster") == "root"
    assert await table.lookup("LIST") == "a, b"
    known = Tables(Surroundings(alias_tables=frozenset({f"hash:{path}"})).env)
    assert await known.maps("local_recipient_maps", f"proxy:hash:{path}").tables[0].lookup("postmaster") == "root"


async def test_empty_results(world: Surroundings) -> None:
    for spec in ("inline:{a=}", "regexp:{{/a/ $$}, {/b/ x}}", "static:{}"):
        table = world.tables.open(spec)
        if spec.startswith("regexp"):
            assert await table.lookup("a") == "$"
            continue
        with pytest.raises(EmptyResult):
            await table.lookup("a")


async def test_maps(world: Surroundings) -> None:
    maps = world.tables.maps("p", "inline:{a=1}, regexp:{{/b/ 2}} inline:{a=3, b=4, c=5}")
    assert maps and len(maps.tables) == 3
    assert not world.tables.maps("p", " , ")
    for key, value, name in (("a", "1", "inline:{a=1}"), ("B", "2", "regexp:{{/b/ 2}}")):
        hit = await maps.find(key)
        assert hit is not None and (hit.value, hit.table, hit.key) == (value, name, key)
    hit = await maps.find_partial("b")
    assert hit is not None and hit.value == "4"
    assert await maps.find("nothing") is None
    assert await maps.find("") is None


async def test_failing_table_stops_the_search(world: Surroundings) -> None:
    maps = world.tables.maps("p", "inline:{a=1} fail:x static:y")
    assert await maps.find("a") is not None
    with pytest.raises(LookupTemporaryFailure):
        await maps.find("b")
    assert world.take_warnings() == ['fail:x lookup error for "b"']
    with pytest.raises(LookupTemporaryFailure):
        await world.tables.maps("alias_maps", "fail:x", syntax="aliases").find("b")
    assert world.take_warnings() == ["fail:x: lookup of 'b' failed"]
    with pytest.raises(LookupTemporaryFailure):
        await world.tables.maps("p", "inline:{a=}").find("a")
    assert world.take_warnings()[0] == "p lookup of a returns an empty string result"


async def test_tables_of_other_layers(world: Surroundings) -> None:
    table = world.tables.open("static:x")
    tables = Tables(Surroundings(openers={"socketmap": lambda spec, name: table}).env)
    assert tables.open("socketmap:unix:/x:y") is table
    assert "socketmap" in tables.types


async def test_each_program_hears_of_its_own_tables(world: Surroundings, write: Write) -> None:
    told: list[str] = []
    mine, other = world.tables, world.tables.logged_by(told.append)
    name = write("shared", "/a/ x\nbad\n")
    assert mine.open(f"pcre:{name}") is other.open(f"pcre:{name}")
    assert (len(world.warnings), told) == (1, [])
    other.open("pipemap:{pcre:" + write("own", "/a/ x\nbad\n") + ", static:y}")
    assert (len(world.warnings), len(told)) == (1, 1)
    with pytest.raises(LookupTemporaryFailure):
        await other.maps("access", "fail:x").find("key")
    assert (len(world.warnings), told[1:]) == (1, ['fail:x lookup error for "key"'])
