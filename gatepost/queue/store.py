"""The interface of the durable store.

One writer thread calls `commit` with everything that waits (queue/group_commit.py); when it returns, the batch is on
stable storage. The order that nothing may change (design, part 5): large content written -> synced with its folder
-> row committed (synced) -> `250`.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Literal, Protocol, TypeVar

import msgspec

from gatepost.mail.envelope import Message, Recipient

FLUSHED = -0.5
"""The next attempt of a message that an operator, or ETRN, wants tried now: whatever is known of its destination."""

Due = TypeVar("Due")
QueueName = Literal["incoming", "active", "deferred", "hold", "corrupt", "saved"]

ASIDE: frozenset[QueueName] = frozenset({"hold", "corrupt", "saved"})
"""In these nothing is tried. What is in `saved` is finished, and kept (dont_remove): it is not listed either."""


class StoreFailure(Exception):
    """A commit or sync failed. Final: the store is closed and read anew; nobody who waits may get `250`."""


class StoreFull(Exception):
    """No space left. The batch was not stored; the store goes on."""


class Deferral(msgspec.Struct, array_like=True):
    """Recipients that wait: their numbers, DSN and reason; `next_attempt` is wall-clock seconds.

    `warn_sent`: a delay notice went out (it is never unset). A held or corrupt message keeps its queue.
    `sites`: the domains under which it is listed for `Store.flush_list`.
    """

    queue_id: str
    next_attempt: float
    reasons: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    warn_sent: bool = False
    sites: Sequence[str] = ()


class Batch(msgspec.Struct):
    """Everything one commit writes.

    A message is in `new` of one batch at most, and its marks come in later batches. Marks of a message that is not
    there (any more) are ignored. Applied in the order shifted, flushed, done, deferred, moved, expired, requeued,
    attempt, removed.
    """

    new: list[Message] = msgspec.field(default_factory=list)
    # Recipients that are finished (delivered or bounced) while others remain: queue ID and recipient numbers.
    done: list[tuple[str, list[int]]] = msgspec.field(default_factory=list)
    deferred: list[Deferral] = msgspec.field(default_factory=list)
    removed: list[str] = msgspec.field(default_factory=list)
    # Moves between queues: queue ID and queue name: one of ASIDE, or any other to release it, to be tried at once.
    moved: list[tuple[str, QueueName]] = msgspec.field(default_factory=list)
    # To be returned to their senders at the next attempt, for good.
    expired: list[str] = msgspec.field(default_factory=list)
    # To be taken in anew, under another queue ID: released and tried at once, when the queue manager does so.
    requeued: list[str] = msgspec.field(default_factory=list)
    # Next attempt forced (flush), queue ID and wall-clock seconds; held and corrupt messages stay where they are.
    attempt: list[tuple[str, float]] = msgspec.field(default_factory=list)
    # Out of the list of a domain: the domain, the first and the last message number (Store.flush_list).
    flushed: list[tuple[str, int, int]] = msgspec.field(default_factory=list)
    # The clock was set: seconds to add to the next attempts of all messages.
    shifted: list[float] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return any(
            (
                self.new, self.done, self.deferred, self.removed, self.moved, self.attempt, self.expired,
                self.requeued, self.flushed, self.shifted,
            )
        )  # fmt: skip


class Stored(msgspec.Struct):
    """A message as read back: its open recipients are those whose number is in `open`; `reasons` tells why they wait.

    `queue` is incoming (never deferred), deferred, or one of ASIDE; `next_attempt` is 0 for those. In `saved` nobody is
    open.
    `expire`, `requeue`: see Batch.
    `message.warn_sent` tells whether a delay notice went out; `message.expanded` is empty, and
    `message.trace` without TRACE, once it was tried. Inline content may be left out (`content=False`, `due`).
    """

    message: Message
    queue: QueueName
    next_attempt: float
    open: list[int]
    reasons: dict[int, tuple[str, str]]
    expire: bool = False
    requeue: bool = False


class Listed(msgspec.Struct, array_like=True, gc=False):
    """One line of a queue listing: `recipients` are the open ones with their reasons (empty if never tried).

    `arrival` and `next_attempt` are wall-clock seconds, `size` is that of listings (Message.data_size).
    """

    queue_id: str
    queue: QueueName
    arrival: float
    size: int
    sender: str
    recipients: list[tuple[str, str]]
    next_attempt: float = 0.0
    forced_expire: bool = False


class Store(Protocol):
    """Threads: `commit` only from the writer thread, the reading methods from one other thread, `reserve` from any.

    After a StoreFailure every method but `close` raises StoreFailure.
    """

    def reserve(self, count: int) -> int:
        """A durable range of `count` numbers for queue IDs, none ever used before; the first of them.

        Seldom waits for a flush: numbers are set aside ahead of time. Raises StoreFull or StoreFailure.
        """
        ...

    def commit(self, batch: Batch) -> None:
        """Write all of `batch`, or nothing; raises StoreFull or StoreFailure.

        ValueError, before anything is written: a new message has no valid queue ID (mail/queue_id.py), one that is
        in use, or text that is not Unicode.
        """
        ...

    def load(self, queue_id: str, *, content: bool = True) -> Stored | None:
        """One message; None if there is none. A damaged one is moved to `corrupt` with a warning and is None."""
        ...

    def recipients(self, queue_id: str, indexes: Sequence[int]) -> dict[int, Recipient]:
        """Those recipients of a message, by number, that are there."""
        ...

    def due(self, now: float, limit: int, exclude: Container[str] = ()) -> list[Stored]:
        """Messages to try now (next_attempt <= now, not held), without content.

        One that was never tried and one that was, in turn, and of both kinds the oldest attempt first, to some seconds.
        `exclude`: queue IDs to leave out, that is those in the active queue (a set or dict).
        """
        ...

    def flush_list(self, domain: str, after: int, limit: int) -> list[tuple[int, str | None]]:
        """What was deferred and listed under this domain: message numbers, from that behind `after` on, with the queue
        IDs of those that still are in the deferred queue.
        """
        ...

    def flush_domains(self) -> list[str]:
        """The domains under which anything is listed."""
        ...

    def next_due(self, exclude: Container[str] = ()) -> float | None:
        """Wall-clock time of the earliest next attempt; None if nothing waits."""
        ...

    def listing(self) -> Iterator[Listed]:
        """All messages, streamed in the order of their numbers; what changes meanwhile may or may not be seen."""
        ...

    def queues_of(self, queue_ids: Iterable[str]) -> list[tuple[str, QueueName, bool]]:
        """Of those that there are, in this order and each once: queue ID, queue, and whether it is to be returned
        (`Stored.expire`). Nothing else of the messages is looked at.
        """
        ...

    def queue_ids(self) -> Iterator[list[tuple[str, QueueName]]]:
        """As listing, but only the queue IDs and their queues, some thousands at a time."""
        ...

    def count(self) -> dict[QueueName, int]:
        """Messages per queue; queues without any are left out. Active messages count where they are stored."""
        ...

    def count_in_pieces(self) -> Iterator[dict[QueueName, int]]:
        """The same, some ten thousand messages at a time, to be added up; what moves meanwhile may count twice."""
        ...

    def free(self) -> int:
        """Octets that can still be stored: free pages plus the file system's free space."""
        ...

    def content_path(self, name: str) -> str:
        """Path of a large content file."""
        ...

    def close(self) -> None: ...


def in_turn(new: Sequence[Due], tried: Sequence[Due]) -> list[Due]:
    """One of each in turn, so that a backlog does not hold up new mail (qmgr(8), fairness)."""
    return [one for pair in zip_longest(new, tried) for one in pair if one is not None]
