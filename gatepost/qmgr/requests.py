"""Delivery requests, made of what is active."""

from collections.abc import Sequence

from gatepost.ipc.messages import DeliveryDone, DeliveryRecipient, DeliveryRequest
from gatepost.mail.envelope import TRACE
from gatepost.qmgr.active import ActiveMessage
from gatepost.queue.store import Store
from gatepost.rewrite.verp import verp_sender

DAMAGED = "damaged message, moved to the corrupt queue"


def delivery_request(
    entry: ActiveMessage,
    indexes: Sequence[int],
    transport: str,
    nexthop: str,
    content: bytes,
    request_id: int,
    epoch: int,
    keep: bool,
) -> DeliveryRequest:
    """For the recipients with these numbers. `content`: empty where it is in a file; `keep`: keep the connection."""
    message, addresses = entry.message, entry.addresses
    recipients = []
    for index in indexes:
        r = message.recipients[index]
        recipients.append(DeliveryRecipient(index, addresses.get(index, r.address), r.original, r.notify, r.orcpt))
    sender = message.sender
    if message.verp:
        sender = verp_sender(message.verp, sender, recipients[0].original or recipients[0].address)
    return DeliveryRequest(
        request_id, epoch, message.queue_id, transport, nexthop, sender, recipients,
        message.data_size, message.arrival, entry.since, content, message.content_file, message.body,
        message.smtputf8, message.ret, message.envid, keep, message.origin, message.trace & ~TRACE,
        message.checksum if message.content_file else 0,
    )  # fmt: skip


def content_of(entry: ActiveMessage, store: Store) -> bytes | None:
    """What goes with a request; None: it was damaged, and has been moved to the corrupt queue, with a warning."""
    message = entry.message
    if message.content or message.content_file:
        return message.content
    stored = store.load(message.queue_id)
    return None if stored is None else stored.message.content


def passed_on(done: DeliveryDone, indexes: Sequence[int], nexthop: str) -> tuple[list[int], str, str]:
    """Who is left for the transport that best_mx_transport names (`name` or `name:nexthop`), its name and nexthop.

    `nexthop`: that of the request.
    """
    settled = {status.index for status in done.statuses}
    transport, _, other = done.pass_to.partition(":")
    return [index for index in indexes if index not in settled], transport, other or nexthop
