"""discard(8): mail is taken and thrown away, with the next hop as the reason in the log."""

import time
from collections.abc import Callable

from gatepost.config.settings import Settings
from gatepost.delivery.error import split_dsn
from gatepost.delivery.report import AttemptLog
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import ProgramLog


class DiscardAgent:
    """Pretends delivery of all recipients."""

    taskless = True

    def __init__(self, settings: Settings, log: ProgramLog, *, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        attempt = AttemptLog(request, self._log.info, self._clock, self._settings)
        dsn, text = split_dsn(request.nexthop, "2.0.0")
        for recipient in request.recipients:
            attempt.status(RecipientStatus(recipient.index, "sent", dsn, "none", text, dsn_action="delivered"))
        return DeliveryDone(request.request_id, request.epoch, request.queue_id, attempt.statuses)

    async def close(self) -> None:
        pass
