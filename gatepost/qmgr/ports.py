"""What the queue manager needs from outside; joined in master/."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gatepost.ipc.messages import DeliveryRequest
from gatepost.mail.envelope import Message, Recipient
from gatepost.mail.status import RecipientStatus


class Dispatcher(Protocol):
    """The delivery workers. `send` hands a request to one of them; its DeliveryDone comes back by QueueManager.delivered."""

    def send(self, request: DeliveryRequest) -> None: ...


class NoticeSender(Protocol):
    """Makes a notice and puts it into the queue. Returns the queue ID of the notice, or None if none was wanted.

    Raises QueueUnavailable or QueueFull (gatepost.cleanup.interface), or LookupTemporaryFailure, if it could not be stored: the original must stay.
    `kind`: failure, delay, success.
    """

    async def send(self, kind: str, message: Message, recipients: list[tuple[Recipient, RecipientStatus]]) -> str | None: ...


Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine to its end in the background."""
