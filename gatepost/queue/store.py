"""The interface of the durable store.

One writer thread calls `commit` with everything that waits (queue/group_commit.py); when it returns, the batch is on
stable storage. The order that nothing may change (design, part 5): large content written -> synced with its folder
-> row committed (synced) -> `250`.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

from gatepost.mail.envelope import Message

QueueName = Literal["incoming", "active", "deferred", "hold", "corrupt"]


class StoreFailure(Exception):
    """A commit or sync failed. Final: the store is closed and read anew; nobody who waits may get `250`."""


class StoreFull(Exception):
    """No space left. The batch was not stored; the store goes on."""


class Deferral(msgspec.Struct, array_like=True):
    """Recipients that wait: their numbers, DSN and reason; the message is next tried at `next_attempt` (wall clock, seconds)."""

    queue_id: str
    next_attempt: float
    reasons: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    warn_sent: bool = False


class Batch(msgspec.Struct):
    """Everything one commit writes."""

    new: list[Message] = msgspec.field(default_factory=list)
    # Recipients that are finished (delivered or bounced) while others remain: queue ID and recipient numbers.
    done: list[tuple[str, list[int]]] = msgspec.field(default_factory=list)
    deferred: list[Deferral] = msgspec.field(default_factory=list)
    removed: list[str] = msgspec.field(default_factory=list)
    # Moves between queues: queue ID and queue name ("hold", "deferred" to release at once, "corrupt").
    moved: list[tuple[str, QueueName]] = msgspec.field(default_factory=list)
    # Next attempt forced (flush), queue ID and wall-clock seconds.
    attempt: list[tuple[str, float]] = msgspec.field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.done or self.deferred or self.removed or self.moved or self.attempt)


class Stored(msgspec.Struct):
    """A message as read back: its open recipients are those whose number is in `open`; `reasons` tells why they wait."""

    message: Message
    queue: QueueName
    next_attempt: float
    open: list[int]
    reasons: dict[int, tuple[str, str]]


class Listed(msgspec.Struct):
    """One line of a queue listing: `recipients` are the open ones with their reasons (empty if never tried)."""

    queue_id: str
    queue: QueueName
    arrival: float
    size: int
    sender: str
    recipients: list[tuple[str, str]]
    next_attempt: float = 0.0


class Store(Protocol):
    """Thread rules: `commit` only from the writer thread; the reading methods from one other thread."""

    def reserve(self, count: int) -> int:
        """A durable range of `count` numbers for queue IDs, none ever used before; the first of them."""
        ...

    def commit(self, batch: Batch) -> None:
        """Write all of `batch`, or nothing; raises StoreFull or StoreFailure."""
        ...

    def load(self, queue_id: str, *, content: bool = True) -> Stored | None:
        """One message; None if there is none. A damaged one is moved to `corrupt` with a warning and is None."""
        ...

    def due(self, now: float, limit: int) -> list[Stored]:
        """Messages to try now (next_attempt <= now, not held), oldest attempt first, without those in `exclude_active`."""
        ...

    def next_due(self) -> float | None:
        """Wall-clock time of the earliest next attempt; None if nothing waits."""
        ...

    def listing(self) -> Iterator[Listed]:
        """All messages, streamed."""
        ...

    def count(self) -> dict[QueueName, int]: ...

    def free(self) -> int:
        """Octets that can still be stored: free pages plus the file system's free space."""
        ...

    def content_path(self, name: str) -> str:
        """Path of a large content file."""
        ...

    def close(self) -> None: ...
