"""What a new queue manager makes of results that its predecessor may have written down already."""

import pytest

from gatepost.ipc.messages import Claim
from gatepost.mail.envelope import Message
from gatepost.mail.status import Action, RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.claims import Claims
from gatepost.queue.memory import MemoryStore
from gatepost.queue.store import Batch, Deferral
from tests.queue.messages import a_message

NOW = 2000.0


class Takeover:
    """A store with one message of two recipients, after `marks`; `activated` holds what was taken into a pass."""

    def __init__(self, *marks: Batch) -> None:
        self.message = a_message(1, recipients=2)
        self.queue_id = self.message.queue_id
        self.store = MemoryStore()
        self.store.commit(Batch(new=[self.message]))
        for batch in marks:
            self.store.commit(batch)
        self.active: dict[str, ActiveMessage] = {}
        self.routed: list[int] = []
        self.claims = Claims(self.store, self.active, self._activate, lambda entry, open_: self.routed.extend(open_))

    def _activate(self, message: Message, open_: list[int]) -> ActiveMessage:
        entry = self.active[message.queue_id] = ActiveMessage(message, NOW, len(open_))
        return entry

    def is_known(self, *statuses: RecipientStatus) -> bool:
        return self.claims.is_known(self.queue_id, statuses, NOW)


def status(index: int, action: Action) -> RecipientStatus:
    return RecipientStatus(index, action, "4.0.0", "none", "why")


QUEUE_ID = a_message(1).queue_id
DEFERRED = Batch(deferred=[Deferral(QUEUE_ID, NOW + 300, [(1, "4.0.0", "why")])])
LATE = Batch(deferred=[Deferral(QUEUE_ID, NOW - 300, [(1, "4.0.0", "why")])])
DONE = Batch(done=[(QUEUE_ID, [0])])


@pytest.mark.parametrize(
    ("marks", "statuses"),
    [
        ([Batch(removed=[QUEUE_ID])], [status(0, "sent")]),
        ([Batch(moved=[(QUEUE_ID, "hold")])], [status(0, "sent")]),
        ([DONE], [status(0, "sent")]),
        ([DONE], [status(0, "bounced")]),
        ([DEFERRED], [status(1, "deferred")]),
        ([DONE, DEFERRED], [status(0, "sent"), status(1, "deferred")]),
        ([DEFERRED], [status(1, "bounced")]),  # whose notice could not be stored
    ],
)
def test_results_that_the_store_knows(marks: list[Batch], statuses: list[RecipientStatus]) -> None:
    assert Takeover(*marks).is_known(*statuses)


@pytest.mark.parametrize(
    ("marks", "statuses"),
    [
        ([], [status(0, "sent")]),
        ([DONE], [status(0, "sent"), status(1, "sent")]),
        ([], [status(0, "deferred")]),
        ([DEFERRED], [status(0, "deferred")]),
        ([DEFERRED], [status(1, "sent")]),
        ([LATE], [status(1, "deferred")]),  # deferred once more
    ],
)
def test_results_that_are_news(marks: list[Batch], statuses: list[RecipientStatus]) -> None:
    assert not Takeover(*marks).is_known(*statuses)


def test_what_is_claimed_is_not_dispatched() -> None:
    takeover = Takeover()
    entry, claimed = takeover.claims.take(QUEUE_ID, [1])
    assert entry is takeover.active[QUEUE_ID] and claimed == [1]
    assert not takeover.is_known(status(0, "sent"))
    assert takeover.claims.take(QUEUE_ID, [1]) == (None, [])
    takeover.claims.route_rest()
    assert takeover.routed == [0]
    assert takeover.claims.take(QUEUE_ID, [0]) == (None, [])


def test_many_claims_of_a_large_message() -> None:
    takeover = Takeover()
    large = a_message(2, recipients=2000)
    takeover.store.commit(Batch(new=[large]))
    claims = [Claim(first, 1, large.queue_id, list(range(first, first + 50))) for first in range(0, 1000, 50)]
    found = dict(takeover.claims.under_way([*claims, claims[0]]))
    assert [indexes for _, _, indexes in found.values()] == [claim.indexes for claim in claims]
    takeover.claims.route_rest()
    assert takeover.routed == list(range(1000, 2000))
