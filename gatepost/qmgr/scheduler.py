"""Which delivery starts next: pure; events and `now` (monotonic seconds) in, decisions out.

Nouns, as in Postfix (SCHEDULER_README): what waits of a message is a *job*; it has one *peer* per destination, its
recipients there; a *destination* is a queue of peers with a concurrency window; a *transport* has destinations and
a process limit. One delivery takes an *entry*: at most TRANSPORT_destination_recipient_limit recipients of a peer.

Who is next: a transport's destinations take turns, and so do the messages at a destination, an entry each. A job's
first SMALL entries go through one queue, what it has beyond through another, and the two alternate: whatever large
mailings wait, they take every other delivery slot at most, and small mail waits for small mail only. (Postfix comes to
the same by letting small jobs preempt large ones.)

As in Postfix a destination without mail is forgotten, and with it what was learnt about it.
"""

import heapq
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.qmgr.concurrency import TransportParameters, Window, transport_parameters

SMALL = 8
"""So many entries of a job are small mail."""

_UNLIMITED = 1 << 60


class Suspended(NamedTuple):
    """Recipients that are not tried now. `text` is what the log and the queue listing say."""

    message_id: str
    indexes: list[int]
    dsn: str
    reason: str
    text: str


class Start:
    """One delivery to start. `more_waiting`: other mail waits for the same destination, so keep the connection."""

    __slots__ = ("destination", "indexes", "message_id", "more_waiting", "nexthop", "transport")

    def __init__(
        self, message_id: str, nexthop: str, indexes: list[int], more_waiting: bool, destination: "_Destination"
    ) -> None:
        self.message_id = message_id
        self.transport = destination.transport.name
        self.nexthop = nexthop
        self.indexes = indexes
        self.more_waiting = more_waiting
        self.destination = destination


class _Peer:
    """The recipients of one message at one destination; those before `at` were started."""

    __slots__ = ("at", "destination", "indexes", "job", "nexthop")

    def __init__(self, job: "_Job", destination: "_Destination", nexthop: str, indexes: list[int]) -> None:
        self.job = job
        self.destination = destination
        self.nexthop = nexthop
        self.indexes = indexes
        self.at = 0


class _Job:
    """What waits of one message, and how many entries that made so far."""

    __slots__ = ("entries", "message_id", "peers")

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self.peers: set[_Peer] = set()
        self.entries = 0


class _Destination(Window):
    """A queue of peers, small ones and large ones apart; each of the two may stand in the transport's ring of its kind.

    `waiting` counts peers with recipients; peers that were removed are met, and skipped, later. (Lists, though their
    head is taken: a deque takes 600 octets even if it is empty, and there may be 20,000 destinations.)
    """

    __slots__ = (
        "large", "listed_large", "listed_small", "name", "reason", "resumes_at", "small", "transport", "waiting",
    )  # fmt: skip

    def __init__(self, transport: "_Transport", name: str) -> None:
        Window.__init__(self, transport.parameters)
        self.transport = transport
        self.name = name
        self.small: list[_Peer] = []
        self.large: list[_Peer] = []
        self.listed_small = False
        self.listed_large = False
        self.waiting = 0
        # Dead, or resting between deliveries, until then.
        self.resumes_at = 0.0
        self.reason: tuple[str, str] | None = None


class _Transport:
    __slots__ = (
        "busy", "destinations", "large", "name", "parameters", "process_limit", "resumes_at", "small", "small_turn",
    )  # fmt: skip

    def __init__(self, name: str, parameters: TransportParameters) -> None:
        self.name = name
        self.parameters = parameters
        self.process_limit = parameters.process_limit or _UNLIMITED
        self.busy = 0
        self.destinations: dict[str, _Destination] = {}
        self.small: deque[_Destination] = deque()
        self.large: deque[_Destination] = deque()
        self.small_turn = True
        self.resumes_at = 0.0


class Scheduler:
    """`parameters` gives those of a transport by its name; it is asked once per name."""

    def __init__(self, parameters: Callable[[str], TransportParameters]) -> None:
        self._parameters = parameters
        self._transports: dict[str, _Transport] = {}
        # Those that may have something to start.
        self._ready: dict[_Transport, None] = {}
        self._jobs: dict[str, _Job] = {}
        self._timers: list[tuple[float, int, _Destination | _Transport]] = []
        self._timer_count = 0
        self._suspended: list[Suspended] = []

    @classmethod
    def from_settings(cls, settings: Settings, services: Mapping[str, Service]) -> "Scheduler":
        """With the parameters of main.cf and the process limits of master.cf."""
        return cls(lambda transport: transport_parameters(settings, services, transport))

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
    ) -> None:
        """Recipients of a message that go to one destination.

        `queue_name` names the destination if it is not the nexthop: `localpart@nexthop`, without address extension, in
        lower case, where `per_recipient`.

        `group` is the destination's limit group, if it is not the destination alone: all destinations of a transport
        with one group name share one concurrency window, one rate and one state (dead, resting), as though they
        were one destination; each delivery keeps its own nexthop. A destination may change its group at any time:
        what was added before stays where it was.
        """
        via = self._transports.get(transport) or self._transport(transport)
        parameters = via.parameters
        if parameters.deferred:
            self._suspended.append(Suspended(message_id, indexes, "4.3.2", "deferred transport", "deferred transport"))
            return
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        name = group or queue_name or nexthop
        destination = via.destinations.get(name)
        if destination is None:
            destination = via.destinations[name] = _Destination(via, name)
        elif destination.reason is not None:
            self._suspended.append(_suspension(message_id, indexes, destination.reason))
            return
        job = self._jobs.get(message_id)
        if job is None:
            job = self._jobs[message_id] = _Job(message_id)
        peer = _Peer(job, destination, nexthop, indexes)
        job.peers.add(peer)
        limit = parameters.recipient_limit or _UNLIMITED
        job.entries += 1 if len(indexes) <= limit else -(-len(indexes) // limit)
        if job.entries <= SMALL:
            destination.small.append(peer)
        else:
            destination.large.append(peer)
        destination.waiting += 1
        if destination.size > destination.busy:
            self._enlist(destination)

    def next_requests(self, now: float) -> list[Start]:
        """The deliveries to start now."""
        if self._timers and self._timers[0][0] <= now:
            self._run_timers(now)
        starts: list[Start] = []
        if self._ready:
            for transport in list(self._ready):
                self._start_from(transport, now, starts)
                if not transport.small and not transport.large:
                    del self._ready[transport]
        return starts

    def suspended(self, now: float) -> list[Suspended]:
        """What was found, since the last call, to be for a dead destination or a deferred transport: to be deferred."""
        suspended, self._suspended = self._suspended, []
        return suspended

    def finished(self, start: Start, failure: tuple[str, str] | None, now: float) -> None:
        """A delivery ended. `failure`: DSN and reason if connection or handshake failed; the mail is not concerned."""
        destination = start.destination
        transport = destination.transport
        parameters = transport.parameters
        if failure is None:
            if destination.reason is not None:
                destination.reason = None
            destination.succeeded(parameters)
        elif destination.failed(parameters):
            self._suspend_waiting(destination, failure)
            self._rest(destination, now + parameters.dead_time)
        destination.busy -= 1
        transport.busy -= 1
        if parameters.rate_delay and destination.reason is None:
            destination.size = 0
            self._rest(destination, now + parameters.rate_delay)
        self._settle(destination)

    def remove(self, message_id: str) -> list[int]:
        """Forget what waits of a message (removed, held); the recipients. Deliveries that were started go on."""
        job = self._jobs.pop(message_id, None)
        indexes: list[int] = []
        if job:
            for peer in job.peers:
                indexes += peer.indexes[peer.at :]
                peer.indexes = []
                destination = peer.destination
                destination.waiting -= 1
                self._settle(destination)
        return sorted(indexes)

    def revive(self, now: float) -> None:
        """Forget which destinations are dead (postqueue -f)."""
        for _, _, resting in self._timers:
            if isinstance(resting, _Destination) and resting.reason is not None:
                resting.resumes_at = now
                self._resume(resting)

    def wake_at(self) -> float | None:
        """When `next_requests` should be called though nothing happened; None if that is not needed."""
        return self._timers[0][0] if self._timers else None

    def _transport(self, name: str) -> _Transport:
        transport = self._transports.get(name)
        if transport is None:
            transport = self._transports[name] = _Transport(name, self._parameters(name))
        return transport

    def _enlist(self, destination: _Destination) -> None:
        """Put a destination that has room and mail into the rings of its transport."""
        transport = destination.transport
        if destination.small and not destination.listed_small:
            destination.listed_small = True
            transport.small.append(destination)
            self._ready[transport] = None
        if destination.large and not destination.listed_large:
            destination.listed_large = True
            transport.large.append(destination)
            self._ready[transport] = None

    def _start_from(self, transport: _Transport, now: float, starts: list[Start]) -> None:
        small_ring, large_ring = transport.small, transport.large
        while transport.busy < transport.process_limit and transport.resumes_at <= now:
            if small_ring and (transport.small_turn or not large_ring):
                transport.small_turn = False
                destination = small_ring.popleft()
                destination.listed_small = False
                peers = destination.small
            elif large_ring:
                transport.small_turn = True
                destination = large_ring.popleft()
                destination.listed_large = False
                peers = destination.large
            else:
                return
            if destination.size <= destination.busy:
                continue
            while peers and not peers[0].indexes:
                del peers[0]
            if peers:
                starts.append(self._take(destination, peers))
                if transport.parameters.transport_rate_delay:
                    self._set_timer(transport, now + transport.parameters.transport_rate_delay)
            if destination.waiting and destination.size > destination.busy:
                self._enlist(destination)

    def _take(self, destination: _Destination, peers: list[_Peer]) -> Start:
        """An entry of the first peer, which then goes behind the others."""
        peer = peers[0]
        job = peer.job
        indexes = peer.indexes
        limit = destination.transport.parameters.recipient_limit
        if peer.at or (0 < limit < len(indexes)):
            indexes = indexes[peer.at : peer.at + limit]
            peer.at += limit
        else:
            peer.at = len(indexes)
        del peers[0]
        if peer.at >= len(peer.indexes):
            destination.waiting -= 1
            job.peers.discard(peer)
            if not job.peers:
                del self._jobs[job.message_id]
        else:
            peers.append(peer)
        destination.busy += 1
        destination.transport.busy += 1
        return Start(job.message_id, peer.nexthop, indexes, destination.waiting > 0, destination)

    def _settle(self, destination: _Destination) -> None:
        """After a change: a destination with mail and room is enlisted, an idle one forgotten."""
        if destination.waiting:
            if destination.size > destination.busy:
                self._enlist(destination)
        elif not destination.busy and destination.size:
            destinations = destination.transport.destinations
            # A timer may come for one that was forgotten long ago.
            if destinations.get(destination.name) is destination:
                del destinations[destination.name]

    def _suspend_waiting(self, destination: _Destination, failure: tuple[str, str]) -> None:
        dsn, reason = failure
        # A destination that cannot be reached is no reason to return mail.
        destination.reason = (dsn if dsn.startswith("4.") else "4.0.0", reason)
        for peer in (*destination.small, *destination.large):
            if peer.indexes:
                job = peer.job
                job.peers.discard(peer)
                if not job.peers:
                    self._jobs.pop(job.message_id, None)
                self._suspended.append(_suspension(job.message_id, peer.indexes[peer.at :], destination.reason))
        destination.small = []
        destination.large = []
        destination.waiting = 0

    def _rest(self, destination: _Destination, until: float) -> None:
        destination.resumes_at = until
        self._set_timer(destination, until)

    def _set_timer(self, resting: "_Destination | _Transport", until: float) -> None:
        resting.resumes_at = until
        self._timer_count += 1
        heapq.heappush(self._timers, (until, self._timer_count, resting))

    def _run_timers(self, now: float) -> None:
        timers = self._timers
        while timers and timers[0][0] <= now:
            when, _, resting = heapq.heappop(timers)
            # One that was revived, and perhaps rests again, has another time by now.
            if isinstance(resting, _Destination) and resting.resumes_at == when:
                self._resume(resting)

    def _resume(self, destination: _Destination) -> None:
        if destination.reason is not None:
            destination.reason = None
            destination.revive(destination.transport.parameters)
        elif not destination.size:
            # It rested between deliveries; the count of failures goes on.
            destination.size = 1
        self._settle(destination)


def _suspension(message_id: str, indexes: list[int], reason: tuple[str, str]) -> Suspended:
    dsn, text = reason
    return Suspended(message_id, indexes, dsn, text, f"delivery temporarily suspended: {text}")
