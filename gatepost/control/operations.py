"""Operations on the queue, written once for the command line and the pages: listing, flush, hold, delete, show.

An operator's act is committed before it is reported. Works on a running queue manager, or (`manager` None) on the store
of a stopped system. What concerns many messages goes in pieces, so that it holds nobody up.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

import msgspec

from gatepost.control.listing import QUEUES, SAVED, listed_line
from gatepost.control.showing import shown_line
from gatepost.ipc.messages import Ask, Part
from gatepost.qmgr.destination_policies import DestinationPolicies
from gatepost.queue.store import FLUSHED, Batch, Listed, QueueName, Store, StoreFailure, StoreFull

PIECE = 500
"""Messages per piece of a listing."""

CHANGED_PIECE = 5000
"""Of a change or removal: a tenth of a second in the writer's thread; a flush of the disk each."""

PIECE_OCTETS = 1 << 20
"""A listing's piece ends after this many octets, too: one message may have 50,000 recipients."""

WRITING_PATIENCE = 1.0
"""Seconds for which a request waits until the store has what was done before it: not for ever, on a slow disk."""

ACTS: dict[str, tuple[str, ...]] = {
    "delete": ("incoming", "active", "deferred", "hold"),
    "hold": ("incoming", "active", "deferred"),
    "release": ("hold",),
    "expire": ("incoming", "active", "deferred", "hold"),
    "requeue": ("incoming", "active", "deferred", "hold"),
}
"""What may be done to messages, and to those of which queues if none are named (postsuper(1))."""

Found = Iterator[str | None]
"""Queue IDs, and None where looking for the next one has taken its time: then others have their turn."""

Send = Callable[[Part], None]
Later = Callable[[Callable[[], None]], object]
Timer = Callable[[float, Callable[[], None]], object]


class Committer(Protocol):
    """Makes a batch durable, then calls `done` with None or the failure (queue.group_commit, or a stopped store)."""

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None: ...


class ActiveQueue(Protocol):
    """What is asked of a running queue manager (qmgr.manager)."""

    @property
    def active(self) -> Mapping[str, object]:
        """By queue ID."""
        ...

    @property
    def policies(self) -> DestinationPolicies: ...

    def withdraw(self, queue_id: str, what: str) -> None: ...
    def revive(self) -> None: ...
    def stored_due(self, when: float) -> None: ...


class FlushLists(Protocol):
    """Which domains have their deferred mail listed (qmgr.flush)."""

    def ask(self, domain: str, told: Callable[[bool], None]) -> None: ...
    def read(self, domain: str) -> None: ...
    def unread(self) -> list[str]: ...


class Operations:
    """`clock`: wall-clock seconds. `later` runs a function in a later turn of the loop, `timer` after so many seconds.

    Requests (Ask): `list`; `active`; `count`; `cat ID...`; `flush [ID...]`; `flush-site DOMAIN`; `flush-listed DOMAIN`
    (no more than fast flush has listed); and `delete`, `hold`, `release`, `expire`, `requeue` with QUEUES (comma
    separated, empty: the usual ones) and ID... or `ALL`. The lines of the answer: one per message, its JSON or, of an
    act and of `active`, its queue ID.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        manager: ActiveQueue | None,
        clock: Callable[[], float],
        later: Later,
        flush_lists: FlushLists | None = None,
        timer: Timer | None = None,
    ) -> None:
        self._store = store
        self._committer = committer
        self._manager = manager
        self._clock = clock
        self._later = later
        self._flush_lists = flush_lists
        self._timer = timer

    def succeeded(self, manager: ActiveQueue, flush_lists: FlushLists) -> None:
        """Another queue manager of the same store has taken over: what is under way goes on with it."""
        self._manager, self._flush_lists = manager, flush_lists

    def answer(self, ask: Ask, send: Send, paced: Later | None = None) -> None:
        """Carry out one control request; its answer goes in one or more Parts. Raises nothing.

        `paced` runs a function when the asker has taken what was sent, or never if he is gone: a listing waits for
        that. An act does not: it is carried out whoever listens.
        """

        def begin() -> None:
            self._guarded(lambda: self._answer(ask, send, paced or self._later), ask.ticket, send)

        self._when_written(begin)

    def _when_written(self, step: Callable[[], None]) -> None:
        """Do it when the marks of what was delivered and deferred before (queue/group_commit.py) are in the store.

        Else what the log has called removed would still be listed, and what it has called deferred not be flushed.
        """
        steps = [step]

        def go() -> None:
            if steps:
                steps.pop()()

        self._committer.note(Batch(), lambda failure: go())
        if steps and self._timer is not None:
            self._timer(WRITING_PATIENCE, go)

    def _guarded(self, step: Callable[[], None], ticket: int, send: Send) -> None:
        try:
            step()
        except (StoreFailure, StoreFull, OSError) as failure:
            send(Part(ticket, [], last=True, error=_text(failure)))

    def _answer(self, ask: Ask, send: Send, paced: Later) -> None:
        arguments, ticket = ask.arguments, ask.ticket
        if ask.what == "list":
            self._stream(map(listed_line, self._listing()), ticket, send, paced)
        elif ask.what == "active":
            active = list(self._manager.active) if self._manager is not None else []
            self._stream(iter(active), ticket, send, paced)
        elif ask.what == "nexthops":
            health = self._manager.policies.health if self._manager is not None else None
            sick = health.listing() if health is not None else []
            self._stream((msgspec.json.encode(one).decode() for one in sick), ticket, send, paced)
        elif ask.what == "count":
            self._count(ticket, send)
        elif ask.what == "cat":
            self._show(ticket, arguments, send)
        elif ask.what == "flush":
            self._flush(ticket, iter(arguments) if arguments else self._deferred(), send, everything=not arguments)
        elif ask.what == "flush-site" and len(arguments) == 1:
            self._flush_site(ticket, arguments[0].lower(), send)
        elif ask.what == "flush-listed" and len(arguments) == 1:
            self._flush_listed(ticket, arguments[0].lower(), send)
        elif ask.what in ACTS and arguments:
            queues = frozenset(arguments[0].split(",")) if arguments[0] else frozenset(ACTS[ask.what])
            self._change(ticket, ask.what, queues, arguments[1:], send)
        else:
            send(Part(ticket, [], last=True, error=f"unknown request: {ask.what}"))

    # --- reading --------------------------------------------------------------------------------------------------

    def _listing(self) -> Iterator[Listed]:
        for item in self._store.listing():
            if self._is_active(item.queue_id):
                item.queue = "active"
            yield item

    def _stream(self, lines: Iterator[str], ticket: int, send: Send, paced: Later) -> None:
        def piece() -> None:
            some: list[str] = []
            octets = 0
            for line in lines:
                some.append(line)
                octets += len(line)
                if len(some) == PIECE or octets > PIECE_OCTETS:
                    send(Part(ticket, some))
                    paced(lambda: self._guarded(piece, ticket, send))
                    return
            send(Part(ticket, some, last=True))

        piece()

    def _count(self, ticket: int, send: Send) -> None:
        counts: dict[str, int] = {}
        pieces = self._store.count_in_pieces()

        def piece() -> None:
            some = next(pieces, None)
            if some is not None:
                for queue, number in some.items():
                    counts[queue] = counts.get(queue, 0) + number
                self._later(lambda: self._guarded(piece, ticket, send))
                return
            if self._manager is not None and self._manager.active:
                counts["active"] = len(self._manager.active)
            send(Part(ticket, [msgspec.json.encode(counts).decode()], last=True))

        piece()

    def _is_active(self, queue_id: str) -> bool:
        return self._manager is not None and queue_id in self._manager.active

    def _show(self, ticket: int, queue_ids: list[str], send: Send) -> None:
        for queue_id in queue_ids:
            stored = self._store.load(queue_id)
            if stored is None:
                error = f"open queue file {queue_id}: No such file or directory"
                send(Part(ticket, [], last=True, error=error))
                return
            file = stored.message.content_file
            path = self._store.content_path(file) if file else ""
            send(Part(ticket, [shown_line(stored, self._is_active(queue_id), path)]))
        send(Part(ticket, [], last=True))

    # --- acting ---------------------------------------------------------------------------------------------------

    def _flush(self, ticket: int, found: Found, send: Send, *, everything: bool = False) -> None:
        if everything and self._manager is not None:
            self._manager.revive()
        wanted = (queue_id for queue_id in found if queue_id is None or not self._is_active(queue_id))

        def batch(some: list[str]) -> Batch:
            return Batch(attempt=[(queue_id, FLUSHED) for queue_id in some])

        self._act(wanted, batch, ticket, send, self._due_now)

    def _due_now(self) -> None:
        if self._manager is not None:
            self._manager.stored_due(self._clock())

    def _deferred(self) -> Found:
        for page in self._store.queue_ids():
            for queue_id, queue in page:
                if queue == "deferred":
                    yield queue_id
            yield None

    def _flush_site(self, ticket: int, site: str, send: Send) -> None:
        """What is listed, if its domain is served; else the whole queue is looked through."""

        def told(served: bool) -> None:
            self._guarded(lambda: flush(served), ticket, send)

        def flush(served: bool) -> None:
            if served:
                self._flush_listed(ticket, site, send)
            else:
                self._flush(ticket, self._waiting_for(site), send)

        if self._flush_lists is None:
            flush(served=False)
        else:
            self._flush_lists.ask(site, told)

    def _waiting_for(self, site: str) -> Found:
        for number, item in enumerate(self._store.listing(), 1):
            if item.queue == "deferred" and any(_domain(address) == site for address, _ in item.recipients):
                yield item.queue_id
            if number % PIECE == 0:
                yield None

    def _flush_listed(self, ticket: int, site: str, send: Send) -> None:
        last = 0

        def piece() -> None:
            nonlocal last
            page = self._store.flush_list(site, last, CHANGED_PIECE)
            if not page:
                self._due_now()
                send(Part(ticket, [], last=True))
                return
            if self._flush_lists is not None:  # of a name of which nothing is listed nothing is kept
                self._flush_lists.read(site)
            found = [queue_id for _, queue_id in page if queue_id is not None and not self._is_active(queue_id)]
            # Nothing between them: a deferral that is being written now stays listed.
            marks = Batch(flushed=[(site, number, number) for number, _ in page])
            marks.attempt = [(queue_id, FLUSHED) for queue_id in found]
            last = page[-1][0]
            self._commit(marks, found, ticket, send, piece)

        piece()

    def refresh(self) -> None:
        """Read the lists of fast flush that nobody has read for long; to be called now and then."""
        for site in self._flush_lists.unread() if self._flush_lists is not None else ():
            self.answer(Ask(0, "flush-listed", [site]), _nobody)

    def _change(self, ticket: int, what: str, queues: frozenset[str], queue_ids: list[str], send: Send) -> None:
        def batch(found: list[str]) -> Batch:
            if self._manager is not None:
                for queue_id in found:
                    self._manager.withdraw(queue_id, what)
            if what == "delete":
                return Batch(removed=found)
            if what == "expire":
                return Batch(expired=found)
            if what == "requeue":
                return Batch(requeued=found)
            target: QueueName = "hold" if what == "hold" else "deferred"
            return Batch(moved=[(queue_id, target) for queue_id in found])

        def finished() -> None:
            if what in ("release", "requeue"):
                self._due_now()

        # Damaged and finished messages can be deleted, no more.
        allowed = frozenset((*QUEUES, SAVED) if what == "delete" else ACTS[what])
        found = self._select(queues & allowed, queue_ids, unexpired=what == "expire")
        self._act(found, batch, ticket, send, finished)

    def _select(self, queues: frozenset[str], queue_ids: list[str], *, unexpired: bool) -> Found:
        if "ALL" not in queue_ids:
            for first in range(0, len(queue_ids), PIECE):
                for queue_id, queue, expire in self._store.queues_of(queue_ids[first : first + PIECE]):
                    if self._queue(queue_id, queue) in queues and not (unexpired and expire):
                        yield queue_id
        elif unexpired:
            for number, item in enumerate(self._store.listing(), 1):
                if not item.forced_expire and self._queue(item.queue_id, item.queue) in queues:
                    yield item.queue_id
                if number % PIECE == 0:
                    yield None
        else:
            for page in self._store.queue_ids():
                for queue_id, queue in page:
                    if self._queue(queue_id, queue) in queues:
                        yield queue_id
                yield None

    def _queue(self, queue_id: str, stored: str) -> str:
        return "active" if self._is_active(queue_id) else stored

    def _act(
        self,
        found: Found,
        batch: Callable[[list[str]], Batch],
        ticket: int,
        send: Send,
        finished: Callable[[], None],
    ) -> None:
        """Commit what is to be done to the messages found, a piece at a time; each is told when it is durable."""

        gathered: list[str] = []

        def piece() -> None:
            for queue_id in found:
                if queue_id is None:
                    self._later(lambda: self._guarded(piece, ticket, send))
                    return
                gathered.append(queue_id)
                if len(gathered) == CHANGED_PIECE:
                    break
            some = gathered.copy()
            gathered.clear()
            if not some:
                finished()
                send(Part(ticket, [], last=True))
                return

            self._commit(batch(some), some, ticket, send, piece)

        self._later(lambda: self._guarded(piece, ticket, send))

    def _commit(
        self, batch: Batch, queue_ids: list[str], ticket: int, send: Send, following: Callable[[], None]
    ) -> None:
        """These messages are told of when it is durable; then comes the next piece."""

        def done(failure: Exception | None) -> None:
            if failure is not None:
                self._due_now()  # what was withdrawn from delivery is there as before
                send(Part(ticket, [], last=True, error=_text(failure)))
                return
            send(Part(ticket, queue_ids))
            self._later(lambda: self._guarded(following, ticket, send))

        self._committer.note(batch, done)


def _nobody(part: Part) -> None:
    pass


def _domain(address: str) -> str:
    return address.rpartition("@")[2].lower()


def _text(failure: Exception) -> str:
    if isinstance(failure, StoreFull):
        return "no space left on the queue's file system"
    return str(failure) or type(failure).__name__
