"""The store's double for tests: keeps nothing beyond the process, does all else as the durable one."""

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gatepost.mail.envelope import TRACE, Message, Recipient
from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.store import ASIDE, Batch, Deferral, Listed, QueueName, Stored, StoreFailure, StoreFull, in_turn


@dataclass(slots=True)
class _Kept:
    message: Message
    queue: QueueName
    next_attempt: float | None
    warn_sent: bool
    expire: bool = False
    requeue: bool = False
    done: set[int] = field(default_factory=set)
    reasons: dict[int, tuple[str, str]] = field(default_factory=dict)

    def tried(self) -> bool:
        return self.queue != "incoming" or bool(self.done)


class MemoryStore:
    """See `Store`. Tests may set `full` (commits raise StoreFull) and `failure` (every call raises it)."""

    def __init__(self, folder: Path | str = "", *, space: int = 1 << 40) -> None:
        self.full = False
        self.failure: StoreFailure | None = None
        # What was committed, in order.
        self.commits: list[Batch] = []
        # Called at the start of each commit, in the writer's thread.
        self.before_commit: Callable[[], None] | None = None
        self._folder = Path(folder)
        self._space = space
        self._next_number = 1
        self._kept: dict[int, _Kept] = {}
        self._listed: dict[str, set[int]] = {}

    def reserve(self, count: int) -> int:
        self._check()
        first = self._next_number
        self._next_number += count
        return first

    def commit(self, batch: Batch) -> None:
        if self.before_commit:
            self.before_commit()
        self._check()
        if self.full:
            raise StoreFull("no space")
        new = dict(self._new(message) for message in batch.new)
        if not new.keys().isdisjoint(self._kept) or len(new) < len(batch.new):
            raise ValueError("a queue ID is in use")
        for one in self._kept.values():
            if one.next_attempt and one.next_attempt > 0:
                one.next_attempt += sum(batch.shifted)
        for domain, first, last in batch.flushed:
            self._listed[domain] = {n for n in self._listed.get(domain, ()) if not first <= n <= last}
        for queue_id, indexes in batch.done:
            if kept := self._find(queue_id):
                kept.done.update(indexes)
                for index in indexes:
                    kept.reasons.pop(index, None)
        for deferral in batch.deferred:
            self._defer(deferral)
        for queue_id, queue in batch.moved:
            if kept := self._find(queue_id):
                kept.queue, kept.next_attempt = (queue, None) if queue in ASIDE else ("deferred", 0.0)
        for queue_id in batch.expired:
            if kept := self._find(queue_id):
                kept.expire = True
        for queue_id in batch.requeued:
            if kept := self._find(queue_id):
                kept.requeue, kept.queue, kept.next_attempt = True, "deferred", 0.0
        for queue_id, when in batch.attempt:
            if (kept := self._find(queue_id)) and kept.next_attempt is not None:
                kept.next_attempt = when
        for queue_id in batch.removed:
            if kept := self._find(queue_id):
                del self._kept[queue_id_number(queue_id) or 0]
                if kept.message.content_file:
                    Path(self.content_path(kept.message.content_file)).unlink(missing_ok=True)
        self._kept.update(new)
        self.commits.append(batch)

    def _new(self, message: Message) -> tuple[int, _Kept]:
        number = queue_id_number(message.queue_id)
        if number is None:
            raise ValueError(f"{message.queue_id}: not a queue ID")
        hold = message.hold
        return number, _Kept(
            _copy(message), "hold" if hold else "incoming", None if hold else message.arrival, message.warn_sent
        )

    def _defer(self, deferral: Deferral) -> None:
        if kept := self._find(deferral.queue_id):
            for index, dsn, text in deferral.reasons:
                kept.reasons[index] = (dsn, text)
            if kept.next_attempt is not None:
                kept.queue, kept.next_attempt = "deferred", deferral.next_attempt
            kept.warn_sent |= deferral.warn_sent
            for site in deferral.sites:
                self._listed.setdefault(site, set()).add(queue_id_number(deferral.queue_id) or 0)

    def load(self, queue_id: str, *, content: bool = True) -> Stored | None:
        self._check()
        kept = self._find(queue_id)
        return self._stored(kept, content) if kept else None

    def recipients(self, queue_id: str, indexes: Sequence[int]) -> dict[int, Recipient]:
        self._check()
        kept = self._find(queue_id)
        return {} if kept is None else {index: kept.message.recipients[index] for index in indexes}

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Stored]:
        self._check()
        waiting = [(when, kept) for when, kept in self._waiting(exclude) if when <= now]
        waiting.sort(key=lambda pair: (pair[0], queue_id_number(pair[1].message.queue_id)))
        fresh, tried = ([one for _, one in waiting if one.tried() is kind] for kind in (False, True))
        return [self._stored(one, False) for one in in_turn(fresh, tried)[: max(0, limit)]]

    def flush_list(self, domain: str, after: int, limit: int) -> list[tuple[int, str | None]]:
        self._check()
        listed = [number for number in sorted(self._listed.get(domain, ())) if number > after][:limit]
        kept = [(number, self._kept.get(number)) for number in listed]
        return [(number, one.message.queue_id if one and one.queue == "deferred" else None) for number, one in kept]

    def flush_domains(self) -> list[str]:
        self._check()
        return sorted(domain for domain, listed in self._listed.items() if listed)

    def next_due(self, exclude: Container[str] = ()) -> float | None:
        self._check()
        return min((when for when, _ in self._waiting(exclude)), default=None)

    def listing(self) -> Iterator[Listed]:
        self._check()
        for _, kept in sorted(self._kept.items()):
            if kept.queue == "saved":
                continue
            one = self._stored(kept, False)
            message = one.message
            recipients = [(message.recipients[at].address, one.reasons.get(at, ("", ""))[1]) for at in one.open]
            yield Listed(
                message.queue_id, one.queue, message.arrival, message.data_size, message.sender, recipients,
                one.next_attempt, one.expire,
            )  # fmt: skip

    def queues_of(self, queue_ids: Iterable[str]) -> list[tuple[str, QueueName, bool]]:
        self._check()
        found = ((queue_id, self._find(queue_id)) for queue_id in dict.fromkeys(queue_ids))
        return [(queue_id, kept.queue, kept.expire) for queue_id, kept in found if kept]

    def queue_ids(self) -> Iterator[list[tuple[str, QueueName]]]:
        self._check()
        yield [(kept.message.queue_id, kept.queue) for _, kept in sorted(self._kept.items())]

    def count(self) -> dict[QueueName, int]:
        self._check()
        counts: dict[QueueName, int] = {}
        for kept in self._kept.values():
            counts[kept.queue] = counts.get(kept.queue, 0) + 1
        return counts

    def count_in_pieces(self) -> Iterator[dict[QueueName, int]]:
        yield self.count()

    def free(self) -> int:
        self._check()
        return self._space - sum(kept.message.size for kept in self._kept.values())

    def content_path(self, name: str) -> str:
        return str(self._folder / "content" / name)

    def close(self) -> None:
        self.failure = self.failure or StoreFailure("the store is closed")

    def _check(self) -> None:
        if self.failure:
            raise self.failure

    def _find(self, queue_id: str) -> _Kept | None:
        kept = self._kept.get(queue_id_number(queue_id) or 0)
        return kept if kept and kept.message.queue_id == queue_id else None

    def _waiting(self, exclude: Container[str]) -> Iterator[tuple[float, _Kept]]:
        for kept in self._kept.values():
            if kept.next_attempt is not None and kept.message.queue_id not in exclude:
                yield kept.next_attempt, kept

    @staticmethod
    def _stored(kept: _Kept, content: bool) -> Stored:
        message = _copy(kept.message)
        message.warn_sent = kept.warn_sent
        if not content:
            message.content = b""
        saved = kept.queue == "saved"
        open_recipients = [index for index in range(len(message.recipients)) if not saved and index not in kept.done]
        reasons = {index: pair for index, pair in kept.reasons.items() if not saved and index not in kept.done}
        if reasons or kept.done:
            message.expanded = ()
            message.trace &= ~TRACE
        return Stored(
            message, kept.queue, kept.next_attempt or 0.0, open_recipients, reasons, kept.expire, kept.requeue
        )


def _copy(message: Message) -> Message:
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=Message)
    except UnicodeEncodeError as error:
        raise ValueError(str(error)) from error
