"""Retry schedules: times, keys, and messages whose recipients have different ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.backoff import Backoff
from gatepost.qmgr.retry import RetrySchedules, Schedule, parse_schedule
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.queue.messages import a_message

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("5m 10m 30m 1h 4h; expire 2d", Schedule((300, 600, 1800, 3600, 14400), 2 * DAY)),
        ("90", Schedule((90,))),
        ("1m, 2m", Schedule((60, 120))),
        ("1d;expire 0", Schedule((DAY,), 0)),
        ("1h;", Schedule((HOUR,))),
        ("1h; EXPIRE 1w", Schedule((HOUR,), 7 * DAY)),
    ],
)
def test_syntax(text: str, schedule: Schedule) -> None:
    assert parse_schedule(text) == schedule


@pytest.mark.parametrize(
    "text", ["", ";", "; expire 2d", "0", "5m 0m", "often", "-5m", "5m; 2d", "5m; expire", "5m; expire x"]
)
def test_bad_syntax(text: str) -> None:
    with pytest.raises(ValueError, match=r"bad (retry schedule|time value)"):
        parse_schedule(text)


def test_attempts_follow_the_schedule() -> None:
    schedule = parse_schedule("5m 10m 30m 1h")
    now, times = 1000.0, []
    for _ in range(6):
        now = schedule.next_attempt(1000.0, now + 2)  # each attempt takes two seconds
        times.append((now - 1000) / MINUTE)
    assert times == [5, 15, 45, 105, 165, 225]


def test_a_late_attempt_does_not_put_off_the_others_and_none_follows_at_once() -> None:
    schedule = parse_schedule("10m 10m 10m")
    assert schedule.next_attempt(0, 14 * MINUTE) == 20 * MINUTE
    assert schedule.next_attempt(0, 16 * MINUTE) == 30 * MINUTE
    assert schedule.next_attempt(0, 1000 * MINUTE + 1) == 1010 * MINUTE
    assert schedule.next_attempt(1000, 10) == 10 + 10 * MINUTE  # the clock was set back


@given(
    st.lists(st.integers(1, 100_000), min_size=1, max_size=6),
    st.floats(0, 1e7, allow_nan=False),
    st.floats(0, 1e7, allow_nan=False),
)
def test_the_next_attempt_is_neither_past_nor_far(waits: list[int], arrival: float, age: float) -> None:
    now = arrival + age
    wait = Schedule(tuple(waits)).next_attempt(arrival, now) - now
    assert min(waits) / 2 - 1e-3 <= wait <= 1.5 * max(waits) + 1e-3


class World:
    """Schedules from an inline table; the next hop of every recipient is [hub.example]:26."""

    def __init__(self, table: str) -> None:
        self.warnings: list[str] = []
        tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=self.warnings.append))
        self.schedules = RetrySchedules(tables.maps("gatepost_retry_schedule_maps", table), self.warnings.append)
        self.schedules.place_of = self.place_of
        self.queue_id = "4ABC"
        self.entry = ActiveMessage(a_message(1, recipients=0, arrival=0.0), 0.0, 0)

    async def place_of(self, message: object, address: str) -> tuple[str, str]:
        domain = address.rpartition("@")[2]
        return "" if domain == "filtered.example" else domain, "[hub.example]:26"

    async def concluded(self, now: float, *domains: str) -> ActiveMessage:
        """A pass in which recipients of these domains were deferred."""
        entry = self.entry
        message = a_message(1, recipients=len(domains), arrival=0.0)
        message.queue_id = self.queue_id
        for recipient, domain in zip(message.recipients, domains, strict=True):
            recipient.address = f"joe@{domain}"
        self.entry = entry = ActiveMessage(message, now, len(domains))
        entry.deferred = [RecipientStatus(i, "deferred", "4.0.0", "none", "why") for i in range(len(domains))]
        self.expired = await self.schedules.conclude(entry, Backoff(), now, now)
        return entry


@pytest.mark.parametrize(
    ("domain", "minutes"),
    [
        ("a.example", 1),
        ("A.Example", 1),
        ("b.a.example", 2),
        ("c.b.a.example", 2),
        ("other.test", 3),
        ("filtered.example", 3),
    ],
)
async def test_keys(domain: str, minutes: int) -> None:
    world = World(
        "inline:{ {a.example = 1m}, {.a.example = 2m}, {filtered.example = 9m}, {[hub.example]:26 = 3m}, {* = 4m} }"
    )
    assert (await world.concluded(5.0, domain)).next_attempt == minutes * MINUTE


async def test_the_star_and_the_usual_back_off() -> None:
    assert (await World("inline:{ {* = 4m} }").concluded(5.0, "other.test")).next_attempt == 4 * MINUTE
    assert (await World("inline:{ {a.example = 4m} }").concluded(5.0, "other.test")).next_attempt == 0


async def test_expire_takes_the_place_of_the_lifetime_both_ways() -> None:
    world = World("inline:{ {short.example = 1h; expire 1d}, {long.example = 1h; expire 9d} }")
    entry = await world.concluded(1.5 * DAY, "short.example", "long.example", "usual.example")
    assert ([s.index for s in entry.bounced], [s.index for s in entry.deferred]) == ([0], [1, 2])
    assert world.expired
    entry = await world.concluded(6 * DAY, "long.example", "usual.example")
    assert ([s.index for s in entry.bounced], [s.index for s in entry.deferred]) == ([1], [0])


async def test_recipients_with_other_schedules_wait_on() -> None:
    world = World("inline:{ {fast.example = 1m}, {slow.example = 1h} }")
    entry = await world.concluded(1.0, "fast.example", "slow.example")
    assert entry.next_attempt == MINUTE
    queue_id = entry.message.queue_id
    waiting = world.schedules.not_due(queue_id, 60.0)
    assert [(index, when, status.text) for index, (when, status) in waiting.items()] == [(1, HOUR, "why")]
    # The next pass: the slow one was not tried, and keeps its time.
    entry = await world.concluded(61.0, "fast.example", "slow.example")
    assert entry.next_attempt == 2 * MINUTE
    assert list(world.schedules.not_due(queue_id, HOUR - 10)) == [1]
    assert not world.schedules.not_due(queue_id, HOUR)
    world.schedules.revive()
    assert not world.schedules.not_due(queue_id, 120.0)


async def test_recipients_that_wait_on_move_with_the_clock() -> None:
    world = World("inline:{ {fast.example = 1m}, {slow.example = 1h} }")
    queue_id = (await world.concluded(1.0, "fast.example", "slow.example")).message.queue_id
    world.schedules.shift(-DAY)
    assert list(world.schedules.not_due(queue_id, HOUR - DAY - 10)) == [1]
    assert not world.schedules.not_due(queue_id, HOUR - DAY)


async def test_what_a_table_cannot_tell_leaves_the_usual_back_off() -> None:
    world = World("fail:x")
    assert (await world.concluded(1.0, "a.example")).next_attempt == 0
    world = World("inline:{ {a.example = whenever} }")
    assert (await world.concluded(1.0, "a.example")).next_attempt == 0
    assert world.warnings == [
        "gatepost_retry_schedule_maps: inline:{ {a.example = whenever} }: a.example: bad time value or unit: whenever"
    ]


async def test_what_is_remembered_of_waiting_recipients_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatepost.qmgr.retry.MANY_WAITING", 3)
    world = World("inline:{ {fast.example = 1m} }")
    sizes = []
    for number in range(6):
        world.queue_id = a_message(number + 1).queue_id
        await world.concluded(1.0, "fast.example", "slow.example")
        sizes.append(len(world.schedules.mixed))
    assert sizes == [1, 2, 3, 1, 2, 3]


async def test_nothing_is_remembered_when_all_are_due() -> None:
    world = World("inline:{ {fast.example = 1m} }")
    entry = await world.concluded(1.0, "fast.example", "slow.example")
    assert list(world.schedules.not_due(entry.message.queue_id, 60.0)) == [1]
    assert not world.schedules.not_due(entry.message.queue_id, 400.0)
    assert not world.schedules.mixed
