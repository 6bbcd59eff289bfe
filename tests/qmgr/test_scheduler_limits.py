"""Random events: no limit of the scheduler is ever exceeded, and no recipient is lost or tried twice."""

import random
from collections import Counter

import pytest

from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.scheduler import Scheduler, Start

DOWN = ("4.4.1", "Connection timed out")


@pytest.mark.parametrize("seed", range(30))
def test_everything_is_started_once_or_suspended_once(seed: int) -> None:
    chance = random.Random(seed)
    parameters = TransportParameters(
        process_limit=chance.choice((0, 1, 5)),
        concurrency_limit=chance.choice((0, 1, 3)),
        initial_concurrency=chance.choice((1, 2, 5)),
        recipient_limit=chance.choice((0, 1, 3)),
        failed_cohort_limit=chance.choice((0, 1, 2)),
        rate_delay=chance.choice((0, 0, 2)),
        transport_rate_delay=chance.choice((0, 0, 1)),
        dead_time=20,
    )
    scheduler = Scheduler(lambda transport: parameters)
    waiting: set[tuple[str, int]] = set()
    running: list[Start] = []
    now = 0.0

    def collect() -> None:
        for start in scheduler.next_requests(now):
            for index in start.indexes:
                waiting.remove((start.message_id, index))
            running.append(start)
            assert len(start.indexes) <= (parameters.recipient_limit or 100)
        for suspended in scheduler.suspended(now):
            for index in suspended.indexes:
                waiting.remove((suspended.message_id, index))
        assert len(running) <= (parameters.process_limit or 1000)
        most = max(Counter(start.nexthop for start in running).values(), default=0)
        assert most <= (parameters.concurrency_limit or 1000)

    for message in range(150):
        act = chance.random()
        if act < 0.5:
            first = 0
            for domain in chance.sample("abc", chance.choice((1, 1, 3))):
                indexes = list(range(first, first + chance.choice((1, 1, 7, 40))))
                first += len(indexes)
                waiting.update((str(message), index) for index in indexes)
                scheduler.add(str(message), "smtp", domain, indexes, now)
        elif act < 0.85 and running:
            start = running.pop(chance.randrange(len(running)))
            scheduler.finished(start, DOWN if chance.random() < 0.4 else None, now)
        elif act < 0.9 and waiting:
            queue_id = chance.choice(sorted(waiting))[0]
            dropped = {(queue_id, index) for index in scheduler.remove(queue_id)}
            # What was suspended in the meantime is told by `suspended`.
            assert dropped <= waiting
            waiting -= dropped
        elif act < 0.95:
            scheduler.revive(now)
        else:
            now += chance.choice((0.5, 1, 3, 30))
        collect()
    while running or waiting:
        if running:
            scheduler.finished(running.pop(), None, now)
        else:
            wake = scheduler.wake_at()
            assert wake is not None
            now = wake
        collect()
    while (wake := scheduler.wake_at()) is not None:
        now = wake
        collect()
    assert not scheduler._transports["smtp"].jobs
    assert not scheduler._transports["smtp"].destinations
