"""Message rates on a simulated clock: exact over a day, smooth at any time."""

from itertools import pairwise

import pytest

from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.rates import MANY, TOLERANCE, Rate, parse_rate
from gatepost.qmgr.scheduler import Scheduler

DAY = 86400.0


@pytest.mark.parametrize(
    ("text", "interval"),
    [("10/s", 0.1), ("1/min", 60), ("90/h", 40), ("10 / day", 8640), ("0.5/s", 2), (" 3/hour ", 1200)],
)
def test_rates(text: str, interval: float) -> None:
    rate = parse_rate(text, "there")
    assert rate is not None and rate.interval == pytest.approx(interval) and rate.source == "there"


@pytest.mark.parametrize("text", ["none", "0", "0/s", "NONE"])
def test_no_rate(text: str) -> None:
    assert parse_rate(text) is None


@pytest.mark.parametrize("text", ["", "fast", "1/fortnight", "-1/s", "1/s/s", "1e3/s", "/s", "10"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="bad rate"):
        parse_rate(text)


def a_scheduler(**parameters: object) -> Scheduler:
    one = TransportParameters(**parameters)  # type: ignore[arg-type]
    return Scheduler(lambda transport: one)


def starts_of_a_day(rate: Rate, lateness: float, lasts: float, wanted: int = 5) -> list[float]:
    """When deliveries start to a destination where mail waits all day; timers are late, deliveries last."""
    scheduler = a_scheduler(concurrency_limit=20)
    number = waiting = 0
    times: list[float] = []
    ends: list[tuple[float, object]] = []
    now = 0.0
    while now < DAY:
        while waiting < wanted:
            number += 1
            waiting += 1
            scheduler.add(str(number), "smtp", "slow.example", [0], now, rate=rate)
        for start in scheduler.next_requests(now):
            waiting -= 1
            times.append(now)
            ends.append((now + lasts, start))
        wake = scheduler.wake_at()
        nexts = [end for end, _ in ends[:1]] + ([] if wake is None else [wake + lateness])
        now = min(nexts)
        while ends and ends[0][0] <= now:
            scheduler.finished(ends.pop(0)[1], None, now)  # type: ignore[arg-type]
    return times


@pytest.mark.parametrize(("text", "a_day"), [("1/s", 86400), ("30/min", 43200), ("1000/h", 24000), ("500/day", 500)])
@pytest.mark.parametrize(("lateness", "lasts"), [(0.0, 0.2), (0.03, 2.5)])
def test_rates_are_exact_to_two_percent_over_a_day(text: str, a_day: int, lateness: float, lasts: float) -> None:
    rate = parse_rate(text)
    assert rate is not None
    times = starts_of_a_day(rate, lateness, lasts)
    assert abs(len(times) - a_day) <= a_day * 0.02
    # And at no time are they in a heap.
    for before, after in pairwise(times):
        assert after - before >= rate.interval - TOLERANCE - lateness - 1e-6


def test_a_quick_rate_has_a_small_burst_only() -> None:
    rate = parse_rate("100/s")
    assert rate is not None
    scheduler = a_scheduler(concurrency_limit=0, initial_concurrency=1000, process_limit=0)
    for number in range(1000):
        scheduler.add(str(number), "smtp", "a.example", [0], 0, rate=rate)
    started = [len(scheduler.next_requests(tick / 1000)) for tick in range(2000)]
    assert started[0] <= 100 * TOLERANCE + 1
    for begin in range(0, 1000, 50):
        assert sum(started[begin : begin + 1000]) <= 100 + 100 * TOLERANCE + 1
    assert sum(started) == pytest.approx(200, abs=13)


def test_an_idle_destination_keeps_its_account() -> None:
    """It is forgotten when nothing waits for it; what it has had is not."""
    rate = parse_rate("1/min")
    scheduler = a_scheduler()
    scheduler.add("A", "smtp", "a.example", [0], 0, rate=rate)
    (start,) = scheduler.next_requests(0)
    scheduler.finished(start, None, 1)
    assert not scheduler._transports["smtp"].destinations
    scheduler.add("B", "smtp", "a.example", [0], 2, rate=rate)
    assert scheduler.next_requests(2) == []
    assert scheduler.wake_at() == pytest.approx(60 - TOLERANCE)
    assert len(scheduler.next_requests(60)) == 1


def test_a_limit_group_has_one_rate() -> None:
    rate = parse_rate("1/min")
    scheduler = a_scheduler()
    for domain in ("a.example", "b.example"):
        scheduler.add(domain, "smtp", domain, [0], 0, group="mx.example", rate=rate)
    scheduler.add("c", "smtp", "c.example", [0], 0, rate=rate)
    assert [start.message_id for start in scheduler.next_requests(0)] == ["a.example", "c"]
    assert [start.message_id for start in scheduler.next_requests(60)] == ["b.example"]


def test_a_rate_that_ends_lets_mail_go() -> None:
    scheduler = a_scheduler()
    for message in "AB":
        scheduler.add(message, "smtp", "a.example", [0], 0, rate=parse_rate("1/day"))
    assert len(scheduler.next_requests(0)) == 1
    scheduler.add("C", "smtp", "a.example", [0], 1, rate=None)
    assert [start.message_id for start in scheduler.next_requests(1)] == ["B", "C"]


def test_a_rate_that_is_raised_counts_at_once() -> None:
    scheduler = a_scheduler()
    for message in "AB":
        scheduler.add(message, "smtp", "a.example", [0], 0, rate=parse_rate("1/day"))
    assert len(scheduler.next_requests(0)) == 1
    scheduler.add("C", "smtp", "a.example", [0], 1, rate=parse_rate("6/min"))
    assert scheduler.wake_at() == pytest.approx(11)
    assert [start.message_id for start in scheduler.next_requests(11)] == ["B"]


def test_other_destinations_do_not_wait() -> None:
    scheduler = a_scheduler(process_limit=1)
    for message in range(3):
        scheduler.add(str(message), "smtp", "a.example", [0], 0, rate=parse_rate("1/h"))
    scheduler.add("other", "smtp", "b.example", [0], 0)
    (first,) = scheduler.next_requests(0)
    scheduler.finished(first, None, 1)
    assert [start.message_id for start in scheduler.next_requests(1)] == ["other"]


def test_a_destination_that_dies_and_revives_keeps_its_rate() -> None:
    scheduler = a_scheduler(initial_concurrency=1, dead_time=300)
    rate = parse_rate("1/h")
    for message in "AB":
        scheduler.add(message, "smtp", "a.example", [0], 0, rate=rate)
    (start,) = scheduler.next_requests(0)
    scheduler.finished(start, ("4.4.1", "down"), 1)
    assert [one.message_id for one in scheduler.suspended(1)] == ["B"]
    scheduler.add("C", "smtp", "a.example", [0], 400, rate=rate)
    assert scheduler.next_requests(400) == []
    assert [one.message_id for one in scheduler.next_requests(3600)] == ["C"]


def test_accounts_that_say_nothing_are_forgotten() -> None:
    scheduler = a_scheduler(process_limit=0)
    rate = parse_rate("10/s")
    for number in range(MANY * 3):
        scheduler.add(str(number), "smtp", f"{number}.example", [0], number, rate=rate)
        for start in scheduler.next_requests(number):
            scheduler.finished(start, None, number)
    assert len(scheduler._transports["smtp"].accounts) <= MANY


def test_a_rate_that_was_read_anew_and_is_the_same_costs_no_timer() -> None:
    scheduler = a_scheduler()
    for number in range(100):
        scheduler.add(str(number), "smtp", "a.example", [0], 0, rate=Rate(3600, "1/h"))
        scheduler.next_requests(0)
    assert len(scheduler._timers) == 1
    scheduler.add("quick", "smtp", "a.example", [0], 0, rate=Rate(1, "1/s"))
    assert len(scheduler._timers) == 2
