"""The keys of gatepost_destination_rates, and what counts while the tables cannot tell."""

import pytest

from gatepost.qmgr.destination_rates import REMEMBERED, DestinationRates
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class Given:
    fixed = True
    name = "hash:rates"

    def __init__(self, rates: dict[str, str]) -> None:
        self.rates = rates
        self.asked: list[str] = []
        self.broken = False

    async def lookup(self, key: str) -> str | None:
        if self.broken:
            raise LookupTemporaryFailure("hash:rates", "gone")
        self.asked.append(key)
        return self.rates.get(key)


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.warnings: list[str] = []
        self.table = Given({})
        maps = Maps("gatepost_destination_rates", [self.table], self.warnings.append)
        self.rates = DestinationRates(maps, lambda: self.now, self.warnings.append)

    async def interval(self, transport: str, nexthop: str) -> float | None:
        self.now += 2 * REMEMBERED
        rate = await self.rates.find(transport, nexthop)
        return None if rate is None else rate.interval


@pytest.mark.parametrize(
    ("key", "transport", "nexthop", "found"),
    [
        ("example.org", "smtp", "example.org", True),
        ("example.org", "smtp", "EXAMPLE.org", True),
        ("smtp:example.org", "smtp", "example.org", True),
        ("smtp:example.org", "relay", "example.org", False),
        ("[mx.example.org]:25", "smtp", "[mx.example.org]:25", True),
        ("mx.example.org", "smtp", "[mx.example.org]:25", True),
        ("example.org", "smtp", "example.org:2525", True),
        (".example.org", "smtp", "a.b.example.org", True),
        (".example.org", "smtp", "[a.example.org]", True),
        (".example.org", "smtp", "example.org", False),
        (".2.1", "smtp", "[192.0.2.1]", False),
        ("2001:db8::1", "smtp", "[IPv6:2001:db8::1]:25", True),
        ("lmtp:unix:/run/lmtp", "lmtp", "unix:/run/lmtp", True),
        ("unix", "lmtp", "unix:/run/lmtp", False),
        ("smtp:", "smtp", "example.net", True),
        ("*", "smtp", "example.net", True),
        ("*", "retry", "4.3.0 later", False),
    ],
)
async def test_keys(key: str, transport: str, nexthop: str, found: bool) -> None:
    world = World()
    world.table.rates[key] = "2/s"
    assert (await world.interval(transport, nexthop) == 0.5) is found


async def test_where_a_rate_comes_from() -> None:
    world = World()
    world.table.rates[".org"] = "2/s"
    rate = await world.rates.find("smtp", "example.org")
    assert rate is not None and rate.source == "gatepost_destination_rates (hash:rates, .org)"


async def test_answers_are_remembered_and_a_change_is_seen() -> None:
    world = World()
    world.table.rates["a.example"] = "2/s"
    first = await world.rates.find("smtp", "a.example")
    asked = len(world.table.asked)
    assert await world.rates.find("smtp", "a.example") is first and len(world.table.asked) == asked
    world.now += 2 * REMEMBERED
    assert await world.rates.find("smtp", "a.example") is first and len(world.table.asked) > asked
    world.table.rates["a.example"] = "none"
    assert await world.interval("smtp", "a.example") is None


async def test_while_the_table_cannot_tell_the_last_answer_counts() -> None:
    world = World()
    world.table.rates["a.example"] = "2/s"
    assert await world.interval("smtp", "a.example") == 0.5
    world.table.broken = True
    assert await world.interval("smtp", "a.example") == 0.5
    with pytest.raises(LookupTemporaryFailure):
        await world.interval("smtp", "b.example")


async def test_a_bad_rate_is_told_and_is_none() -> None:
    world = World()
    world.table.rates["a.example"] = "quick"
    assert await world.interval("smtp", "a.example") is None
    assert "a.example: bad rate: quick" in world.warnings[0]
