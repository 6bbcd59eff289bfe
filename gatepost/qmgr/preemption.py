"""Small mail slips past large mailings, at a cost that the mailing is known to bear (Postfix SCHEDULER_README).

Each `slot_cost` deliveries of a job earn it a slot; a job that needs no more deliveries than it has, or may yet earn,
is a candidate to preempt it, and the best of these is the one with the most waiting time per delivery. It goes before
the current job as soon as all slots that it needs are there but for a loan and a discount, and it uses up all that it
needs. So however many jobs preempt, a mailing takes at most cost / (cost - 1) times its deliveries.

Postfix looks at all jobs to find the best. Here they are kept by the number of deliveries that they need, and for each
number by destination, so that a look takes no longer if there are many, or if many wait for a destination without room.
"""

from heapq import heappop, heappush, heapreplace

from gatepost.qmgr.jobs import Destination, Job, Transport

LARGEST = 1000
"""A job that needs more deliveries does not go before others."""

Waiting = tuple[float, int, Job]
Head = tuple[float, int, Destination]


class Candidates:
    """The jobs of a transport by what they need: up to 16 exactly, beyond that within an eighth.

    Entries that are no longer true are met, and mended, later.

    `heads` has, by size, the destinations that had room when they were put there, by their oldest job.
    """

    __slots__ = ("_count", "_heads", "_live", "_open", "_transport", "_waiting")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._count = 0
        self._waiting: dict[Destination, dict[int, list[Waiting]]] = {}
        self._heads: dict[int, list[Head]] = {}
        self._open: set[tuple[Destination, int]] = set()
        for destination in transport.destinations.values():
            for peer in destination.peers[destination.head :]:
                if peer is not None and peer.at < len(peer.indexes):
                    self.add(peer.job, destination)
        self._live = self._count

    def add(self, job: Job, destination: Destination) -> None:
        """A job has recipients at this destination."""
        needed = job.needed()
        if needed > LARGEST:
            return
        needed = _size(needed)
        self._count = count = self._count + 1
        heap = self._waiting.setdefault(destination, {}).setdefault(needed, [])
        heappush(heap, (job.since, count, job))
        if destination.size > destination.busy and not destination.resting:
            self._place(destination, needed, heap)

    def opened(self, destination: Destination) -> None:
        """A destination has room (again)."""
        for needed, heap in self._waiting.get(destination, {}).items():
            self._place(destination, needed, heap)

    def worn(self) -> bool:
        """Whether so much was added that it is better made anew, or forgotten."""
        return self._count > 4 * self._live + 1000

    def _place(self, destination: Destination, needed: int, heap: list[Waiting]) -> None:
        if heap and (destination, needed) not in self._open:
            self._open.add((destination, needed))
            since, count, _ = heap[0]
            heappush(self._heads.setdefault(needed, []), (since, count, destination))

    def best(self, current: Job, now: float) -> Job | None:
        """The one with the best ratio of age to deliveries that fits into the slots that `current` can yet have."""
        slots = (current.entries - current.selected + current.slots) // self._transport.parameters.slot_cost
        best, best_score = None, 0.0
        for needed in [needed for needed in self._heads if needed <= slots]:
            job = self._oldest(needed, current)
            if job is None or (exactly := job.needed()) > slots:
                continue
            if (score := (now - job.since + 1) / exactly) > best_score:
                best, best_score = job, score
        return best

    def _oldest(self, needed: int, current: Job) -> Job | None:
        """The oldest job with so many deliveries to go that could start one."""
        heads = self._heads[needed]
        while heads:
            since, count, destination = heads[0]
            waiting = self._waiting[destination][needed]
            if destination.size > destination.busy and not destination.resting:
                job = self._true_head(waiting, needed, destination, current)
                if job is not None and waiting[0][:2] == (since, count):
                    return job
                if job is not None:
                    heapreplace(heads, (waiting[0][0], waiting[0][1], destination))
                    continue
                del self._waiting[destination][needed]
                if not self._waiting[destination]:
                    del self._waiting[destination]
            heappop(heads)
            self._open.discard((destination, needed))
        del self._heads[needed]
        return None

    def _true_head(self, waiting: list[Waiting], needed: int, destination: Destination, current: Job) -> Job | None:
        while waiting:
            job = waiting[0][2]
            fit = job is not current and job.waiting and not job.children
            job.leave_out_done()
            if fit and any(peer.destination is destination and peer.at < len(peer.indexes) for peer in job.peers):
                if _size(job.needed()) == needed:
                    return job
                heappop(waiting)
                self.add(job, destination)
            else:
                heappop(waiting)
        return None


def _size(needed: int) -> int:
    """Rounded down to four binary digits, so that there are few sizes."""
    if needed <= 16:
        return needed
    digits = needed.bit_length() - 4
    return needed >> digits << digits


def preempting(transport: Transport, current: Job, now: float) -> bool:
    """Whether another job has gone before `current`, which is about to start a delivery."""
    parameters = transport.parameters
    candidates = transport.candidates
    if candidates is None or candidates.worn():
        candidates = transport.candidates = Candidates(transport)
    job = candidates.best(current, now)
    if job is None:
        return False
    needed = job.needed()
    wanted = needed * (100 - parameters.slot_discount) / 100 - parameters.slot_loan
    if current.slots // parameters.slot_cost < wanted:
        return False
    _preempt(transport, current, job, needed)
    return True


def _preempt(transport: Transport, current: Job, job: Job, needed: int) -> None:
    transport.leave_parent(job)
    current.slots -= needed * transport.parameters.slot_cost
    current.children += 1
    job.parent = current
    job.promised = job.selected + needed
    transport.last = last = transport.last + 1
    *upper, lowest = current.key
    moved = [peer for peer in job.peers if peer.at < len(peer.indexes)]
    for peer in moved:
        peer.destination.displace(peer)
    # After all that stood before the current job, before the current job.
    job.key = (*upper, lowest - 1, last)
    for peer in moved:
        peer.key = job.key
        peer.destination.place(peer)
        if peer.destination.size > peer.destination.busy and not peer.destination.resting:
            transport.enlist(peer.destination)
