"""Properties of whole simulations: work per event is bounded, nobody starves, what a limit leaves unused others get."""

import gc
import random
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType

import pytest

from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.scheduler import Scheduler, Start

DOWN = ("4.4.1", "Connection timed out")


def play(
    scheduler: Scheduler, arrivals: list[tuple[float, str, dict[str, int]]], lasts: float, dead: frozenset[str]
) -> dict[str, list[float]]:
    """When the deliveries of each message start; each takes `lasts` seconds. Suspended mail does not come again."""
    now, number = 0.0, 0
    running: list[tuple[float, int, Start]] = []
    starts: dict[str, list[float]] = {}
    arrivals = sorted(arrivals, reverse=True)
    while arrivals or running:
        now = min([when for when, _, _ in arrivals[-1:]] + [end for end, _, _ in running])
        while arrivals and arrivals[-1][0] <= now:
            _, message, counts = arrivals.pop()
            at = 0
            for domain, count in counts.items():
                scheduler.add(message, "smtp", domain, list(range(at, at + count)), now)
                at += count
        for ended in sorted((one for one in running if one[0] <= now), key=lambda one: one[:2]):
            running.remove(ended)
            scheduler.finished(ended[2], DOWN if ended[2].nexthop in dead else None, now)
        for start in scheduler.next_requests(now):
            number += 1
            running.append((now + lasts, number, start))
            starts.setdefault(start.message_id, []).append(now)
        scheduler.suspended(now)
    return starts


@pytest.mark.parametrize("seed", range(5))
def test_nobody_starves_beside_a_stream_of_small_mail(seed: int) -> None:
    """A mailing in a transport that small mail could fill goes on at (cost - 1) / cost of its pace at least."""
    chance = random.Random(seed)
    parameters = TransportParameters(process_limit=10, concurrency_limit=10, initial_concurrency=10, recipient_limit=1)
    stream = [
        (chance.uniform(0, 300), f"small{at}", {f"{chance.randrange(50)}.example": 1}) for at in range(6000)
    ]  # twice what can be delivered
    mailing = (1.0, "mailing", {f"{at}.example": 20 for at in range(50)})
    starts = play(Scheduler(lambda transport: parameters), [*stream, mailing], 1.0, frozenset())
    assert len(starts["mailing"]) == 1000
    before = sum(1 for when, _, _ in stream if when <= 1.0)
    # Alone it takes 100 s; what came before it, and a quarter for those that preempt it, come on top.
    assert starts["mailing"][-1] <= 1.0 + before / 10 + 100 * 5 / 4 + 2
    assert sum(map(len, starts.values())) == 7000


def test_dead_destinations_take_no_processes_from_others() -> None:
    """Of 100 destinations 90 are dead: each has its first cohort once, and mail for the others does not wait for it."""
    parameters = TransportParameters(process_limit=20, initial_concurrency=5, dead_time=1000)
    dead = frozenset(f"{at}.example" for at in range(90))
    arrivals = [
        (at + again, f"{at}-{again}-{number}", {f"{at}.example": 1})
        for at in range(100)
        for again in (0.0, 500.0)
        for number in range(10)
    ]
    starts = play(Scheduler(lambda transport: parameters), arrivals, 1.0, dead)
    tried = Counter(int(message.partition("-")[0]) for message in starts)
    assert [tried[at] for at in range(100)] == [5] * 90 + [20] * 10
    assert all(starts[message][0] <= when + 3 for when, message, _ in arrivals if message in starts)


def calls(work: Callable[[], None]) -> int:
    """How many functions, builtin ones included, are called in it."""
    count = 0

    def called(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    gc.disable()  # who wants to be called at collections would be counted
    sys.setprofile(called)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return count


def test_what_waits_for_a_destination_without_room_costs_others_no_work() -> None:
    parameters = TransportParameters(process_limit=50, concurrency_limit=1, initial_concurrency=1)
    took = []
    for waiting in (100, 10_000):
        scheduler = Scheduler(lambda transport: parameters)
        for number in range(waiting):
            scheduler.add(f"blocked{number}", "smtp", "slow.example", [0], 0)
        assert len(scheduler.next_requests(0)) == 1

        def quick(scheduler: Scheduler = scheduler) -> None:
            for number in range(1000):
                scheduler.add(f"quick{number}", "smtp", "quick.example", [0], number)
                (start,) = scheduler.next_requests(number)
                assert start.message_id == f"quick{number}"
                scheduler.finished(start, None, number)

        took.append(calls(quick))
    assert took[0] == took[1]
