"""Operations on the queue, written once for the command line and the pages: listing, flush, hold, delete, show.

An operator's act is committed before it is reported. Works on a running queue manager, or (`manager` None) on the store of
a stopped system.
"""

import json
from collections.abc import Callable, Iterable
from typing import Protocol

from gatepost.ipc.messages import Ask, Part
from gatepost.qmgr.manager import QueueManager
from gatepost.queue.store import Batch, Listed, QueueName, Store, StoreFailure, StoreFull

PIECE = 500
"""Messages per piece of a listing."""

Send = Callable[[Part], None]


class Committer(Protocol):
    """Makes a batch durable, then calls `done` with None or the failure (queue.group_commit, or a stopped system's store)."""

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None: ...


def listed_line(item: Listed, active: bool) -> str:
    """One message as JSON, in the shape of `postqueue -j`."""
    return json.dumps(
        {
            "queue_name": "active" if active else item.queue,
            "queue_id": item.queue_id,
            "arrival_time": int(item.arrival),
            "message_size": item.size,
            "forced_expire": False,
            "sender": item.sender,
            "recipients": [{"address": a, "delay_reason": why} if why else {"address": a} for a, why in item.recipients],
        },
        ensure_ascii=False,
    )


class Operations:
    """`clock`: wall-clock seconds. `yield_to_loop`: runs a function in a later turn, so that long listings hold nobody up."""

    def __init__(
        self, store: Store, committer: Committer, manager: QueueManager | None, clock: Callable[[], float], later: Callable[[Callable[[], None]], object]
    ) -> None:
        self._store = store
        self._committer = committer
        self._manager = manager
        self._clock = clock
        self._later = later

    def answer(self, ask: Ask, send: Send) -> None:
        """Carry out one control request; its answer goes in one or more Parts."""
        arguments = ask.arguments
        if ask.what == "list":
            self._list(ask.ticket, send)
        elif ask.what == "count":
            counts = dict(self._store.count())
            if self._manager is not None:
                counts["active"] = len(self._manager.active)
            send(Part(ask.ticket, [json.dumps(counts)], last=True))
        elif ask.what == "cat":
            self._cat(ask.ticket, arguments, send)
        elif ask.what == "flush":
            self._flush(ask.ticket, arguments, send)
        elif ask.what in ("delete", "hold", "release"):
            self._change(ask.ticket, ask.what, arguments, send)
        else:
            send(Part(ask.ticket, [], last=True, error=f"unknown request: {ask.what}"))

    # --- reading --------------------------------------------------------------------------------------------------

    def _list(self, ticket: int, send: Send) -> None:
        listing = iter(self._store.listing())

        def piece() -> None:
            lines = []
            for item in listing:
                lines.append(listed_line(item, self._is_active(item.queue_id)))
                if len(lines) == PIECE:
                    send(Part(ticket, lines))
                    self._later(piece)
                    return
            send(Part(ticket, lines, last=True))

        piece()

    def _is_active(self, queue_id: str) -> bool:
        return self._manager is not None and queue_id in self._manager.active

    def _cat(self, ticket: int, queue_ids: list[str], send: Send) -> None:
        for queue_id in queue_ids:
            stored = self._store.load(queue_id)
            if stored is None:
                send(Part(ticket, [], last=True, error=f"open queue file {queue_id}: No such file or directory"))
                return
            m = stored.message
            content = m.content
            if m.content_file:
                with open(self._store.content_path(m.content_file), "rb") as file:
                    content = file.read()
            facts = {
                "queue_id": m.queue_id, "queue_name": stored.queue, "arrival_time": m.arrival, "message_size": m.size, "sender": m.sender,
                "recipients": [{"address": r.address, "original": r.original or r.address, "done": i not in stored.open} for i, r in enumerate(m.recipients)],
                "client_name": m.origin.name, "client_address": m.origin.address, "client_port": m.origin.port, "helo_name": m.origin.helo,
                "protocol_name": m.origin.protocol, "encoding": m.body, "envelope_id": m.envid, "content_filter": m.filter,
                "content": content.decode("latin-1"),
            }  # fmt: skip
            send(Part(ticket, [json.dumps(facts)]))
        send(Part(ticket, [], last=True))

    # --- acting ---------------------------------------------------------------------------------------------------

    def _commit(self, ticket: int, batch: Batch, lines: list[str], send: Send) -> None:
        def done(failure: Exception | None) -> None:
            if failure is not None:
                text = "no space left" if isinstance(failure, StoreFull) else str(failure) or type(failure).__name__
                send(Part(ticket, [], last=True, error=text))
            else:
                send(Part(ticket, lines, last=True))

        try:
            self._committer.note(batch, done)
        except (StoreFull, StoreFailure) as failure:
            done(failure)

    def _flush(self, ticket: int, queue_ids: list[str], send: Send) -> None:
        now = self._clock()
        wanted = queue_ids or [item.queue_id for item in self._store.listing() if item.queue not in ("hold", "corrupt") and item.next_attempt > now]
        if self._manager is not None:
            self._manager.revive()
            wanted = [queue_id for queue_id in wanted if queue_id not in self._manager.active]
        if not wanted:
            send(Part(ticket, [], last=True))
            return
        manager = self._manager

        def flushed(part: Part) -> None:
            if manager is not None:
                manager.stored_due(now)
            send(part)

        self._commit(ticket, Batch(attempt=[(queue_id, now) for queue_id in wanted]), wanted, flushed)

    def _change(self, ticket: int, what: str, queue_ids: list[str], send: Send) -> None:
        """delete, hold or release by queue ID, `ALL`, or `ALL QUEUE...`; the answer's lines are the IDs that were there."""
        found = list(self._select(what, queue_ids))
        batch = Batch()
        if what == "delete":
            batch.removed = found
        else:
            target: QueueName = "hold" if what == "hold" else "deferred"
            batch.moved = [(queue_id, target) for queue_id in found]
        if self._manager is not None:
            for queue_id in found:
                self._manager.withdraw(queue_id, what)
        manager = self._manager

        def changed(part: Part) -> None:
            if manager is not None and what == "release":
                manager.stored_due(self._clock())
            send(part)

        if found:
            self._commit(ticket, batch, found, changed)
        else:
            send(Part(ticket, [], last=True))

    def _select(self, what: str, queue_ids: list[str]) -> Iterable[str]:
        if queue_ids and queue_ids[0] == "ALL":
            queues = set(queue_ids[1:])
            for item in self._store.listing():
                queue = "active" if self._is_active(item.queue_id) else item.queue
                if queues and queue not in queues:
                    continue
                if (what == "hold") == (item.queue == "hold") and what != "delete":
                    continue
                yield item.queue_id
            return
        for queue_id in queue_ids:
            stored = self._store.load(queue_id, content=False)
            if stored is None:
                continue
            if what == "delete" or (what == "release") == (stored.queue == "hold"):
                yield queue_id
