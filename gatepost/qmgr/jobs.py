"""What the scheduler schedules: transports, destinations, jobs and peers (Postfix SCHEDULER_README).

What waits of a message for one transport is a *job*; it has *peers*, its recipients at one destination; a *destination*
is a queue of peers with a concurrency window; a *transport* has destinations and a process limit. One delivery takes an
*entry*: at most TRANSPORT_destination_recipient_limit recipients of a peer.

A transport's jobs have an order, told by their keys: that of their arrival, but for jobs that preempted another. Keys
are tuples of integers, so that between two of them there is always room for a third.
"""

from bisect import bisect_left, insort
from heapq import heappush
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from gatepost.qmgr.concurrency import TransportParameters, Window
from gatepost.qmgr.rates import Account, Accounts, Rate
from gatepost.qmgr.suspended import DEFERRED, Reason

if TYPE_CHECKING:
    from gatepost.qmgr.preemption import Candidates

UNLIMITED = 1 << 60

MANY_SICK = 20_000
"""Destinations of a transport that are remembered to have been dead."""

Key = tuple[int, ...]


class Job(msgspec.Struct, eq=False):
    """What waits of one message for one transport.

    `entries` and `selected` count what came and what was started, `waiting` the peers with recipients left, `unread`
    the recipients that are not in memory yet. `slots`: deliveries since the last preemption, less what preempting jobs
    were promised times their cost; `promised` is the value of `selected` until which a preempting job is paid for by
    its `parent`. `since`: monotonic seconds.
    """

    message_id: str
    key: Key
    since: float
    waiting: int = 0
    entries: int = 0
    selected: int = 0
    unread: int = 0
    slots: int = 0
    promised: int = 0
    children: int = 0
    parent: "Job | None" = None
    peers: list["Peer"] = []

    def needed(self) -> int:
        """The deliveries that it takes yet, at most."""
        return self.entries + self.unread - self.selected

    def leave_out_done(self) -> None:
        """Peers without recipients, if they are many."""
        if len(self.peers) > 2 * self.waiting:
            self.peers = [peer for peer in self.peers if peer.at < len(peer.indexes)]


class Peer(msgspec.Struct, eq=False):
    """The recipients of one job at one destination; those before `at` were started."""

    job: Job
    destination: "Destination"
    nexthop: str
    indexes: list[int]
    key: Key
    at: int = 0

    def left(self) -> list[int]:
        return self.indexes[self.at :]


_key_of = attrgetter("key")


class Destination(Window):
    """A queue of peers in the order of their jobs; those before `head` are done, and None.

    `waiting` counts peers with recipients; peers that were removed are met, and skipped, later. (A list, though its
    head is taken: a deque takes 600 octets even if it is empty, and there may be 20,000 destinations.)
    `listed` is its place among the transport's ready destinations. `resting`: its rate lets nothing start now.
    """

    __slots__ = (
        "account", "head", "listed", "name", "peers", "rate", "reason", "resting", "resumes_at", "transport", "waiting",
        "warn_at",
    )  # fmt: skip

    def __init__(self, transport: "Transport", name: str) -> None:
        Window.__init__(self, transport.parameters)
        self.transport = transport
        self.name = name
        self.peers: list[Peer | None] = []
        self.head = 0
        self.waiting = 0
        self.listed: Ready | None = None
        self.resting = False
        # Dead, or resting between deliveries, until then.
        self.resumes_at = self.warn_at = 0.0
        self.reason: Reason | None = None
        self.rate: Rate | None = None
        self.account: Account | None = None

    def place(self, peer: Peer) -> None:
        """Put a peer where its job's order wants it: the end, mostly."""
        peers = self.peers
        if not peers or (last := peers[-1]) is None or last.key <= peer.key:
            peers.append(peer)
        else:
            insort(peers, peer, lo=self.head, key=_key_of)

    def displace(self, peer: Peer) -> None:
        """Take out a peer, so that it can get another place."""
        peers = self.peers
        at = bisect_left(peers, peer.key, lo=self.head, key=_key_of)
        while peers[at] is not peer:
            at += 1
        del peers[at]

    def first(self) -> Peer | None:
        """The peer whose turn it is."""
        peers, head = self.peers, self.head
        if head < len(peers) and (peer := peers[head]) is not None and peer.at < len(peer.indexes):
            return peer
        while head < len(peers):
            peer = peers[head]
            if peer is not None and peer.at < len(peer.indexes):
                self.head = head
                return peer
            peers[head] = None
            head += 1
        peers.clear()
        self.head = 0
        return None

    def pass_first(self) -> None:
        """The first peer is done."""
        if not self.waiting:
            self.peers.clear()
            self.head = 0
            return
        head = self.head
        self.peers[head] = None
        head += 1
        if head > 64 and head * 2 > len(self.peers):
            del self.peers[:head]
            head = 0
        self.head = head


class Start(msgspec.Struct, eq=False):
    """One delivery to start. `more_waiting`: other mail waits for the same destination, so keep the connection."""

    message_id: str
    transport: str
    nexthop: str
    indexes: list[int]
    more_waiting: bool
    destination: Destination


Ready = tuple[Key, int, Destination]


class Transport:
    """`ready` is a heap of the destinations with mail and room, by their first job and, among those of one job, by the
    order in which they got there: so a job's destinations take turns. An entry counts only if it is its destination's
    `listed`.
    """

    __slots__ = (
        "accounts", "busy", "candidates", "destinations", "held", "jobs", "last", "name", "parameters", "preemptible",
        "process_limit", "ready", "reason", "resumes_at", "retry_at", "selective", "sick", "unread",
    )  # fmt: skip

    def __init__(self, name: str, parameters: TransportParameters) -> None:
        self.name = name
        self.parameters = parameters
        self.process_limit = parameters.process_limit or UNLIMITED
        # Jobs of fewer entries never gather slots enough to be preempted.
        cost = parameters.slot_cost
        self.preemptible = cost * parameters.minimum_slots if cost >= 2 else UNLIMITED
        self.busy = 0
        self.jobs: dict[str, Job] = {}
        # Those of messages with recipients that are not in memory; and how many recipients are.
        self.unread: dict[str, Job] = {}
        self.held = 0
        self.last = 0
        self.destinations: dict[str, Destination] = {}
        self.ready: list[Ready] = []
        self.resumes_at = 0.0
        # Why nothing at all is tried, and when it is again (transport_retry_time).
        self.reason: Reason | None = None
        self.retry_at = 0.0
        # Whether it must be asked `refusal` for what comes.
        self.selective = parameters.deferred or parameters.missing
        # Destinations that were dead lately, and until when that is remembered.
        self.sick: dict[str, float] = {}
        self.accounts = Accounts()
        # Made when a job could be preempted.
        self.candidates: Candidates | None = None

    def throttle(self, reason: Reason, now: float) -> None:
        """It failed, and is left alone for a while."""
        self.reason, self.retry_at, self.selective = reason, now + self.parameters.retry_time, True

    def unthrottle(self) -> None:
        self.reason = None
        self.selective = self.parameters.deferred or self.parameters.missing

    def refusal(self, now: float, *, flushed: bool) -> Reason | None:
        """Why what comes now is not tried: DSN and text. `flushed`: somebody wants it tried whatever there is."""
        if self.reason is not None and (now >= self.retry_at or (flushed and not self.parameters.missing)):
            self.unthrottle()
        return self.reason or (DEFERRED if self.parameters.deferred and not flushed else None)

    def put(self, destination: Destination, peer: Peer) -> bool:
        """A new peer into its destination's queue; whether the destination has become one of the ready ones."""
        alone = not destination.waiting
        if alone:
            destination.peers = [peer]
            destination.head = 0
        else:
            destination.place(peer)
        destination.waiting += 1
        if destination.size <= destination.busy or destination.resting:
            return False
        if alone:
            self.last = last = self.last + 1
            destination.listed = listed = (peer.key, last, destination)
            heappush(self.ready, listed)
            return True
        # Behind others it brings nothing new.
        if destination.listed is not None and destination.peers[-1] is peer:
            return False
        self.enlist(destination)
        return True

    def enlist(self, destination: Destination) -> None:
        """A destination that has room: among the ready ones if it has mail. Its first job may have changed."""
        peer = destination.first()
        if peer is None:
            destination.listed = None
            return
        listed = destination.listed
        if listed is None or listed[0] is not peer.key:
            self.last = last = self.last + 1
            destination.listed = listed = (peer.key, last, destination)
            heappush(self.ready, listed)

    def remember_sick(self, name: str, now: float) -> None:
        sick = self.sick
        sick.pop(name, None)
        sick[name] = now + self.parameters.sick_time
        while len(sick) > MANY_SICK or next(iter(sick.values())) <= now:
            del sick[next(iter(sick))]

    def withdraw(self, peer: Peer) -> list[int]:
        """What waits of it is not started; the recipients. It stays in its destination's queue, to be skipped."""
        job = peer.job
        left, peer.indexes = peer.left(), []
        limit = self.parameters.recipient_limit or UNLIMITED
        job.entries -= -(-len(left) // limit)
        job.waiting -= 1
        self.held -= len(left)
        if not job.waiting:
            self.end(job)
        return left

    def set_unread(self, job: Job, count: int) -> None:
        """So many recipients of its message are not in memory; a job is kept as long as there are any."""
        job.unread = count
        job.leave_out_done()
        if count:
            self.unread[job.message_id] = job
        else:
            self.unread.pop(job.message_id, None)
            if not job.waiting:
                self.end(job)

    def room(self, job: Job) -> int:
        """For how many more recipients of its message, which has some that are not in memory, this transport has room.

        Negative where there are more than there is room for, on account of the message's other transports.
        """
        parameters = self.parameters
        room = parameters.memory_limit - self.held if job is next(iter(self.unread.values())) else 0
        if job.parent is not None:
            room = max(room, parameters.extra_memory_limit // 2 - len(job.peers))
        return room

    def end(self, job: Job) -> None:
        """Nothing waits of a job any more."""
        if not job.unread:
            del self.jobs[job.message_id]
            # Peers know their jobs: nothing is left for the garbage collector.
            job.peers.clear()
            if job.parent is not None:
                self.leave_parent(job)
            if self.candidates is not None and not self.jobs:
                self.candidates = None

    def leave_parent(self, job: Job) -> None:
        """A preempting job gives back what it was promised and did not use.

        Only to the job that it preempted: to another in its place, the guarantee of how much a job is slowed down at
        most would not hold.
        """
        parent, job.parent = job.parent, None
        if parent is not None:
            parent.children -= 1
            parent.slots += max(0, job.promised - job.selected) * self.parameters.slot_cost
