"""virtual(8) is not supported yet: its mail waits, with a reason that says so."""

from gatepost.config.settings import Settings
from gatepost.delivery.error import ErrorAgent
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.maillog.sink import ProgramLog

_REASON = "4.3.5 delivery to virtual mailboxes is not supported yet"


class VirtualAgent:
    """Defers all recipients."""

    taskless = True

    def __init__(self, settings: Settings, log: ProgramLog) -> None:
        self._agent = ErrorAgent(settings, log, retry=True)

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        request.nexthop = _REASON
        return await self._agent.deliver(request)

    async def close(self) -> None:
        pass
