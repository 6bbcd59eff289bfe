"""A line of a queue listing: as it goes over the control socket, and how its addresses are shown."""

from functools import lru_cache

import msgspec

from gatepost.mail.address_quoting import quote_822_local
from gatepost.queue.store import Listed

QUEUES = ("incoming", "active", "deferred", "hold", "corrupt")
"""The names of queues, as listings and the arguments of acts have them."""

SAVED = "saved"
"""That of finished messages that are kept (dont_remove). They are in no listing, and can only be deleted."""

_encode = msgspec.json.Encoder().encode
decode_listed = msgspec.json.Decoder(Listed).decode


def listed_line(item: Listed) -> str:
    """Encoded for `decode_listed`."""
    return _encode(item).decode()


@lru_cache(maxsize=4096)
def external(address: str) -> str:
    """As listings (postqueue -p, -j, the pages) show an address. Much of what waits comes from few senders."""
    return address and quote_822_local(address)


def shown_recipients(item: Listed) -> list[tuple[str, str]]:
    """Address and why it waits, as listings show them: reason by reason, those without any last."""
    recipients = [(external(address), why) for address, why in item.recipients]
    return recipients if len(recipients) < 2 else by_reason(recipients)


def by_reason(recipients: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Recipients of one reason together, in the order in which the reasons first come; those without any last."""
    order: dict[str, list[tuple[str, str]]] = {}
    for one in recipients:
        order.setdefault(one[1], []).append(one)
    untried = order.pop("", [])
    return [one for group in order.values() for one in group] + untried
