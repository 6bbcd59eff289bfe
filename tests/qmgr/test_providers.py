"""Limit groups by the set of MX hosts."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from gatepost.dns.fake import FakeResolver
from gatepost.qmgr.providers import MANY_PENDING, SHORTEST, Providers
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

ZONE = """\
a.example MX 10 mx1.big.example
a.example MX 20 mx2.big.example
b.example MX 5 MX2.big.example
b.example MX 5 mx1.big.example
c.example MX 10 mx1.big.example
d.example MX 10 d.in.many.example
e.example MX 10 e.in.many.example
plain.example A 192.0.2.1
null.example MX 0 .
broken.example SERVFAIL
"""


class World:
    def __init__(self, table: str = "") -> None:
        self.now = 0.0
        self.tasks: list[asyncio.Task[None]] = []
        self.dns = FakeResolver(ZONE)
        tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None))
        maps = tables.maps("gatepost_provider_maps", table)
        self.providers = Providers({"smtp"}, maps, self.dns, lambda: self.now, self.spawn)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))

    async def group(self, nexthop: str, transport: str = "smtp") -> str:
        """What is known once DNS has answered. At first nothing is, and nobody waits."""
        assert self.providers.group(transport, nexthop) == ""
        await asyncio.gather(*self.tasks)
        return self.providers.group(transport, nexthop)


async def test_domains_with_the_same_hosts_are_one_group() -> None:
    world = World()
    first = await world.group("a.example")
    assert first == "mx mx1.big.example mx2.big.example"
    assert await world.group("b.example") == first
    assert await world.group("c.example") == "mx mx1.big.example"


@pytest.mark.parametrize(
    "nexthop",
    ["plain.example", "null.example", "none.example", "broken.example", "[a.example]", "a.example, b.example", "a b:"],
)
async def test_others_are_their_own(nexthop: str) -> None:
    assert await World().group(nexthop) == ""


async def test_other_transports_and_ports() -> None:
    world = World()
    assert await world.group("a.example", "relay") == "" and not world.dns.asked
    assert await world.group("a.example:26") == "mx:26 mx1.big.example mx2.big.example"


async def test_hosts_have_names() -> None:
    world = World("inline:{ {.in.many.example = many}, {mx2.big.example = big} }")
    assert await world.group("d.example") == await world.group("e.example") == "mx many"
    # mx1 is asked for first, and the table has nothing for it.
    assert await world.group("a.example") == "mx big"
    assert await world.group("c.example") == "mx mx1.big.example"


async def test_a_table_that_cannot_tell_makes_no_group() -> None:
    assert await World("fail:x").group("a.example") == ""


async def test_an_answer_grows_old_and_counts_on_while_dns_cannot_tell() -> None:
    world = World()
    known = await world.group("a.example")
    asked = len(world.dns.asked)
    assert world.providers.group("smtp", "a.example") == known and len(world.dns.asked) == asked
    world.dns = world.providers._resolver = FakeResolver("a.example SERVFAIL\n")
    world.now += 10 * 3600
    assert world.providers.group("smtp", "a.example") == known
    await asyncio.gather(*world.tasks)
    assert world.dns.asked == [("a.example", "MX")]
    assert world.providers.group("smtp", "a.example") == known
    world.now += SHORTEST + 1
    world.providers.group("smtp", "a.example")
    await asyncio.gather(*world.tasks)
    assert len(world.dns.asked) == 2


async def test_look_ups_under_way_are_bounded_and_single() -> None:
    world = World()
    for number in range(MANY_PENDING + 50):
        world.providers.group("smtp", f"d{number}.example")
        world.providers.group("smtp", f"d{number}.example")
    assert len(world.tasks) == MANY_PENDING
    await asyncio.gather(*world.tasks)
