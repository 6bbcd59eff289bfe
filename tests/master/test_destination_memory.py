"""What is known of destinations outlives the queue manager."""

from pathlib import Path

import pytest

from gatepost.master.destination_memory import INTERVAL, DestinationMemory
from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.nexthops import NexthopHealth
from gatepost.qmgr.rates import Rate, parse_rate
from gatepost.qmgr.scheduler import Scheduler

DAY = 86400.0


class World:
    """A queue manager's scheduler and health, `up` seconds after the host was started at `wall`."""

    def __init__(self, folder: Path, up: float, wall: float = 1e9) -> None:
        self.up, self.wall = up, wall
        self.said: list[str] = []
        self.scheduler = Scheduler(lambda transport: TransportParameters())
        self.health = NexthopHealth(300, ["smtp"], self.clock, self.said.append, self.said.append)
        self.memory = DestinationMemory(
            folder, self.scheduler, self.health, self.clock, lambda: self.up, self.said.append
        )
        self.number = 0

    def clock(self) -> float:
        return self.wall + self.up

    def started(self, destination: str, rate: Rate) -> int:
        """Deliveries that start now, of two that are wanted."""
        for _ in range(2):
            self.number += 1
            self.scheduler.add(str(self.number), "smtp", destination, [0], self.up, rate=rate)
        return len(self.scheduler.next_requests(self.up))


def rate(text: str) -> Rate:
    parsed = parse_rate(text)
    assert parsed is not None
    return parsed


def test_a_rate_holds_after_a_restart(tmp_path: Path) -> None:
    first = World(tmp_path, 100)
    assert first.started("a.example", rate("1000/day")) == 1
    first.memory.save()
    # The host was started anew meanwhile: only the wall clock goes on.
    later = World(tmp_path, 10, 1e9 + 100)
    later.memory.restore()
    assert later.started("a.example", rate("1000/day")) == 0
    assert later.started("b.example", rate("1000/day")) == 1
    wake = later.scheduler.wake_at()
    assert wake is not None and wake == pytest.approx(100 + DAY / 1000 - 100, abs=0.2)
    assert len(later.scheduler.next_requests(wake)) == 1
    assert not later.said


def test_now_and_then_what_waits_long_is_written_if_it_is_new(tmp_path: Path) -> None:
    first = World(tmp_path, 0)
    first.started("a.example", rate("1/day"))
    first.started("b.example", rate("2/min"))
    first.memory.look()
    assert not list(tmp_path.iterdir())
    first.up += INTERVAL
    first.memory.look()
    (file,) = tmp_path.iterdir()
    assert b"a.example" in file.read_bytes() and b"b.example" not in file.read_bytes()
    file.unlink()
    first.up += INTERVAL
    first.memory.look()
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_there_is_nothing(tmp_path: Path) -> None:
    World(tmp_path, 0).memory.save()
    assert not list(tmp_path.iterdir())


def test_sick_next_hops_are_handed_on(tmp_path: Path) -> None:
    first = World(tmp_path, 0)
    first.health.outcome("smtp", [("[a]:25", "refused")])
    first.memory.save()
    later = World(tmp_path, 50)
    later.memory.restore()
    assert later.health.order("smtp", "[a]:25, [b]:25") == "[b]:25, [a]:25"
    # And when it is well, that is handed on as well.
    later.health.outcome("smtp", [("[a]:25", "")])
    later.memory.save()
    last = World(tmp_path, 60)
    last.memory.restore()
    assert not last.health.listing()


@pytest.mark.parametrize("wall", [1e9 - DAY, 1e9 + DAY])
def test_a_clock_that_was_set_costs_one_interval_at_most(tmp_path: Path, wall: float) -> None:
    first = World(tmp_path, 0)
    first.started("a.example", rate("1/h"))
    first.health.outcome("smtp", [("[a]:25", "refused")])
    first.memory.save()
    later = World(tmp_path, 10, wall)
    later.memory.restore()
    later.started("a.example", rate("1/h"))
    later.up += 3601
    assert later.scheduler.next_requests(later.up) or wall > 1e9
    assert all(sick.until <= later.clock() for sick in later.health.listing())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"rates": [["smtp", "a", "soon"]], "sick": []}', b"\xff" * 9])
def test_a_damaged_file_is_told_of(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "destinations").write_bytes(content)
    world = World(tmp_path, 0)
    world.memory.restore()
    (said,) = world.said
    assert said == f"{tmp_path}/destinations: damaged: rates of destinations begin anew"
    assert world.started("a.example", rate("1/h")) == 1
    world.memory.save()
    later = World(tmp_path, 1)
    later.memory.restore()
    assert later.started("a.example", rate("1/h")) == 0


def test_a_file_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    world = World(tmp_path / "gone", 0)
    world.started("a.example", rate("1/h"))
    world.memory.save()
    assert world.said == [f"{tmp_path}/gone/destinations: No such file or directory"]


def test_a_clock_that_was_set_back_by_a_day_stops_nothing_for_a_day(tmp_path: Path) -> None:
    first = World(tmp_path, 100)
    assert first.started("a.example", rate("30/h")) == 1
    first.memory.save()
    later = World(tmp_path, 10, 1e9 - DAY)
    later.memory.restore()
    assert later.started("a.example", rate("30/h")) == 0
    wake = later.scheduler.wake_at()
    assert wake is not None and wake <= 10 + 120
    assert len(later.scheduler.next_requests(wake)) == 1
