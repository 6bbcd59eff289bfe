"""Rows of the queue file as lines of a listing: 50,000 of them should not keep anybody waiting."""

import zlib
from functools import lru_cache

import msgspec

from gatepost.mail.envelope import Message
from gatepost.queue.chunks import decode_state
from gatepost.queue.schema import EXPIRE
from gatepost.queue.store import Listed, QueueName, Stored

ListedRow = tuple[
    int, str, int, int, bytes, None, int, QueueName | None, float | None, int | None, str | None, float | None
]
"""A message's number, then the columns of rows.COLUMNS without the content."""

_decode = msgspec.json.Decoder(Message).decode


def listed_short(row: ListedRow) -> Listed | None:
    """A message with one recipient, as most have; None if it has more, or if anything about it is not as it should be.

    Then `listed_stored` or `listed_damaged` gives the answer.
    """
    _, queue_id, recipients, checksum, envelope, _, content_length, queue, next_attempt, flags, state, arrival = row
    try:
        if recipients != 1 or zlib.crc32(envelope) != checksum:
            return None
        message = _decode(envelope)
        is_open, reason = _only_recipient(state)
    except (TypeError, msgspec.DecodeError):
        return None
    if message.queue_id != queue_id or content_length != (0 if message.content_file else message.size):
        return None
    if queue is None:
        queue, next_attempt = "incoming", arrival
    return Listed(
        queue_id, queue, message.arrival, message.data_size, message.sender,
        [(message.recipients[0].address, reason)] if is_open else [], next_attempt or 0.0,
        flags is not None and flags & EXPIRE != 0,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _only_recipient(state: str | None) -> tuple[bool, str]:
    """Whether the only recipient is open, and why it waits. Much mail waits for the same reason."""
    decoded = decode_state(state)
    reason = next((text for _, (_, text) in decoded.waiting()), "")
    return bool(decoded.open(1)), reason


def listed_stored(one: Stored) -> Listed:
    """Any message."""
    message = one.message
    recipients = [(message.recipients[at].address, one.reasons.get(at, ("", ""))[1]) for at in one.open]
    return Listed(
        message.queue_id, one.queue, message.arrival, message.data_size, message.sender, recipients, one.next_attempt,
        one.expire,
    )  # fmt: skip


def listed_damaged(row: ListedRow) -> Listed:
    """What can be told of a message that does not agree with its checksum or lengths."""
    return Listed(str(row[1]), "corrupt", 0.0, row[6] or 0, "", [])
