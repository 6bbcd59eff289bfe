"""One queued message as the control socket tells it, for listings (postqueue -p, -j, the pages)."""

import msgspec

from gatepost.mail.address_quoting import quote_822_local
from gatepost.queue.store import Listed


class ListedMessage(msgspec.Struct, array_like=True):
    """Addresses are in external form, the null sender is empty. `recipients`: address and why it waits.

    `arrival` is unix seconds, `size` octets. The recipients that have been tried come first, reason by reason.
    """

    queue_name: str
    queue_id: str
    arrival: int
    size: int
    sender: str
    recipients: list[tuple[str, str]]


_encode = msgspec.json.Encoder().encode
decode_listed = msgspec.json.Decoder(ListedMessage).decode


def listed_message(item: Listed, active: bool) -> ListedMessage:
    """What is told of `item`."""
    recipients = [(quote_822_local(address), why) for address, why in item.recipients]
    if len(recipients) > 1:
        recipients = by_reason(recipients)
    queue = "active" if active else item.queue
    return ListedMessage(
        queue,
        item.queue_id,
        int(item.arrival),
        item.size,
        quote_822_local(item.sender) if item.sender else "",
        recipients,
    )


def by_reason(recipients: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Recipients of one reason together, in the order in which the reasons first come; those without any last."""
    order: dict[str, list[tuple[str, str]]] = {}
    for one in recipients:
        order.setdefault(one[1], []).append(one)
    untried = order.pop("", [])
    return [one for group in order.values() for one in group] + untried


def listed_line(item: Listed, active: bool) -> str:
    """As listed_message, encoded for `decode_listed`."""
    return _encode(listed_message(item, active)).decode()
