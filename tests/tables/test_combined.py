import pytest

from gatepost.tables.table import EmptyResult, LookupTemporaryFailure
from tests.tables.surroundings import Surroundings


async def test_pipe(world: Surroundings) -> None:
    table = world.tables.open("pipemap:{inline:{a=b, x=y}, inline:{b=c}}")
    assert await table.lookup("a") == "c"
    assert await table.lookup("x") is None
    assert await table.lookup("nothing") is None
    assert await world.tables.open("pipemap:{inline:{a=}, static:x}").lookup("a") == "x"
    with pytest.raises(EmptyResult):
        await world.tables.open("pipemap:{static:x, inline:{x=}}").lookup("a")
    assert table.fixed
    assert world.tables.open("pipemap:{inline:{a=b}, regexp:{{/x/ y}}}").fixed
    assert not world.tables.open("pipemap:{regexp:{{/x/ y}}, inline:{a=b}}").fixed
    assert world.tables.open("unionmap:{regexp:{{/x/ y}}, inline:{a=b}}").fixed


async def test_union(world: Surroundings) -> None:
    table = world.tables.open("unionmap:{static:one, inline:{a=two}}")
    assert await table.lookup("a") == "one,two"
    assert await table.lookup("b") == "one"
    assert await world.tables.open("unionmap:{inline:{a=b}}").lookup("x") is None
    with pytest.raises(LookupTemporaryFailure):
        await world.tables.open("unionmap:{static:one, fail:x}").lookup("a")


async def test_random() -> None:
    asked: list[list[str]] = []

    def choose(values: list[str]) -> str:
        asked.append(values)
        return values[-1]

    world = Surroundings(choose=choose)
    assert await world.tables.open("randmap:{a, b}").lookup("x") == "b"
    assert asked == [["a", "b"]]
