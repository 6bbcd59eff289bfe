"""A dead destination costs one probe per back-off, however much mail waits for it."""

import heapq
import itertools

import pytest

from gatepost.mail.envelope import Message, Recipient
from gatepost.qmgr.backoff import Backoff
from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.scheduler import Scheduler, Start

DOWN = ("4.4.1", "Connection timed out")
DAY = 86400.0


def attempts(messages: int, days: float, up_at: float = 1e9, timeout: float = 30.0) -> list[tuple[float, bool]]:
    """When deliveries to a destination end, and whether they failed; what is deferred comes back as Backoff says."""
    backoff = Backoff(300, 4000, 5 * DAY)
    parameters = TransportParameters(dead_time=300, sick_time=300 + 4000 + 300)
    scheduler = Scheduler(lambda transport: parameters)
    envelopes = {
        str(number): Message(str(number), number / 10, "a@example.com", [Recipient("b@example.org")], 1)
        for number in range(messages)
    }
    # Message that is due, or delivery that ends.
    events: list[tuple[float, int, Message | Start]] = []
    for number, message in enumerate(envelopes.values()):
        events.append((message.arrival, number, message))
    heapq.heapify(events)
    count = messages
    ends: list[tuple[float, bool]] = []
    while events:
        now, _, event = heapq.heappop(events)
        if now > days * DAY:
            break
        deferred: list[str] = []
        if isinstance(event, Message):
            scheduler.add(event.queue_id, "smtp", "example.org", [0], now)
        else:
            failed = now < up_at
            ends.append((now, failed))
            scheduler.finished(event, DOWN if failed else None, now)
            if failed:
                deferred.append(event.message_id)
        for start in scheduler.next_requests(now):
            count += 1
            heapq.heappush(events, (now + timeout, count, start))
        deferred += [one.message_id for one in scheduler.suspended(now)]
        for queue_id in deferred:
            count += 1
            message = envelopes[queue_id]
            heapq.heappush(events, (backoff.next_attempt(message, now), count, message))
    return ends


@pytest.mark.parametrize("messages", [1, 10, 2000])
def test_one_probe_per_back_off(messages: int) -> None:
    ends = [when for when, _ in attempts(messages, days=1)]
    # At first the initial concurrency of 5, of which all may be under way when it turns out.
    first, probes = ends[:5] if messages > 1 else ends[:1], ends[5:] if messages > 1 else ends[1:]
    assert first[-1] <= 40
    assert all(later - earlier >= 300 for earlier, later in itertools.pairwise(probes))
    assert len(probes) <= DAY / 300
    # And it is looked after: never longer without a probe than the longest back-off and a dead time.
    assert all(later - earlier <= 4000 + 330 for earlier, later in itertools.pairwise(probes))


def test_when_it_is_back_all_mail_goes_out_at_the_next_back_off() -> None:
    ends = attempts(2000, days=1, up_at=DAY / 2)
    delivered = [when for when, failed in ends if not failed]
    assert len(delivered) == 2000
    assert delivered[0] <= DAY / 2 + 4000 + 330
    assert delivered[-1] <= DAY / 2 + 2 * 4000 + 330
