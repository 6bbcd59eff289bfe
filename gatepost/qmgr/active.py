"""A message in the active queue: what is being tried now and what has come of it (qmgr(8))."""

from typing import TYPE_CHECKING

from gatepost.mail.envelope import Message
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.jobs import Start

if TYPE_CHECKING:
    from gatepost.qmgr.recipients import Unread


class ActiveMessage:
    """One pass of a message through delivery.

    `since` is when it entered the active queue (wall clock, seconds). `unsettled` counts the recipients of this pass
    that have no result yet. `settled` are the recipients that are done for good in this pass (delivered or bounced),
    `deferred` and `bounced` the statuses that say why the others are not. `addresses` holds the resolved recipient
    where it differs.
    """

    __slots__ = (
        "addresses",
        "bounced",
        "counted",
        "deferred",
        "expire",
        "held",
        "message",
        "next_attempt",
        "noticed",
        "settled",
        "since",
        "traced",
        "tries",
        "unread",
        "unsettled",
        "unstarted",
    )

    def __init__(self, message: Message, since: float, unsettled: int) -> None:
        self.message = message
        self.since = since
        self.unsettled = unsettled
        self.settled: list[int] = []
        self.deferred: list[RecipientStatus] = []
        self.bounced: list[RecipientStatus] = []
        # What its sender is told of beside failures and delays; `~index`: of Message.expanded.
        self.noticed: list[RecipientStatus] = []
        self.traced = False  # of more than these its sender is told (tracing.py)
        self.addresses: dict[int, str] = {}
        # Delivery workers lost under this pass, by request.
        self.tries = 0
        # Recipients counted as in memory; those that are not, of a large message (qmgr/recipients.py).
        self.counted = 0
        self.unread: Unread | None = None
        # An operator's wishes, carried out when the pass is over: bounce what is left; "", hold, requeue or delete.
        # (Or corrupt, which nobody wished.)
        self.expire = False
        self.held = ""
        # When it is tried again (wall clock), where a retry schedule says so.
        self.next_attempt = 0.0
        self.unstarted = False  # a hold or requeue has taken recipients out of this pass


Running = tuple[ActiveMessage, Start | None, list[int]]
"""A request under way: no Start for what a worker has from an earlier queue manager; the recipients' numbers."""
