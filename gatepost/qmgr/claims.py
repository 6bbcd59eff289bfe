"""What delivery workers did and do for an earlier queue manager, taken over by its successor.

Everything that a worker has under way, or has lately finished, is told before anything is dispatched; so a crash of the
queue manager makes no duplicates.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from gatepost.ipc.messages import Claim, Result
from gatepost.mail.envelope import Message
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.queue.store import Store

Activate = Callable[[Message, list[int]], ActiveMessage]
Route = Callable[[ActiveMessage, list[int]], None]


class Claims:
    """`activate` begins a pass without routing it; `route` sends recipients on their way.

    `active` is the active queue, by queue ID.
    """

    def __init__(self, store: Store, active: dict[str, ActiveMessage], activate: Activate, route: Route) -> None:
        self._store = store
        self._active = active
        self._activate = activate
        self._route = route
        # Recipients of a claimed message that no worker has claimed (yet).
        self._left: dict[ActiveMessage, dict[int, None]] = {}

    def is_known(self, queue_id: str, statuses: Sequence[RecipientStatus], now: float) -> bool:
        """Does the store know these results already, so that nothing comes of telling them again? `now`: wall clock.

        Workers tell what they have lately finished, whether its marks were written or not.
        """
        if queue_id in self._active:
            return False
        stored = self._store.load(queue_id, content=False)
        if stored is None or stored.queue == "hold":
            return True
        # A next attempt that is yet to come was set after all that could be told here.
        waiting = stored.reasons if stored.next_attempt > now else {}
        open_ = frozenset(stored.open)
        return all(
            status.index not in open_ or (status.action != "sent" and status.index in waiting) for status in statuses
        )

    def take(self, queue_id: str, indexes: list[int]) -> tuple[ActiveMessage | None, list[int]]:
        """The message, active, and those of `indexes` that are still open; (None, []) if it is gone or dispatched
        anew.
        """
        entry = self._active.get(queue_id)
        if entry is None:
            stored = self._store.load(queue_id)
            if stored is None or stored.queue == "hold" or not stored.open:
                return None, []
            entry = self._activate(stored.message, stored.open)
            self._left[entry] = dict.fromkeys(stored.open)
        left = self._left.get(entry)
        if left is None:
            return None, []
        claimed = [index for index in indexes if index in left]
        for index in claimed:
            left.pop(index, None)
        return (entry, claimed) if claimed else (None, [])

    def news(self, results: Iterable[Result], now: float) -> Iterator[tuple[ActiveMessage, list[RecipientStatus]]]:
        """Of the results that a worker tells, those that are not known: to be settled. `now`: wall clock."""
        for result in results:
            if self.is_known(result.queue_id, result.statuses, now):
                continue
            entry, indexes = self.take(result.queue_id, [status.index for status in result.statuses])
            if entry is not None:
                yield entry, [status for status in result.statuses if status.index in indexes]

    def under_way(self, claims: Iterable[Claim]) -> Iterator[tuple[int, tuple[ActiveMessage, None, list[int]]]]:
        """What a worker does, by the number of its request: message and recipients."""
        for claim in claims:
            entry, indexes = self.take(claim.queue_id, claim.indexes)
            if entry is not None:
                yield claim.request_id, (entry, None, indexes)

    def route_rest(self) -> None:
        """Dispatch what no worker has claimed."""
        left, self._left = self._left, {}
        for entry, indexes in left.items():
            if indexes:
                self._route(entry, list(indexes))
