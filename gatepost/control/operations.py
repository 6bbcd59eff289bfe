"""Operations on the queue, written once for the command line and the pages: listing, flush, hold, delete, show.

An operator's act is committed before it is reported. Works on a running queue manager, or (`manager` None) on the store
of a stopped system. What concerns many messages goes in pieces, so that it holds nobody up.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Protocol

import msgspec

from gatepost.control.listing import listed_line
from gatepost.control.showing import shown_line
from gatepost.ipc.messages import Ask, Part
from gatepost.queue.store import Batch, Listed, QueueName, Store, StoreFailure, StoreFull

PIECE = 500
"""Messages per piece of a listing."""

CHANGED_PIECE = 2000
"""Of a change: a fortieth of a second in the writer's thread, much of it the same whatever their number."""

REMOVED_PIECE = 5000
"""Of a removal: one statement, a tenth of a second in the writer's thread."""

PIECE_OCTETS = 1 << 20
"""A listing's piece ends after this many octets, too: one message may have 50,000 recipients."""

QUEUES = ("incoming", "active", "deferred", "hold", "corrupt")
ACTS: dict[str, tuple[str, ...]] = {
    "delete": ("incoming", "active", "deferred", "hold"),
    "hold": ("incoming", "active", "deferred"),
    "release": ("hold",),
    "expire": ("incoming", "active", "deferred", "hold"),
    "requeue": ("incoming", "active", "deferred", "hold"),
}
"""What may be done to messages, and to those of which queues if none are named (postsuper(1))."""

Send = Callable[[Part], None]
Later = Callable[[Callable[[], None]], object]


class Committer(Protocol):
    """Makes a batch durable, then calls `done` with None or the failure (queue.group_commit, or a stopped store)."""

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None: ...


class ActiveQueue(Protocol):
    """What is asked of a running queue manager (qmgr.manager)."""

    @property
    def active(self) -> Mapping[str, object]:
        """By queue ID."""
        ...

    def withdraw(self, queue_id: str, what: str) -> None: ...
    def revive(self) -> None: ...
    def stored_due(self, when: float) -> None: ...


class Operations:
    """`clock`: wall-clock seconds. `later` runs a function in a later turn of the loop.

    Requests (Ask): `list`; `active`; `count`; `cat ID...`; `flush [ID...]`; `flush-site DOMAIN...`; and `delete`,
    `hold`, `release`, `expire`, `requeue` with QUEUES (comma separated, empty: the usual ones) and ID... or `ALL`. The
    lines of the answer: one per message, its JSON or, of an act and of `active`, its queue ID.
    """

    def __init__(
        self,
        store: Store,
        committer: Committer,
        manager: ActiveQueue | None,
        clock: Callable[[], float],
        later: Later,
    ) -> None:
        self._store = store
        self._committer = committer
        self._manager = manager
        self._clock = clock
        self._later = later

    def answer(self, ask: Ask, send: Send) -> None:
        """Carry out one control request; its answer goes in one or more Parts. Raises nothing."""
        self._guarded(lambda: self._answer(ask, send), ask.ticket, send)

    def _guarded(self, step: Callable[[], None], ticket: int, send: Send) -> None:
        try:
            step()
        except (StoreFailure, StoreFull, OSError) as failure:
            send(Part(ticket, [], last=True, error=_text(failure)))

    def _answer(self, ask: Ask, send: Send) -> None:
        arguments, ticket = ask.arguments, ask.ticket
        if ask.what == "list":
            self._stream(map(listed_line, self._listing()), ticket, send)
        elif ask.what == "active":
            self._stream(iter(list(self._manager.active) if self._manager is not None else ()), ticket, send)
        elif ask.what == "count":
            send(Part(ticket, [msgspec.json.encode(self._count()).decode()], last=True))
        elif ask.what == "cat":
            self._show(ticket, arguments, send)
        elif ask.what in ("flush", "flush-site"):
            sites = frozenset(site.lower() for site in arguments) if ask.what == "flush-site" else None
            self._flush(ticket, [] if sites is not None else arguments, sites, send)
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

    def _stream(self, lines: Iterator[str], ticket: int, send: Send) -> None:
        def piece() -> None:
            some: list[str] = []
            octets = 0
            for line in lines:
                some.append(line)
                octets += len(line)
                if len(some) == PIECE or octets > PIECE_OCTETS:
                    send(Part(ticket, some))
                    self._later(lambda: self._guarded(piece, ticket, send))
                    return
            send(Part(ticket, some, last=True))

        piece()

    def _count(self) -> dict[str, int]:
        counts = {str(queue): number for queue, number in self._store.count().items()}
        if self._manager is not None and self._manager.active:
            counts["active"] = len(self._manager.active)
        return counts

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

    def _flush(self, ticket: int, queue_ids: list[str], sites: frozenset[str] | None, send: Send) -> None:
        now = self._clock()
        manager = self._manager
        if manager is not None:
            manager.revive()
        found = iter(queue_ids) if queue_ids else self._waiting(now, sites)
        wanted = (queue_id for queue_id in found if not self._is_active(queue_id))

        def finished() -> None:
            if manager is not None:
                manager.stored_due(now)

        self._act(wanted, lambda some: Batch(attempt=[(queue_id, now) for queue_id in some]), ticket, send, finished)

    def _waiting(self, now: float, sites: frozenset[str] | None) -> Iterator[str]:
        for item in self._store.listing():
            if item.queue in ("hold", "corrupt") or item.next_attempt <= now:
                continue
            if sites is None or any(address.rpartition("@")[2].lower() in sites for address, _ in item.recipients):
                yield item.queue_id

    def _change(self, ticket: int, what: str, queues: frozenset[str], queue_ids: list[str], send: Send) -> None:
        manager = self._manager

        def batch(found: list[str]) -> Batch:
            if manager is not None:
                for queue_id in found:
                    manager.withdraw(queue_id, what)
            if what == "delete":
                return Batch(removed=found)
            if what == "expire":
                return Batch(expired=found)
            if what == "requeue":
                return Batch(requeued=found)
            target: QueueName = "hold" if what == "hold" else "deferred"
            return Batch(moved=[(queue_id, target) for queue_id in found])

        def finished() -> None:
            if manager is not None and what in ("release", "requeue"):
                manager.stored_due(self._clock())

        # Damaged messages can be deleted, no more.
        allowed = frozenset(QUEUES if what == "delete" else ACTS[what])
        found = self._select(queues & allowed, queue_ids, unexpired=what == "expire")
        size = REMOVED_PIECE if what == "delete" else CHANGED_PIECE
        self._act(found, batch, ticket, send, finished, size)

    def _select(self, queues: frozenset[str], queue_ids: list[str], *, unexpired: bool) -> Iterator[str]:
        if "ALL" not in queue_ids:
            for first in range(0, len(queue_ids), PIECE):
                for queue_id, queue, expire in self._store.queues_of(queue_ids[first : first + PIECE]):
                    if self._queue(queue_id, queue) in queues and not (unexpired and expire):
                        yield queue_id
        elif unexpired:
            for item in self._store.listing():
                if not item.forced_expire and self._queue(item.queue_id, item.queue) in queues:
                    yield item.queue_id
        else:
            for page in self._store.queue_ids():
                for queue_id, queue in page:
                    if self._queue(queue_id, queue) in queues:
                        yield queue_id

    def _queue(self, queue_id: str, stored: str) -> str:
        return "active" if self._is_active(queue_id) else stored

    def _act(
        self,
        found: Iterator[str],
        batch: Callable[[list[str]], Batch],
        ticket: int,
        send: Send,
        finished: Callable[[], None],
        size: int = PIECE,
    ) -> None:
        """Commit what is to be done to the messages found, a piece at a time; each is told when it is durable."""

        def piece() -> None:
            some = list(islice(found, size))
            if not some:
                finished()
                send(Part(ticket, [], last=True))
                return

            def done(failure: Exception | None) -> None:
                if failure is not None:
                    send(Part(ticket, [], last=True, error=_text(failure)))
                    return
                send(Part(ticket, some))
                self._later(lambda: self._guarded(piece, ticket, send))

            self._committer.note(batch(some), done)

        piece()


def _text(failure: Exception) -> str:
    if isinstance(failure, StoreFull):
        return "no space left on the queue's file system"
    return str(failure) or type(failure).__name__
