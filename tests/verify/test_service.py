"""The verify service on a clock of our own: who is answered what, when, and how many probes that takes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatepost.config.configuration import Configuration
from gatepost.verify.cache import AddressCache
from gatepost.verify.entry import IN_PROGRESS, PROBE_TTL, Entry, Rules, Status
from gatepost.verify.service import Answer, Verifier
from tests.smtpd.world import until

A = "a@x.example"
LONG = 60.0
HOUR, DAY = 3600, 86400
UNKNOWN = Answer("unknown", IN_PROGRESS)
GOOD = Answer("ok", "250 2.1.5 Ok")
BAD = Answer("bad", "no such user")


class World:
    def __init__(self, path: Path | None = None, main_cf: str = "") -> None:
        self.now = 1_800_000_000.0
        self.probes: list[str] = []
        self.delivers = True
        self.at_once: str = ""
        self.cleanups: list[tuple[int, int]] = []
        rules = Rules.of(Configuration.parse(main_cf).settings)
        cache = AddressCache(path, pytest.fail)
        self.verifier = Verifier(rules, cache, self.send, lambda: self.now, self.cleaned, 0)

    async def send(self, address: str) -> bool:
        self.probes.append(address)
        if self.at_once:
            self.verifier.told(address, Status.OK, self.at_once)
        return self.delivers

    def cleaned(self, retained: int, dropped: int) -> None:
        self.cleanups.append((retained, dropped))

    async def ask(self, wait: float = 0.0) -> Answer:
        return await self.verifier.verify(A, wait)

    def good(self) -> None:
        self.verifier.told(A, Status.OK, "250 2.1.5 Ok")

    def bad(self) -> None:
        self.verifier.told(A, Status.BOUNCED, "no such user")


@pytest.fixture(params=["file", "memory"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path / "cache" if request.param == "file" else None)
    yield world
    world.verifier.close()


async def test_first_nothing_is_known_then_the_outcome(world: World) -> None:
    assert await world.ask() == UNKNOWN
    assert await world.ask() == UNKNOWN
    assert world.probes == [A]
    world.bad()
    assert await world.ask() == BAD
    assert world.probes == [A]


async def test_who_waits_is_answered_when_the_probe_has_told(world: World) -> None:
    asked = [asyncio.create_task(world.ask(LONG)) for _ in range(5)]
    await until(lambda: world.probes)
    assert not any(task.done() for task in asked)
    world.good()
    assert await asyncio.gather(*asked) == [GOOD] * 5
    assert world.probes == [A]


async def test_who_has_waited_long_enough_is_answered_so(world: World) -> None:
    assert await world.ask(0.001) == UNKNOWN
    world.good()
    assert await world.ask(LONG) == GOOD


async def test_what_is_known_at_once_is_answered_at_once(world: World) -> None:
    world.at_once = "aliased to multiple recipients"
    assert await world.ask() == Answer("ok", "aliased to multiple recipients")


async def test_a_deferral_is_an_outcome_too(world: World) -> None:
    await world.ask()
    world.verifier.told(A, Status.DEFERRED, "Connection refused")
    assert await world.ask(LONG) == Answer("unknown", "Connection refused")


async def test_refresh_in_the_background(world: World) -> None:
    await world.ask()
    world.good()
    world.now += 7 * DAY + 1
    assert await world.ask(LONG) == GOOD
    assert await world.ask(LONG) == GOOD
    assert world.probes == [A, A]
    world.bad()  # it may pass
    assert await world.ask(LONG) == GOOD
    world.now += PROBE_TTL + 1
    assert await world.ask() == GOOD
    assert world.probes == [A, A, A]
    world.now += 24 * DAY
    assert await world.ask() == UNKNOWN
    world.bad()
    assert await world.ask() == BAD


async def test_a_failure_is_tried_again_and_may_turn_into_a_success(world: World) -> None:
    await world.ask()
    world.bad()
    world.now += 3 * HOUR + 1
    assert await world.ask() == BAD
    world.good()
    assert await world.ask() == GOOD
    assert world.probes == [A, A]


async def test_a_probe_that_is_lost_is_repeated(world: World) -> None:
    await world.ask()
    world.now += PROBE_TTL
    await world.ask()
    assert world.probes == [A]
    world.now += 1
    await world.ask()
    assert world.probes == [A, A]


async def test_a_probe_that_could_not_be_sent_is_sent_with_the_next_question(world: World) -> None:
    world.delivers = False
    assert await world.ask() == UNKNOWN
    world.delivers = True
    assert await world.ask() == UNKNOWN
    assert await world.ask() == UNKNOWN
    assert world.probes == [A, A]


async def test_without_negative_cache() -> None:
    world = World(None, "address_verify_negative_cache = no\n")
    waiting = asyncio.create_task(world.ask(0.05))
    await until(lambda: world.probes)
    assert await world.ask() == UNKNOWN
    assert world.probes == [A]  # one at a time all the same
    world.bad()
    assert await waiting == UNKNOWN
    assert await world.ask() == UNKNOWN
    assert world.probes == [A, A]
    world.good()
    assert await world.ask() == GOOD
    world.verifier.close()


async def test_results_of_a_file_outlive_the_service(tmp_path: Path) -> None:
    world = World(tmp_path / "cache")
    await world.ask()
    world.good()
    world.verifier.close()
    world = World(tmp_path / "cache")
    # A failure of a probe that the earlier one sent: the success in the file is not overruled.
    world.bad()
    assert await world.ask() == GOOD
    assert not world.probes
    world.verifier.close()


async def test_who_waits_at_the_end_is_answered(world: World) -> None:
    waiting = asyncio.create_task(world.ask(LONG))
    await until(lambda: world.probes)
    world.verifier.dismiss()
    assert await waiting == UNKNOWN
    assert await world.ask(LONG) == UNKNOWN


async def test_another_configuration_takes_over(world: World, tmp_path: Path) -> None:
    waiting = asyncio.create_task(world.ask(LONG))
    await until(lambda: world.probes)
    rules = Rules(100, 10, True, 100, 10)
    world.verifier.configure(rules, world.verifier.cache, world.send, world.cleaned, 0)
    world.good()
    assert await waiting == GOOD
    world.now += PROBE_TTL + 1
    assert await world.ask() == UNKNOWN


async def test_the_cache_is_cleaned_in_its_interval(tmp_path: Path) -> None:
    world = World()
    now = 200 * DAY
    cache = AddressCache(tmp_path / "cache", pytest.fail)
    cache.put("old@x.example", Entry(Status.OK, 0, 1, ""))
    cache.put(A, Entry(Status.OK, 0, now, "250 2.1.5 Ok"))
    cache.close()
    world.now = float(now)
    rules = Rules.of(Configuration.parse("").settings)
    cache = AddressCache(tmp_path / "cache", pytest.fail)
    world.verifier.configure(rules, cache, world.send, world.cleaned, 12 * HOUR)
    assert not world.cleanups  # nobody has asked yet
    assert await world.ask() == GOOD
    await until(lambda: world.cleanups)
    assert world.cleanups == [(1, 1)]
    world.verifier.close()
    # Cleaned a moment ago, it is left alone.
    cache = AddressCache(tmp_path / "cache", pytest.fail)
    world.verifier.configure(rules, cache, world.send, world.cleaned, 12 * HOUR)
    assert await cache.last_cleanup() == now
    for _ in range(10):
        await asyncio.sleep(0)
    assert world.cleanups == [(1, 1)]
    world.verifier.close()
