"""Mail that an alias sends on: a new message to the new addresses (local(8))."""

from collections.abc import Iterator
from typing import BinaryIO

from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.delivery.checked_content import DamagedContent
from gatepost.delivery.mailbox import Outcome
from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import NOTIFY_NEVER, NOTIFY_SUCCESS, Origin, Recipient

_PIECE = 65536

_FAILED = ("4.3.0", "unable to forward message")
_REFUSED = {"hops": ("5.4.0", "Error: too many hops"), "size": ("5.3.4", "Error: message file too big")}
"""By what the cleanup says of a message; whatever else it says is a failure."""


async def forward(
    cleanup: Cleanup,
    request: DeliveryRequest,
    recipient: DeliveryRecipient,
    addresses: list[str],
    content: bytes | BinaryIO,
    *,
    owner: str | None = None,
) -> Outcome:
    """Send a request's message to `addresses` in the place of `recipient`; `sent` when it is stored.

    A Delivered-To: header above it lets a loop be seen. `owner` (owner-ALIAS) becomes the envelope sender, but not of
    notices.
    """
    notify = recipient.notify
    if notify & NOTIFY_SUCCESS:
        # The sender hears now that the alias was expanded, and no more (RFC 3461 5.2.7.3).
        notify = notify & ~NOTIFY_SUCCESS or NOTIFY_NEVER
    original = recipient.original or recipient.address
    orcpt = recipient.orcpt
    if owner:  # whom it came to a list by is nothing to its owner
        original = orcpt = ""
    transaction = Transaction(
        sender=owner if owner and request.sender else request.sender,
        recipients=[Recipient(address, original, notify, orcpt) for address in addresses],
        origin=Origin(context=request.origin.context),
        body=request.body,
        smtputf8=request.smtputf8,
        ret=request.ret,
        envid=request.envid,
        internal=True,
    )
    try:
        incoming = cleanup.open()
    except QueueUnavailable:
        return Outcome(*_FAILED)
    incoming.begin(transaction)
    incoming.write(f"Delivered-To: {quote_822_local(recipient.address)}\n".encode("utf-8", "surrogateescape"))
    try:
        for piece in _pieces(content):
            incoming.write(piece)
    except OSError as error:
        incoming.abandon()
        return Outcome(*_FAILED, damaged=isinstance(error, DamagedContent))
    result = await incoming.finish(transaction)
    if result.outcome == "ok":
        return Outcome("2.0.0", f"forwarded as {incoming.queue_id}")
    return Outcome(*_REFUSED.get(result.outcome, _FAILED))


def _pieces(content: bytes | BinaryIO) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield content
        return
    content.seek(0)
    while piece := content.read(_PIECE):
        yield piece
