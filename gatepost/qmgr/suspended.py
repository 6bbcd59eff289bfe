"""What the scheduler does not try now."""

from typing import NamedTuple

Reason = tuple[str, str]
"""DSN and text."""


UNAVAILABLE: Reason = ("4.3.0", "mail transport unavailable")
"""For a transport that nobody serves."""

CRASHED: Reason = ("4.3.0", "unknown mail transport error")
"""For one whose agent failed, whatever was to be delivered."""

DEFERRED: Reason = ("4.3.2", "deferred transport")


class Suspended(NamedTuple):
    """Recipients that are not tried now. `text` is what the log and the queue listing say."""

    message_id: str
    indexes: list[int]
    dsn: str
    text: str


def suspension(message_id: str, indexes: list[int], reason: Reason) -> Suspended:
    """For a dead destination."""
    dsn, text = reason
    return Suspended(message_id, indexes, dsn, f"delivery temporarily suspended: {text}")
