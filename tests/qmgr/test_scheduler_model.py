"""Any sequence of events: nothing is lost, nothing started twice, no limit exceeded; order as in a simple model."""

from collections import Counter

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gatepost.qmgr.concurrency import TransportParameters
from gatepost.qmgr.rates import TOLERANCE, Rate
from gatepost.qmgr.scheduler import Scheduler, Start

DOWN = ("4.4.1", "Connection timed out")
TRANSPORTS = ("smtp", "relay")
DOMAINS = ("a.example", "b.example", "c.example")
RATES = (None, Rate(10.0, "6/min"), Rate(0.5, "2/s"))
Entry = tuple[str, int]


class Events(RuleBasedStateMachine):
    """What waits is in `waiting`; groups are known by the name under which they are limited."""

    @initialize(
        process=st.sampled_from((0, 1, 4)),
        concurrency=st.sampled_from((0, 1, 3)),
        initial=st.integers(1, 5),
        recipients=st.sampled_from((0, 1, 3)),
        cohorts=st.sampled_from((0, 1, 2)),
        delay=st.sampled_from((0, 0, 2)),
        cost=st.sampled_from((0, 2, 5)),
        rate=st.sampled_from(RATES),
        grouped=st.booleans(),
    )
    def begin(
        self, process: int, concurrency: int, initial: int, recipients: int, cohorts: int, delay: int, cost: int,
        rate: Rate | None, grouped: bool,
    ) -> None:  # fmt: skip
        self.parameters = TransportParameters(
            process_limit=process, concurrency_limit=concurrency, initial_concurrency=initial,
            recipient_limit=recipients, failed_cohort_limit=cohorts, rate_delay=delay, dead_time=20, sick_time=60,
            slot_cost=cost, minimum_slots=1,
        )  # fmt: skip
        self.scheduler = Scheduler(lambda transport: self.parameters)
        self.rate, self.group = rate, "group" if grouped else ""
        self.now = 0.0
        self.number = 0
        self.waiting: set[Entry] = set()
        self.running: list[Start] = []
        self.starts: dict[tuple[str, str], list[float]] = {}

    def name(self, nexthop: str) -> str:
        return self.group or nexthop

    @rule(transport=st.sampled_from(TRANSPORTS), counts=st.dictionaries(st.sampled_from(DOMAINS), st.integers(1, 30)))
    def message(self, transport: str, counts: dict[str, int]) -> None:
        self.number += 1
        first = 0
        for domain, count in counts.items():
            indexes = list(range(first, first + count))
            first += count
            self.waiting.update((str(self.number), index) for index in indexes)
            self.scheduler.add(str(self.number), transport, domain, indexes, self.now, group=self.group, rate=self.rate)

    @rule(data=st.data(), failed=st.booleans())
    def finish(self, data: st.DataObject, failed: bool) -> None:
        if self.running:
            start = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
            self.scheduler.finished(start, DOWN if failed else None, self.now)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.waiting:
            self.collect()
        if self.waiting:
            message_id = data.draw(st.sampled_from(sorted({message_id for message_id, _ in self.waiting})))
            removed = {(message_id, index) for index in self.scheduler.remove(message_id)}
            assert removed == {entry for entry in self.waiting if entry[0] == message_id}
            self.waiting -= removed

    @rule(seconds=st.sampled_from((0.1, 1.0, 7.0, 100.0)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def revive(self) -> None:
        self.scheduler.revive(self.now)

    @rule()
    def collect(self) -> None:
        for start in self.scheduler.next_requests(self.now):
            assert 0 < len(start.indexes) <= (self.parameters.recipient_limit or 1000)
            for index in start.indexes:
                self.waiting.remove((start.message_id, index))
            self.running.append(start)
            times = self.starts.setdefault((start.transport, self.name(start.nexthop)), [])
            times.append(self.now)
            if self.rate is not None:
                for at, begin in enumerate(times):
                    most = (self.now - begin + TOLERANCE) / self.rate.interval + 1
                    assert len(times) - at <= most + 1e-6
        for suspended in self.scheduler.suspended(self.now):
            for index in suspended.indexes:
                self.waiting.remove((suspended.message_id, index))

    @invariant()
    def limits_hold(self) -> None:
        if not hasattr(self, "running"):
            return
        limit = self.parameters.process_limit or 100_000
        assert all(count <= limit for count in Counter(start.transport for start in self.running).values())
        limit = self.parameters.concurrency_limit or 100_000
        places = Counter((start.transport, self.name(start.nexthop)) for start in self.running)
        assert all(count <= limit for count in places.values())

    def teardown(self) -> None:
        """All that waits goes out in the end, and nothing is kept."""
        if not hasattr(self, "running"):
            return
        self.collect()
        for _ in range(100_000):
            if not self.running and not self.waiting:
                break
            if self.running:
                self.scheduler.finished(self.running.pop(), None, self.now)
            else:
                wake = self.scheduler.wake_at()
                assert wake is not None, "mail waits for nothing"
                self.now = max(self.now, wake)
            self.collect()
        while (wake := self.scheduler.wake_at()) is not None:
            self.now = wake
            self.collect()
        for transport in self.scheduler._transports.values():
            assert not transport.jobs and not transport.destinations and not transport.ready
            assert transport.busy == transport.held == 0 and transport.candidates is None


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
