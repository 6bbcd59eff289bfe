"""What the queue manager needs from outside; joined in master/."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from gatepost.ipc.messages import DeliveryRequest


class Dispatcher(Protocol):
    """The delivery workers. `send` hands a request to one of them; its DeliveryDone comes back by
    QueueManager.delivered.
    """

    def send(self, request: DeliveryRequest) -> None: ...


Spawn = Callable[[Coroutine[Any, Any, None]], object]
"""Runs a coroutine to its end in the background."""
