"""Sessions with smtp_reply_filter, or with smtp_per_request_deadline."""

from collections import deque
from typing import Any

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_session import LocalDataError, SmtpSession
from gatepost.net.stepping import carry_out_taskless
from gatepost.protocol.smtp_client_events import Stage
from gatepost.protocol.smtp_reply import LINE_LIMIT, REPLY_LIMIT, UNREAD_LIMIT, printable_line
from gatepost.tables.maps import Maps
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure


async def _replacement(maps: Maps, line: str) -> str | None:
    """What is to stand for this line of a reply. Raises LocalDataError, with the words for the log.

    An empty result is one, as in Postfix, which asks the table itself here and not by maps(3).
    """
    for table in maps.tables:
        try:
            value = await table.lookup(line)
        except EmptyResult:
            return ""
        except LookupTemporaryFailure:
            raise LocalDataError(f"table {table.name} lookup error for {line}") from None
        if value is not None:
            return value
    return None


class FilteredSession(SmtpSession):
    """What the server says goes through `reply_filter`, line by line, before anything is made of it."""

    reply_filter: Maps
    log: Log

    def _begin(self) -> None:
        super()._begin()
        self._lines: deque[bytes] = deque()
        self._waiting = 0  # octets in them
        self._unread = b""  # the beginning of a line
        self._dropped = 0  # octets of its rest
        self._filtering = False
        self._tasks: set[Any] = set()

    def data_received(self, data: bytes) -> None:
        if not data or self._farewell:
            super().data_received(data)
            return
        data = self._unread + data
        cut = data.rfind(b"\n") + 1
        self._unread = data[cut:]
        if cut:
            self._dropped = 0
            self._lines.extend(data[:cut].splitlines(keepends=True))
            self._waiting += cut
        if len(self._unread) > LINE_LIMIT:  # its beginning is all that is looked at
            self._dropped += len(self._unread) - LINE_LIMIT - 1
            self._unread = self._unread[: LINE_LIMIT + 1]
        if self._waiting > UNREAD_LIMIT or self._dropped > REPLY_LIMIT:
            self._cut_off(self.core.stage)
        elif not self._filtering:
            carry_out_taskless(self._filter(), self._tasks)

    def forget_input(self) -> None:
        """What is still to be filtered does not count (STARTTLS)."""
        self._lines.clear()
        self._waiting, self._unread, self._dropped = 0, b"", 0

    @property
    def _farewell(self) -> bool:
        """Is the answer to QUIT all that may come, and nobody waits for it?"""
        return self.core.stage is Stage.CLOSED and not self.waits_for_bye

    async def _filter(self) -> None:
        self._filtering = True
        while self._lines:
            line = self._lines.popleft()
            self._waiting -= len(line)
            if not self._farewell:
                try:
                    line = await self._filtered(line)
                except LocalDataError as failure:
                    self.forget_input()
                    self.core.oddities.append(("filter", str(failure)))
                    self._lose(failure)
                    break
            super().data_received(line)
        self._filtering = False

    async def _filtered(self, line: bytes) -> bytes:
        text, odd = printable_line(line), self.core.oddities
        value = await _replacement(self.reply_filter, text)
        if value is None:
            return line
        if len(line) > LINE_LIMIT + 2:
            odd.append(("long line", text[:30]))
        self.log(f'{self.target.namaddrport}: replacing server reply "{text}" with "{value}"')
        return value.encode("utf-8", "replace") + b"\r\n"


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
