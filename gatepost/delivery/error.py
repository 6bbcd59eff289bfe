"""error(8) and retry: no delivery, but the next hop as the reason why not."""

import re
import time
from collections.abc import Callable

from gatepost.config.settings import Settings
from gatepost.delivery.report import AttemptLog
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.status import Action, RecipientStatus
from gatepost.maillog.sink import ProgramLog

_DSN = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z)")


def split_dsn(text: str, default: str) -> tuple[str, str]:
    """Status code (RFC 3463) and text of `4.7.1 Later`; without a code, or with one of another class, the default's."""
    found = _DSN.match(text)
    if found is None:
        return default, text.lstrip()
    code = found.group(1)
    return code if code[0] == default[0] else default, text[found.end() :]


class ErrorAgent:
    """Bounces all recipients, or defers them if it is the `retry` service."""

    taskless = True

    def __init__(
        self, settings: Settings, log: ProgramLog, *, retry: bool = False, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._log = log
        self._clock = clock
        self._action: Action = "deferred" if retry else "bounced"
        self._default = "4.0.0" if retry else "5.0.0"

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        attempt = AttemptLog(request, self._log.info, self._clock, self._settings)
        dsn, text = split_dsn(request.nexthop, self._default)
        for recipient in request.recipients:
            attempt.status(RecipientStatus(recipient.index, self._action, dsn, "none", text))
        return DeliveryDone(request.request_id, request.epoch, request.queue_id, attempt.statuses)

    async def close(self) -> None:
        pass
