"""How many recipients are in memory at a time (Postfix SCHEDULER_README, "Dealing with memory resource limits").

Of a message, at first as many are taken as qmgr_message_recipient_limit leaves room for in all, and
qmgr_message_recipient_minimum in any case. Each transport has room for TRANSPORT_recipient_limit: what is left of that
belongs to the first message on its list of jobs that has more, and half of TRANSPORT_extra_recipient_limit to one that
preempts another. The others stay in the store, from which they are read TRANSPORT_recipient_refill_limit at a time at
least, or what there is room for after TRANSPORT_recipient_refill_delay seconds.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence

from gatepost.config.settings import Settings
from gatepost.mail.envelope import NOTIFY_SUCCESS, VERIFY, Recipient
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.scheduler import Scheduler

Read = Callable[[str, Sequence[int]], dict[int, Recipient]]
"""These recipients of a message (queue ID), from the store; those that cannot be read are left out."""

Route = Callable[[ActiveMessage, list[int]], None]


class LoadedRecipients(list[Recipient]):
    """In the place of a large message's list: the recipients that are in memory, by their number.

    (It is empty as a list; what is asked of messages under way is their recipients by number.)
    """

    def __init__(self, loaded: dict[int, Recipient]) -> None:
        list.__init__(self)
        self.loaded = loaded

    def __getitem__(self, index: int) -> Recipient:  # type: ignore[override]
        return self.loaded[index]


class Unread:
    """The recipients of a message that are not in memory: their numbers, those before `at` were read.

    `read_at`: monotonic seconds.
    """

    __slots__ = ("at", "numbers", "read_at")

    def __init__(self, numbers: Iterable[int], now: float) -> None:
        self.numbers = array("I", numbers)
        self.at = 0
        self.read_at = now

    def __len__(self) -> int:
        return len(self.numbers) - self.at

    def take(self, count: int) -> list[int]:
        taken = self.numbers[self.at : self.at + count].tolist()
        self.at += len(taken)
        return taken


class RecipientLimits:
    """`route` sends recipients of a message on their way; `clock`: monotonic seconds.

    `held` counts the recipients in memory that have no result yet.
    """

    def __init__(
        self, settings: Settings, scheduler: Scheduler, read: Read, route: Route, clock: Callable[[], float]
    ) -> None:
        self.held = 0
        self._limit = settings.qmgr_message_recipient_limit
        self._minimum = settings.qmgr_message_recipient_minimum
        self._scheduler = scheduler
        self._read = read
        self._route = route
        self._clock = clock

    def first(self, entry: ActiveMessage, open_: Sequence[int]) -> Sequence[int]:
        """Those recipients of `open_` with which a pass begins; the others follow."""
        room = max(self._minimum, self._limit - self.held)
        if len(open_) > room:
            message, first = entry.message, open_[:room]
            message.recipients = LoadedRecipients({index: message.recipients[index] for index in first})
            entry.unread = Unread(open_[room:], self._clock())
            self._scheduler.set_unread(message.queue_id, len(entry.unread))
            open_ = first
        return self.all(entry, open_)

    def all(self, entry: ActiveMessage, open_: Sequence[int]) -> Sequence[int]:
        """A pass begins with all of these."""
        entry.counted = len(open_)
        self.held += len(open_)
        return open_

    def settled(self, entry: ActiveMessage, statuses: Sequence[RecipientStatus]) -> None:
        """Some of a large message have results, and do not count as unsettled any more: read others and route them."""
        unread = entry.unread
        if unread is None:
            return
        recipients = entry.message.recipients
        if isinstance(recipients, LoadedRecipients) and not entry.traced and not entry.message.trace & VERIFY:
            for status in statuses:
                told = status.dsn_action and recipients.loaded[status.index].notify & NOTIFY_SUCCESS
                # Of the others a notice may have to tell.
                if status.action == "sent" and not told:
                    del recipients.loaded[status.index]
                    entry.addresses.pop(status.index, None)
        in_memory = entry.unsettled - len(unread)
        self.held += in_memory - entry.counted
        entry.counted = in_memory
        if len(unread) and (more := self._more(entry, unread)):
            self._route(entry, more)

    def _more(self, entry: ActiveMessage, unread: Unread) -> list[int]:
        queue_id, now = entry.message.queue_id, self._clock()
        room = self._room(queue_id, now - unread.read_at)
        if not entry.counted:
            room = max(room, self._minimum, self._limit - self.held)
        if not room:
            return []
        unread.read_at = now
        indexes = unread.take(room)
        read = self._read(queue_id, indexes)
        recipients = entry.message.recipients
        if isinstance(recipients, LoadedRecipients):
            recipients.loaded.update(read)
        if len(read) < len(indexes):
            # Damaged: the store has put it aside.
            entry.unstarted = True
            entry.unsettled -= len(indexes) - len(read) + self.drop(entry)
            indexes = [index for index in indexes if index in read]
        entry.counted += len(indexes)
        self.held += len(indexes)
        self._scheduler.set_unread(queue_id, len(unread))
        return indexes

    def _room(self, queue_id: str, waited: float) -> int:
        """For how many more recipients of a message there is room, and it is time."""
        room, few, long = 0, 0, 0.0
        for transport, job in self._scheduler.unread_jobs(queue_id):
            parameters = transport.parameters
            room += transport.room(job)
            few, long = max(few, parameters.refill_limit), max(long, parameters.refill_delay)
        return max(0, room) if room >= few or waited >= long else 0

    def drop(self, entry: ActiveMessage) -> int:
        """The recipients that were not read are not tried in this pass; how many."""
        unread = entry.unread
        if unread is None:
            return 0
        left = len(unread)
        unread.at = len(unread.numbers)
        return left
