"""What a worker has given to the queue manager, and has had no answer to: how much of it a worker may have.

The queue manager itself says when its disk is slow (qmgr/inflow.py). But it cannot while it is held up, as it is when a
disk comes to a stand in the one commit that it has not left to a thread (queue/group_commit.py): then new mail would
fill the worker's memory.
"""

from collections.abc import Callable

from gatepost.queue.group_commit import BACKLOG_MESSAGES, BACKLOG_OCTETS

MOST_MESSAGES = 2 * BACKLOG_MESSAGES
MOST_OCTETS = 2 * BACKLOG_OCTETS
"""Of content. As long as it can, the queue manager tells of a slow disk before there is so much."""


class Unanswered:
    """`on_change` is told whether it is too much, or half of that again, and how much: messages, octets of content."""

    def __init__(self, on_change: Callable[[bool, int, int], object]) -> None:
        self.too_much = False
        self._on_change = on_change
        self._sizes: dict[int, int] = {}  # by ticket
        self._octets = 0

    def given(self, ticket: int, octets: int) -> None:
        """A message."""
        self._sizes[ticket] = octets
        self._octets += octets
        if not self.too_much and (self._octets > MOST_OCTETS or len(self._sizes) > MOST_MESSAGES):
            self._change(True)

    def answered(self, ticket: int) -> None:
        """Tickets of what is no message do not count."""
        self._octets -= self._sizes.pop(ticket, 0)
        if self.too_much and self._octets * 2 < MOST_OCTETS and len(self._sizes) * 2 < MOST_MESSAGES:
            self._change(False)

    def _change(self, too_much: bool) -> None:
        self.too_much = too_much
        self._on_change(too_much, len(self._sizes), self._octets)
