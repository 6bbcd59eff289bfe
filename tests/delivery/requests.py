"""Delivery requests and logs for tests of agents."""

from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest
from gatepost.maillog.sink import MailLog, MemoryOutput, ProgramLog

NOW = 1795361716.25


def request(*recipients: str | DeliveryRecipient, **more: object) -> DeliveryRequest:
    """Arrived 2 s ago, active for 1 s."""
    listed = [
        DeliveryRecipient(number, recipient) if isinstance(recipient, str) else recipient
        for number, recipient in enumerate(recipients)
    ]
    values: dict[str, object] = {
        "request_id": 7, "epoch": 3, "queue_id": "4A1B2C3D4E", "transport": "x", "nexthop": "",
        "sender": "me@client.example",
        "recipients": listed, "size": 20, "arrival": NOW - 2, "active": NOW - 1, "content": b"Subject: x\n\nbody\n",
    }  # fmt: skip
    return DeliveryRequest(**{**values, **more})  # type: ignore[arg-type]


class Log:
    """`program` is the log to hand over; `lines` what was written."""

    def __init__(self, name: str) -> None:
        output = MemoryOutput()
        self._log = MailLog(output, "postfix", 1, clock=lambda: NOW)
        self._output = output
        self.program: ProgramLog = self._log.program(name)

    @property
    def lines(self) -> list[str]:
        self._log.flush()
        return self._output.lines
