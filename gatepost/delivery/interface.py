"""What every delivery agent is: a request in, one RecipientStatus per recipient out. It writes no queue, bounce or
defer files.
"""

from collections.abc import Callable
from typing import Protocol

from gatepost.ipc.messages import DeliveryDone, DeliveryRequest

Log = Callable[[str], None]
"""Writes one line of the agent's log (text after `postfix/smtp[pid]: `)."""


class DeliveryAgent(Protocol):
    """`deliver` never raises for anything the network, the message or the file system does; it logs each recipient's
    line itself. `taskless`: it does without asyncio.current_task().
    """

    taskless: bool

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone: ...

    async def close(self) -> None:
        """Let cached connections go."""
        ...
