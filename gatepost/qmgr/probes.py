"""Address probes among the messages of the queue manager: how many, which way they go, and whom their results reach.

A probe's recipients are done for good whatever came of them: nothing is deferred, nobody gets a notice (qmgr(8)).
"""

from collections.abc import Callable, Container

from msgspec.structs import replace

from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import UNDELIVERED, VERIFY, Message, Recipient
from gatepost.mail.status import RecipientStatus, probe_word
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.qmgr.active import ActiveMessage
from gatepost.rewrite.resolve import AddressResolver

Report = Callable[[Recipient, RecipientStatus], None]

OVER_LIMIT = ("retry", "4.3.3 address verification limit")


def to_nobody(recipient: Recipient, status: RecipientStatus) -> None:
    """A Report for a queue manager without verification."""


class Probes:
    """`resolver`: that of address_verify_*; `limit`: address_verify_pending_request_limit, probes; `clock`: wall-clock
    seconds; `active`: IDs of the active queue.
    """

    def __init__(
        self,
        resolver: AddressResolver,
        limit: int,
        report: Report,
        active: Container[str],
        log: ProgramLog,
        clock: Callable[[], float],
    ) -> None:
        self.resolver = resolver
        self._limit = limit
        self._report = report
        self._active = active
        self._log = log
        self._retry_log = log.program("error")
        self._clock = clock
        self._pending: set[str] = set()

    def excessive(self, queue_id: str) -> bool:
        """A probe is to be routed: are there too many of them?"""
        pending = self._pending
        pending.add(queue_id)
        if len(pending) > self._limit:
            self._pending = pending = {one for one in pending if one in self._active}
        return len(pending) > self._limit

    def settled(self, entry: ActiveMessage, statuses: list[RecipientStatus]) -> list[RecipientStatus]:
        """Report a probe's results; the statuses that end it."""
        message = entry.message
        self._pending.discard(message.queue_id)
        for status in statuses:
            if message.trace & VERIFY:
                action = "deliverable" if status.action == "sent" else "undeliverable"
                entry.noticed.append(replace(status, dsn_action=action))
                continue
            recipient = message.recipients[status.index]
            address = entry.addresses.get(status.index, recipient.address)
            self._report(Recipient(address, recipient.original, 0, recipient.orcpt), status)
        return [RecipientStatus(status.index, "sent", status.dsn, status.relay, status.text) for status in statuses]

    def discarded(self, entry: ActiveMessage, index: int) -> RecipientStatus:
        """The probed address is that of our own double bounces, which end in the queue manager: as good as any."""
        status = RecipientStatus(index, "sent", "2.0.0", "none", "undeliverable postmaster notification discarded")
        self._tell(self._log, entry, status)
        return status

    def deferred(self, entry: ActiveMessage, status: RecipientStatus) -> None:
        """The line for a recipient that is not tried now: in Postfix the retry service, an error(8), writes it."""
        self._tell(self._retry_log, entry, status)

    def _tell(self, log: ProgramLog, entry: ActiveMessage, status: RecipientStatus) -> None:
        """The line for a result that no agent has logged."""
        message: Message = entry.message
        recipient = message.recipients[status.index]
        address = quote_822_local(entry.addresses.get(status.index, recipient.address))
        original = recipient.original and quote_822_local(recipient.original)
        delays = (max(0.0, entry.since - message.arrival), max(0.0, self._clock() - entry.since), 0.0, 0.0)
        word = probe_word(status.action, message.trace) if message.trace & UNDELIVERED else status.action
        log.info(
            lines.delivery(message.queue_id, address, original, status.relay, 0, delays, status.dsn, word, status.text)
        )
