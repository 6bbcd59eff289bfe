"""Sessions with smtp_reply_filter, or with smtp_per_request_deadline."""

from collections import deque
from typing import Any

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_session import LocalDataError, SmtpSession
from gatepost.net.stepping import carry_out_taskless
from gatepost.protocol.smtp_client_events import Stage
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure


class FilteredSession(SmtpSession):
    """What the server says goes through `reply_filter`, line by line, before anything is made of it."""

    reply_filter: Maps
    log: Log

    def _begin(self) -> None:
        super()._begin()
        self._lines: deque[bytes] = deque()
        self._unread = b""
        self._filtering = False
        self._tasks: set[Any] = set()

    def data_received(self, data: bytes) -> None:
        if not data:
            super().data_received(data)
            return
        data = self._unread + data
        cut = data.rfind(b"\n") + 1
        self._unread = data[cut:]
        self._lines.extend(data[:cut].splitlines(keepends=True))
        if not self._filtering:
            carry_out_taskless(self._filter(), self._tasks)

    def forget_input(self) -> None:
        """What is still to be filtered does not count (STARTTLS)."""
        self._lines.clear()
        self._unread = b""

    async def _filter(self) -> None:
        self._filtering = True
        while self._lines:
            line = self._lines.popleft()
            text = line.rstrip(b"\r\n").decode("utf-8", "replace")
            try:
                hit = await self.reply_filter.find(text)
            except LookupTemporaryFailure:
                self._lines.clear()
                self._lose(LocalDataError("reply filter"))
                break
            if hit is not None:
                self.log(f'{self.target.namaddrport}: replacing server reply "{text}" with "{hit.value}"')
                line = hit.value.encode("utf-8", "replace") + b"\r\n"
            super().data_received(line)
        self._filtering = False


class DeadlineSession(SmtpSession):
    """A limit holds for a whole command with its reply, not for each piece; of content, each piece gives back what it
    may take at `min_data_rate` (octets/s).
    """

    min_data_rate: int

    def _begin(self) -> None:
        super()._begin()
        self._armed: tuple[Stage, int] | None = None
        self._until = 0.0

    def _arm(self) -> None:
        stage = self.core.stage
        awaited = (stage, self.core.recipient if stage is Stage.RCPT else 0)
        if awaited != self._armed:
            self._armed = awaited
            self._until = self._loop.time() + self._limits[stage]
        self._set_deadline(self._until)

    def _write(self, data: bytes) -> None:
        super()._write(data)
        if self.core.stage is Stage.CONTENT:
            earned = self._until + len(data) / self.min_data_rate
            self._until = min(earned, self._loop.time() + self._limits[Stage.CONTENT])
