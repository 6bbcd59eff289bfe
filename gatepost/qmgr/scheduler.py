"""Which delivery starts next: pure; events and `now` (monotonic seconds) in, decisions out (Postfix SCHEDULER_README).

Who is next: the first job in the order of its transport's list that has recipients at a destination with room, and of
its destinations the one that has waited longest. The order is that of arrival, but that small jobs may preempt the one
whose turn it is (preemption.py). The nouns are those of jobs.py.

As in Postfix a destination without mail is forgotten, and with it what was learnt about it. Remembered are only its
rate, and that it was dead: one that was dead lately is tried with one delivery at a time until one succeeds.
"""

import heapq
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.concurrency import TransportParameters, transport_parameters
from gatepost.qmgr.jobs import UNLIMITED, Destination, Job, Peer, Transport
from gatepost.qmgr.jobs import Start as Start
from gatepost.qmgr.preemption import preempting
from gatepost.qmgr.rates import Account, Accounts, Rate
from gatepost.qmgr.scheduler_log import ClogWarnings, FeedbackLog, Say, transport_failure
from gatepost.qmgr.suspended import UNAVAILABLE, Reason, suspension
from gatepost.qmgr.suspended import Suspended as Suspended


class Scheduler:
    """`parameters` gives those of a transport by its name; it is asked once per name."""

    def __init__(
        self,
        parameters: Callable[[str], TransportParameters],
        *,
        warn: Say = lambda text: None,
        feedback_log: FeedbackLog | None = None,
        clog: ClogWarnings | None = None,
    ) -> None:
        self._parameters = parameters
        self._warn = warn
        self._feedback_log = feedback_log
        self.clog = clog
        self._harmless = clog.harmless if clog is not None else UNLIMITED
        # Messages that somebody wants tried now: deferred transports and dead destinations do not stop them.
        self.flushed: set[str] = set()
        self._transports: dict[str, Transport] = {}
        # Those that may have something to start.
        self._ready: dict[Transport, None] = {}
        self._timers: list[tuple[float, int, Destination | Transport]] = []
        self._timer_count = 0
        self._suspended: list[Suspended] = []
        self._unread: dict[str, int] = {}

    @classmethod
    def from_settings(
        cls, settings: Settings, services: Mapping[str, Service], log: ProgramLog | None = None
    ) -> "Scheduler":
        """With the parameters of main.cf and the process limits of master.cf. `log`: what it has to say goes there."""
        parameters = partial(transport_parameters, settings, services)
        if log is None:
            return cls(parameters)
        return cls(
            parameters,
            warn=log.warning,
            feedback_log=FeedbackLog(settings, log.info) if settings.destination_concurrency_feedback_debug else None,
            clog=ClogWarnings(settings, log.warning),
        )

    def per_recipient(self, transport: str) -> bool:
        """Whether this transport's destinations are recipients, not domains: `add` each with its own `queue_name`."""
        return self._transport(transport).parameters.recipient_limit == 1

    def add(
        self,
        message_id: str,
        transport: str,
        nexthop: str,
        indexes: list[int],
        now: float,
        queue_name: str = "",
        group: str = "",
        rate: Rate | None = None,
    ) -> None:
        """Recipients of a message that go to one destination.

        `queue_name` names the destination if it is not the nexthop: `localpart@nexthop`, without address extension, in
        lower case, where `per_recipient`.
        `group` is the destination's limit group, if it is not the destination alone: all destinations of a transport
        with one group name share one concurrency window, one rate and one state (dead, resting), as though they
        were one destination; each delivery keeps its own nexthop. A destination may change its group at any time:
        what was added before stays where it was.

        `rate` limits the deliveries to the destination, or to its group; the last one given counts.
        """
        via = self._transports.get(transport) or self._transport(transport)
        parameters = via.parameters
        if via.selective and self._refused(via, message_id, indexes, now):
            return
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        name = group or queue_name or nexthop
        destination = via.destinations.get(name)
        if destination is None:
            destination = self._destination(via, name, now)
        elif destination.reason is not None:
            if message_id not in self.flushed:
                self._suspended.append(suspension(message_id, indexes, destination.reason))
                return
            via.sick.pop(name, None)
            destination.resumes_at = now
            self._resume(destination)
            via.destinations[name] = destination  # idle as it still is, it was forgotten
        if rate is not destination.rate and rate != destination.rate:
            self._set_rate(destination, rate, now)
        job = via.jobs.get(message_id)
        if job is None:
            via.last = last = via.last + 1
            job = via.jobs[message_id] = Job(message_id, (last,), now)
            if self._unread and message_id in self._unread:
                via.set_unread(job, self._unread[message_id])
        peer = Peer(job, destination, nexthop, indexes, job.key)
        job.peers.append(peer)
        job.waiting += 1
        limit = parameters.recipient_limit
        job.entries += 1 if len(indexes) <= limit or not limit else -(-len(indexes) // limit)
        via.held += len(indexes)
        if via.put(destination, peer):
            self._ready[via] = None
        if destination.waiting > self._harmless and self.clog is not None:
            self.clog.clogged(destination, now)
        if via.candidates is not None:
            via.candidates.add(job, destination)

    def next_requests(self, now: float) -> list[Start]:
        """The deliveries to start now."""
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        starts: list[Start] = []
        if self._ready:
            for transport in list(self._ready):
                self._start_from(transport, now, starts)
                if not transport.ready:
                    del self._ready[transport]
        return starts

    def suspended(self, now: float) -> list[Suspended]:
        """What was found, since the last call, to be for a dead destination or a deferred transport: to be deferred."""
        suspended, self._suspended = self._suspended, []
        return suspended

    def finished(self, start: Start, failure: tuple[str, str] | None, now: float, *, tells: bool = True) -> None:
        """A delivery ended; `failure`: DSN and reason of a connection or handshake; `tells`: it was not just killed."""
        destination = start.destination
        transport, parameters = destination.transport, destination.transport.parameters
        window = destination.size
        if not tells:
            pass
        elif failure is None:
            destination.reason = None
            if transport.sick:
                transport.sick.pop(destination.name, None)
            if transport.reason is not None:
                transport.unthrottle()
            destination.succeeded(parameters)
        elif destination.failed(parameters):
            dsn, reason = failure
            # A destination that cannot be reached is no reason to return mail.
            destination.reason = failure = (dsn if dsn.startswith("4.") else "4.0.0", reason)
            self._suspend_waiting(destination, lambda ident, indexes: suspension(ident, indexes, failure))
            transport.remember_sick(destination.name, now)
            self._rest(destination, now + parameters.dead_time)
        if self._feedback_log is not None and tells:
            self._feedback_log.finished(destination, window, failure is not None)
        destination.busy -= 1
        transport.busy -= 1
        transport.held -= len(start.indexes)
        if parameters.rate_delay and destination.reason is None:
            destination.size = 0
            self._rest(destination, now + parameters.rate_delay)
        self._settle(destination)

    def throttle(self, name: str, reason: Reason, now: float) -> None:
        """The transport failed, whatever it was given: its mail waits for transport_retry_time, success, or a flush."""
        self._warn(transport_failure(name, reason))
        transport = self._transport(name)
        transport.throttle(reason, now)
        for destination in list(transport.destinations.values()):
            self._suspend_waiting(destination, lambda ident, indexes: Suspended(ident, indexes, *reason))
            self._settle(destination)

    def remove(self, message_id: str) -> list[int]:
        """Forget what waits of a message (removed, held); the recipients. Deliveries that were started go on."""
        indexes: list[int] = []
        self.set_unread(message_id, 0)
        for transport in self._transports.values():
            job = transport.jobs.get(message_id)
            for peer in () if job is None else job.peers:
                if peer.at < len(peer.indexes):
                    indexes += transport.withdraw(peer)
                    peer.destination.waiting -= 1
                    self._settle(peer.destination)
        return sorted(indexes)

    def unread_jobs(self, message_id: str) -> list[tuple[Transport, Job]]:
        """The jobs of a message with recipients that are not in memory."""
        return [(t, t.unread[message_id]) for t in self._transports.values() if message_id in t.unread]

    def set_unread(self, message_id: str, count: int) -> None:
        """So many recipients of a message are not in memory (any more): `add` will be called for them later."""
        if count:
            self._unread[message_id] = count
        else:
            self._unread.pop(message_id, None)
        for transport in self._transports.values():
            if (job := transport.jobs.get(message_id)) is not None:
                transport.set_unread(job, count)

    def accounts(self, transport: str) -> Accounts:
        """What the destinations of a transport have had of their rates."""
        return self._transport(transport).accounts

    def dues(self, after: float) -> Iterator[tuple[str, str, float]]:
        """The destinations whose rates let nothing start before that: transport, name, when something may."""
        for name, transport in self._transports.items():
            yield from ((name, of, due) for of, due in transport.accounts.dues(after))

    def revive(self, now: float) -> None:
        """Forget which destinations are dead (postqueue -f)."""
        for transport in self._transports.values():
            transport.sick.clear()
            transport.unthrottle()
        for _, _, resting in self._timers:
            if isinstance(resting, Destination) and resting.reason is not None:
                resting.resumes_at = now
                self._resume(resting)

    def wake_at(self) -> float | None:
        """When `next_requests` should be called though nothing happened; None if that is not needed."""
        return self._timers[0][0] if self._timers else None

    def _transport(self, name: str) -> Transport:
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = Transport(name, self._parameters(name))
            if self._feedback_log is not None:
                self._feedback_log.transport(name, transport.parameters)
        return transport

    def _refused(self, transport: Transport, message_id: str, indexes: list[int], now: float) -> bool:
        """Recipients for a transport that is to be left alone, or that is not there, wait."""
        reason = transport.refusal(now, flushed=message_id in self.flushed)
        if reason is None and transport.parameters.missing:
            reason = UNAVAILABLE
            self._warn(f"connect to transport private/{transport.name}: No such file or directory")
            transport.throttle(reason, now)
        if reason is not None:
            self._suspended.append(Suspended(message_id, indexes, *reason))
        return reason is not None

    def _destination(self, transport: Transport, name: str, now: float) -> Destination:
        destination = transport.destinations[name] = Destination(transport, name)
        if transport.sick and transport.sick.get(name, now) > now:
            destination.size = 1
        return destination

    def _start_from(self, transport: Transport, now: float, starts: list[Start]) -> None:
        ready = transport.ready
        delay = transport.parameters.transport_rate_delay
        while ready and transport.busy < transport.process_limit and transport.resumes_at <= now:
            listed = ready[0]
            destination = listed[2]
            if destination.listed is not listed:
                heapq.heappop(ready)
                continue
            peer = destination.first()
            if peer is None or destination.size <= destination.busy or destination.resting:
                destination.listed = None
                heapq.heappop(ready)
                continue
            job = peer.job
            if listed[0] is not peer.key:
                transport.enlist(destination)
                continue
            if job.slots > 0 and job.entries + job.unread >= transport.preemptible and preempting(transport, job, now):
                continue
            starts.append(self._take(destination, peer, now))
            if (
                destination.waiting
                and destination.size > destination.busy
                and not destination.resting
                and (peer := destination.first()) is not None
            ):
                # Behind the other destinations of the same job.
                transport.last = last = transport.last + 1
                destination.listed = listed = (peer.key, last, destination)
                heapq.heapreplace(ready, listed)
            else:
                heapq.heappop(ready)
                destination.listed = None
            if delay:
                transport.resumes_at = now + delay
                self._set_timer(transport, transport.resumes_at)

    def _take(self, destination: Destination, peer: Peer, now: float) -> Start:
        """An entry of the first peer."""
        job = peer.job
        indexes = peer.indexes
        transport = destination.transport
        limit = transport.parameters.recipient_limit
        if peer.at or (0 < limit < len(indexes)):
            indexes = indexes[peer.at : peer.at + limit]
            peer.at += limit
        else:
            peer.at = len(indexes)
        job.selected += 1
        job.slots += 1
        if peer.at >= len(peer.indexes):
            destination.waiting -= 1
            destination.pass_first()
            job.waiting -= 1
            if not job.waiting:
                transport.end(job)
        destination.busy += 1
        transport.busy += 1
        if destination.rate is not None and (account := destination.account) is not None:
            account.take(destination.rate, now)
            self._rest_for_rate(destination, account, now)
        return Start(job.message_id, transport.name, peer.nexthop, indexes, destination.waiting > 0, destination)

    def _set_rate(self, destination: Destination, rate: Rate | None, now: float) -> None:
        """It has another one than before, or its first; what it has had is remembered for the time of one."""
        destination.rate = rate
        if rate is None:
            destination.resting = False
            self._settle(destination)
            return
        destination.account = account = destination.transport.accounts.of(destination.name, now).at(rate, now)
        self._rest_for_rate(destination, account, now)

    def _rest_for_rate(self, destination: Destination, account: Account, now: float) -> None:
        if (opens_at := account.opens_at()) > now:
            destination.resting = True
            self._set_timer(destination, opens_at)

    def _settle(self, destination: Destination) -> None:
        """After a change: a destination with mail and room is enlisted, an idle one forgotten."""
        transport = destination.transport
        if destination.waiting:
            if destination.size > destination.busy and not destination.resting:
                transport.enlist(destination)
                self._ready[transport] = None
                if transport.candidates is not None:
                    transport.candidates.opened(destination)
        elif (
            not destination.busy
            and destination.size
            # A timer may come for one that was forgotten long ago.
            and transport.destinations.get(destination.name) is destination
        ):
            del transport.destinations[destination.name]

    def _suspend_waiting(self, destination: Destination, suspended: Callable[[str, list[int]], Suspended]) -> None:
        transport = destination.transport
        for peer in destination.peers[destination.head :]:
            if peer is not None and peer.at < len(peer.indexes):
                self._suspended.append(suspended(peer.job.message_id, transport.withdraw(peer)))
        destination.waiting = 0

    def _rest(self, destination: Destination, until: float) -> None:
        destination.resumes_at = until
        self._set_timer(destination, until)

    def _set_timer(self, resting: "Destination | Transport", until: float) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (until, self._timer_count, resting))

    def _run_timers(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            when, _, resting = heapq.heappop(timers)
            if not isinstance(resting, Destination):
                continue
            if resting.resting and (resting.account is None or resting.account.opens_at() <= when):
                resting.resting = False
                self._settle(resting)
            # One that was revived, and perhaps rests again, has another time by now.
            if resting.resumes_at == when:
                self._resume(resting)

    def _resume(self, destination: Destination) -> None:
        if destination.reason is not None:
            destination.reason = None
            destination.revive(destination.transport.parameters)
            if destination.name in destination.transport.sick:
                destination.size = 1
        elif not destination.size:
            # It rested between deliveries; the count of failures goes on.
            destination.size = 1
        self._settle(destination)
