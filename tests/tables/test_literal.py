import pytest

from gatepost.tables.table import LookupTemporaryFailure
from tests.tables.surroundings import Surroundings


async def test_inline(world: Surroundings) -> None:
    table = world.tables.open('inline:{a=b, {c = d e}, {"x y"=z} A=last}')
    assert [await table.lookup(key) for key in ("a", "C", '"x y"', "q")] == ["last", "d e", "z", None]
    assert table.fixed


async def test_static(world: Surroundings) -> None:
    assert await world.tables.open("static:yes").lookup("anything") == "yes"
    assert await world.tables.open("static:{ two words }").lookup("") == "two words"


async def test_environ() -> None:
    table = Surroundings(environ={"foo": "x", "UPPER": "y"}).tables.open("environ:any")
    assert await table.lookup("FOO") == "x"
    assert await table.lookup("UPPER") is None  # as in Postfix: the key is folded, the variable is not


async def test_fail(world: Surroundings) -> None:
    with pytest.raises(LookupTemporaryFailure):
        await world.tables.open("fail:1").lookup("x")
