import asyncio

import pytest

from gatepost.tables.connection_pool import (
    ConnectionFailure,
    ConnectionPool,
    NoAnswer,
    PoolLimits,
    QuestionFailure,
    Shared,
)
from tests.tables.surroundings import Surroundings


class Line:
    """A connection to one of the hosts of `Lines`."""

    def __init__(self, lines: "Lines", host: str) -> None:
        self.lines = lines
        self.host = host
        self.closed = False

    async def ask(self) -> str:
        if self.closed or self.host in self.lines.down:
            raise ConnectionFailure("gone")
        if self.host in self.lines.refusing:
            raise QuestionFailure("no such column")
        if self.host in self.lines.silent:
            await asyncio.get_running_loop().create_future()
        return self.host

    def close(self) -> None:
        self.closed = True
        self.lines.closed.set()


class Lines:
    """Hosts that can be down, silent, or refuse questions."""

    def __init__(self) -> None:
        self.down: set[str] = set()
        self.silent: set[str] = set()
        self.refusing: set[str] = set()
        self.opened: list[Line] = []
        self.closed = asyncio.Event()

    async def connect(self, host: str) -> Line:
        if host in self.down:
            raise ConnectionFailure("refused")
        line = Line(self, host)
        self.opened.append(line)
        return line

    @property
    def left_open(self) -> list[str]:
        return [line.host for line in self.opened if not line.closed]


def make(
    world: Surroundings, lines: Lines, *hosts: str, timeout: float = 10, connections: int = 2, in_order: bool = False
) -> ConnectionPool[Line]:
    pairs = [(host, host.startswith("unix")) for host in hosts]
    limits = PoolLimits(timeout=timeout, connections=connections)
    return ConnectionPool(world.env, "test", pairs, lines.connect, limits, in_order=in_order)


async def test_a_connection_is_used_again() -> None:
    lines = Lines()
    pool = make(Surroundings(), lines, "a")
    for _ in range(3):
        assert await pool.ask(Line.ask) == "a"
    assert len(lines.opened) == 1
    pool.close()
    assert lines.left_open == []
    assert await pool.ask(Line.ask) == "a"
    pool.close()


async def test_unix_sockets_first_then_by_lot_then_what_is_open() -> None:
    lines = Lines()
    world = Surroundings(choose=max)
    pool = make(world, lines, "b", "c", "unix:/s")
    lines.down = {"unix:/s"}
    assert await pool.ask(Line.ask) == "c"
    lines.down = {"c", "unix:/s"}
    assert await pool.ask(Line.ask) == "b"
    lines.down = set()
    assert await pool.ask(Line.ask) == "b"
    pool.close()


async def test_a_failed_host_is_left_alone_for_a_while() -> None:
    lines = Lines()
    world = Surroundings(choose=min)
    pool = make(world, lines, "a", "b")
    lines.down = {"a", "b"}
    with pytest.raises(NoAnswer, match="connect to test server b: refused"):
        await pool.ask(Line.ask)
    assert len(world.take_warnings()) == 2
    lines.down = set()
    with pytest.raises(NoAnswer, match="lately"):
        await pool.ask(Line.ask)
    assert lines.opened == []
    world.later(61)
    assert await pool.ask(Line.ask) == "a"
    pool.close()


async def test_the_only_host_is_tried_at_once() -> None:
    lines = Lines()
    pool = make(Surroundings(), lines, "a")
    lines.down = {"a"}
    with pytest.raises(NoAnswer):
        await pool.ask(Line.ask)
    lines.down = set()
    assert await pool.ask(Line.ask) == "a"
    pool.close()


async def test_in_order() -> None:
    lines = Lines()
    pool = make(Surroundings(choose=max), lines, "a", "b", in_order=True)
    assert await pool.ask(Line.ask) == "a"
    lines.down = {"a"}
    assert await pool.ask(Line.ask) == "b"
    assert await pool.ask(Line.ask) == "b"
    pool.close()


async def test_an_old_connection_that_broke_is_replaced() -> None:
    lines = Lines()
    world = Surroundings()
    pool = make(world, lines, "a")
    await pool.ask(Line.ask)
    lines.opened[0].closed = True
    assert await pool.ask(Line.ask) == "a"
    assert world.warnings == []
    pool.close()


async def test_a_refused_question_goes_to_the_next_and_costs_no_host() -> None:
    lines = Lines()
    world = Surroundings(choose=min)
    pool = make(world, lines, "a", "b")
    lines.refusing = {"a"}
    for _ in range(2):
        assert await pool.ask(Line.ask) == "b"
        assert len(world.take_warnings()) == 1
    lines.refusing = {"a", "b"}
    with pytest.raises(NoAnswer, match="test query failed: no such column"):
        await pool.ask(Line.ask)
    assert sorted(lines.left_open) == ["a", "b"]
    pool.close()


async def test_silence_closes_the_connection_and_ends() -> None:
    lines = Lines()
    world = Surroundings()
    pool = make(world, lines, "a", timeout=0.05)
    lines.silent = {"a"}
    with pytest.raises(NoAnswer, match=r"no answer within 0.05 s"):
        await pool.ask(Line.ask)
    assert lines.left_open == []
    lines.silent = set()
    assert await pool.ask(Line.ask) == "a"
    pool.close()


async def test_turns() -> None:
    """While all connections are taken others wait, but not for ever."""
    lines = Lines()
    pool = make(Surroundings(), lines, "a", timeout=0.2, connections=1)
    taken, give_back = asyncio.Event(), asyncio.Event()

    async def take(line: Line) -> str:
        taken.set()
        await give_back.wait()
        return "taken"

    first = asyncio.create_task(pool.ask(take))
    await taken.wait()
    second = asyncio.create_task(pool.ask(Line.ask))
    await asyncio.sleep(0)
    assert not second.done()
    give_back.set()
    assert [await first, await second] == ["taken", "a"]
    assert lines.left_open.count("a") == 1
    pool.close()


async def test_nobody_waits_for_ever_for_a_turn() -> None:
    lines = Lines()
    lines.silent = {"a"}
    pool = make(Surroundings(), lines, "a", timeout=0.05, connections=1)
    answers = await asyncio.gather(*(pool.ask(Line.ask) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(answer, NoAnswer) for answer in answers)
    assert any("busy" in str(answer) for answer in answers)


async def test_no_turn_is_lost() -> None:
    """Whoever goes away while he waits, or while he has his turn, leaves it to others."""
    lines = Lines()
    pool = make(Surroundings(), lines, "a", timeout=60, connections=3)
    for gone in range(12):
        asking = [asyncio.create_task(pool.ask(Line.ask)) for _ in range(12)]
        for _ in range(gone // 3):
            await asyncio.sleep(0)
        asking[gone].cancel()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers.count("a") >= 11
    together = asyncio.Barrier(3)

    async def meet(line: Line) -> str:
        await together.wait()
        return line.host

    assert await asyncio.gather(*(pool.ask(meet) for _ in range(6))) == ["a"] * 6
    pool.close()


async def test_idle_connections_are_closed() -> None:
    lines = Lines()
    world = Surroundings()
    pool = ConnectionPool(world.env, "test", [("a", False)], lines.connect, PoolLimits(idle_interval=0.01))
    await pool.ask(Line.ask)
    world.later(1)
    await lines.closed.wait()
    assert pool.hosts[0].idle == []


def test_shared() -> None:
    shared = Shared()
    lines = Lines()
    pool = shared.get(("x", 1), lambda: make(Surroundings(), lines, "a"))
    assert shared.get(("x", 1), lambda: make(Surroundings(), lines, "a")) is pool
    assert shared.get(("x", 2), lambda: make(Surroundings(), lines, "a")) is not pool
    shared.close()
