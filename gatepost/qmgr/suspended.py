"""What the scheduler does not try now."""

from typing import NamedTuple


class Suspended(NamedTuple):
    """Recipients that are not tried now. `text` is what the log and the queue listing say."""

    message_id: str
    indexes: list[int]
    dsn: str
    reason: str
    text: str


def suspension(message_id: str, indexes: list[int], reason: tuple[str, str]) -> Suspended:
    """For a dead destination. `reason`: DSN and text."""
    dsn, text = reason
    return Suspended(message_id, indexes, dsn, text, f"delivery temporarily suspended: {text}")
