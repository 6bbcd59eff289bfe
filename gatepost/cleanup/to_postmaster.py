"""Mail of our own that tells the postmaster of a session (notify_classes)."""

from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.mail.envelope import Origin, Recipient
from gatepost.maillog.sink import ProgramLog


async def tell_postmaster(cleanup: Cleanup, log: ProgramLog, sender: str, recipient: str, content: bytes) -> None:
    """Put it into the queue. If that cannot be, a warning is all that is left of it."""
    transaction = Transaction(
        sender=sender,
        recipients=[Recipient(recipient, orcpt=f"rfc822;{recipient}")],
        origin=Origin(context="local"),
        body="8bitmime" if not content.isascii() else "",
        internal=True,
    )
    try:
        incoming = cleanup.open()
    except QueueUnavailable as error:
        log.warning(f"postmaster notify: {error}")
        return
    incoming.begin(transaction)
    incoming.write(content)
    await incoming.finish(transaction)
