"""What is done to messages whatever has become of their recipients: moved, expired, requeued, flushed.

Operators do it to a hundred thousand at a time, so these are statements on sets of rows; the marks that deliveries
leave are worked out row by row (queue/rows.py).
"""

from collections.abc import Iterable

import apsw

from gatepost.mail.queue_id import queue_id_number
from gatepost.queue.rows import json_text
from gatepost.queue.schema import EXPIRE, REQUEUE
from gatepost.queue.store import ASIDE, Batch, QueueName

_NAMED = "id IN (SELECT value FROM json_each(?))"
_TO_WAITING = """
INSERT INTO waiting(id, queue_id, queue, next_attempt, flags)
    SELECT f.id, f.queue_id, 'incoming', f.arrival, 0
    FROM json_each(?) AS named CROSS JOIN fresh AS f ON f.id = named.value
"""
_NO_LONGER_FRESH = f"DELETE FROM fresh WHERE {_NAMED}"
_SET_ASIDE = f"UPDATE waiting SET queue = ?, next_attempt = NULL WHERE {_NAMED}"
_RELEASE = f"UPDATE waiting SET queue = 'deferred', next_attempt = 0.0 WHERE {_NAMED}"
_EXPIRE = f"UPDATE waiting SET flags = flags | {EXPIRE} WHERE {_NAMED}"
_REQUEUE = f"UPDATE waiting SET flags = flags | {REQUEUE} WHERE {_NAMED}"
_ATTEMPT = f"UPDATE waiting SET next_attempt = ? WHERE {_NAMED} AND next_attempt IS NOT NULL"


def numbers_text(queue_ids: Iterable[str]) -> str:
    """Their numbers as JSON; what is no queue ID is left out."""
    return json_text([number for number in map(queue_id_number, queue_ids) if number is not None])


def acts_in(batch: Batch) -> int:
    """How many there are."""
    return len(batch.moved) + len(batch.expired) + len(batch.requeued) + len(batch.attempt)


def carry_out_acts(connection: apsw.Connection, batch: Batch) -> None:
    """To be called within a transaction, after the batch's marks were written. Raises apsw.Error."""
    targets = dict(batch.moved)  # of several moves of a message the last one counts
    named = {*targets, *batch.expired, *batch.requeued, *(queue_id for queue_id, _ in batch.attempt)}
    numbers = numbers_text(named)
    execute = connection.execute
    execute(_TO_WAITING, (numbers,))
    execute(_NO_LONGER_FRESH, (numbers,))
    groups: dict[QueueName, list[str]] = {}
    for queue_id, queue in targets.items():
        groups.setdefault(queue, []).append(queue_id)
    for target, moved in groups.items():
        if target in ASIDE:
            execute(_SET_ASIDE, (target, numbers_text(moved)))
        else:
            execute(_RELEASE, (numbers_text(moved),))
    if batch.expired:
        execute(_EXPIRE, (numbers_text(batch.expired),))
    if batch.requeued:
        requeued = numbers_text(batch.requeued)
        execute(_REQUEUE, (requeued,))
        execute(_RELEASE, (requeued,))
    moments: dict[float, list[str]] = {}
    for queue_id, when in batch.attempt:
        moments.setdefault(when, []).append(queue_id)
    for when, some in moments.items():
        execute(_ATTEMPT, (when, numbers_text(some)))
