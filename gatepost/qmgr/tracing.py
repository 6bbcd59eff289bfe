"""What a sender is told of, beyond failures and delays: successes that he asked for, aliases that were expanded, a late
message that went out after all (confirm_delay_cleared), and all there is of a message that is traced (sendmail -v).
"""

from msgspec.structs import replace

from gatepost.mail.envelope import NOTIFY_DELAY, TRACE, Message
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage

_ACTIONS = {"sent": "relayed", "bounced": "failed", "deferred": "delayed"}


class Tracing:
    """Only messages that have something to do with it come here. `confirm`: confirm_delay_cleared."""

    def __init__(self, *, confirm: bool) -> None:
        self._confirm = confirm

    def begin(self, entry: ActiveMessage) -> None:
        """A pass begins of a message that is traced, or was late, or had aliases among its recipients."""
        message = entry.message
        entry.traced = bool(message.trace & TRACE) or (message.warn_sent and self._confirm)
        entry.noticed += [
            RecipientStatus(~number, "sent", "2.0.0", "none", "alias expanded", dsn_action="expanded")
            for number in range(len(message.expanded))
        ]

    def settled(self, entry: ActiveMessage, statuses: list[RecipientStatus]) -> None:
        """Note the results of a message that is `traced`."""
        message = entry.message
        for status in statuses:
            if message.trace & TRACE or (status.action == "sent" and _wants_delay(message, status)):
                # A server that reports successes itself was not the last one on the way.
                action = status.action == "sent" and status.dsn_action
                entry.noticed.append(replace(status, dsn_action=action or _ACTIONS[status.action]))


def _wants_delay(message: Message, status: RecipientStatus) -> bool:
    notify = message.recipients[status.index].notify
    return not notify or bool(notify & NOTIFY_DELAY)
