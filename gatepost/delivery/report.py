"""The log line of each recipient, with its delays, for all delivery agents (as smtp(8), local(8), ... log)."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from gatepost.delivery.interface import Log
from gatepost.delivery.status_filter import StatusFilter
from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.status import RecipientStatus, probe_word
from gatepost.maillog import lines

_Delays = tuple[float, float, float, float]
_Waiting = tuple[RecipientStatus, int, _Delays | None]


class ReportSettings(Protocol):
    """What is needed of the settings."""

    @property
    def delay_logging_resolution_limit(self) -> int: ...

    @property
    def soft_bounce(self) -> bool: ...


class AttemptLog:
    """One delivery attempt: notes its times, keeps its statuses and logs each of them.

    Made when the agent takes up the request; `connected` when the connection is set up (or has failed for good), so
    that the time until then counts as set-up and the rest as transmission. Agents that make no connection omit it.
    `clock` gives wall-clock seconds, as `request.arrival` and `request.active` do.
    """

    __slots__ = (
        "_clock",
        "_connected",
        "_filter",
        "_log",
        "_recipients",
        "_request",
        "_resolution",
        "_soft",
        "_soft_bounce",
        "_started",
        "statuses",
        "waiting",
    )

    def __init__(
        self,
        request: DeliveryRequest,
        log: Log,
        clock: Callable[[], float],
        settings: ReportSettings,
        status_filter: StatusFilter | None = None,
    ) -> None:
        self.statuses: list[RecipientStatus] = []
        self.waiting: list[_Waiting] = []  # outcomes that `settle` makes statuses of
        self._filter = status_filter
        self._request = request
        self._log = log
        self._clock = clock
        self._resolution = settings.delay_logging_resolution_limit
        self._soft_bounce = settings.soft_bounce and not request.trace  # a probe wants to know
        self._soft: set[int] = set()
        self._recipients: dict[int, DeliveryRecipient] | None = None
        self._started = clock()
        self._connected = 0.0

    def started(self) -> None:
        """Count from now what was counted from the making of this object (a request that waited in the agent)."""
        self._started = self._clock()

    def connected(self) -> None:
        """The connection stands (the last one counts), or there will be none."""
        self._connected = self._clock()

    def status(self, status: RecipientStatus, conn_use: int = 0) -> None:
        """Log the outcome of one recipient and keep it. `conn_use`: uses of the connection, logged from 2 on."""
        delays = self._delays()
        kept = self._kept(status, conn_use, delays)
        if kept is not None:
            self._log_kept(kept, conn_use, delays)

    def keep(self, status: RecipientStatus) -> None:
        """The outcome of a recipient whose lines are in the log already; it is filtered, softened and kept."""
        self._kept(status, 0, None)

    async def settle(self) -> None:
        """Ask the tables of the filter that have to be waited for about `waiting`."""
        waiting, self.waiting = self.waiting, []
        for status, conn_use, delays in waiting:
            if self._filter is not None:
                status = self._softened(await self._filter.wait_for(status))
            self.statuses.append(status)
            if delays is not None:
                self._log_kept(status, conn_use, delays)

    def _kept(self, status: RecipientStatus, conn_use: int, delays: _Delays | None) -> RecipientStatus | None:
        if self._filter is not None:
            filtered = self._filter.apply(status)
            if filtered is None:
                self.waiting.append((status, conn_use, delays))
                return None
            status = filtered
        status = self._softened(status)
        self.statuses.append(status)
        return status

    def _log_kept(self, status: RecipientStatus, conn_use: int, delays: _Delays) -> None:
        recipient = self._recipient(status.index)
        self._log_line(status, recipient.address, recipient.original, conn_use, delays)

    def partial(self, status: RecipientStatus, address: str) -> RecipientStatus:
        """Log what became of one of the addresses that a recipient was expanded to; it is not kept, but given back."""
        status = self._softened(status)
        recipient = self._recipient(status.index)
        self._log_line(status, address, recipient.original or recipient.address, 0, self._delays())
        return status

    def _softened(self, status: RecipientStatus) -> RecipientStatus:
        """With soft_bounce nothing is returned to its sender: it is tried again."""
        if not self._soft_bounce or status.action != "bounced":
            return status
        self._soft.add(status.index)
        return msgspec.structs.replace(status, action="deferred", dsn="4" + status.dsn[1:])

    def _log_line(self, status: RecipientStatus, address: str, original: str, conn_use: int, delays: _Delays) -> None:
        word: str = status.action
        if self._request.trace:
            word = probe_word(status.action, self._request.trace)
        elif status.index in self._soft:
            word = "SOFTBOUNCE"
        self._log(
            lines.delivery(
                self._request.queue_id,
                quote_822_local(address),
                quote_822_local(original) if original else "",
                status.relay,
                conn_use,
                delays,
                status.dsn,
                word,
                status.text,
                self._resolution,
            )
        )

    def _recipient(self, index: int) -> DeliveryRecipient:
        recipients = self._request.recipients
        if len(recipients) == 1:
            return recipients[0]
        if self._recipients is None:
            self._recipients = {recipient.index: recipient for recipient in recipients}
        return self._recipients[index]

    def _delays(self) -> _Delays:
        """Seconds: before the queue manager, in it, setting up, transmitting; never below 0 (a clock set back)."""
        request, now, start = self._request, self._clock(), self._started
        connected = self._connected
        setup, transmit = (connected - start, now - connected) if connected else (0.0, now - start)
        before, within = request.active - request.arrival, start - request.active
        return max(before, 0.0), max(within, 0.0), max(setup, 0.0), max(transmit, 0.0)
