"""A connection to one SMTP server: drives the protocol over an asyncio transport, with one timer for all its limits."""

import asyncio
import contextlib
import io
import os
import socket
from collections.abc import Callable
from typing import cast

from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_checks import CheckFailure
from gatepost.delivery.smtp_delivery import Failure
from gatepost.delivery.smtp_demand import NOTHING
from gatepost.delivery.smtp_output import ContentReader, FileReader
from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.net.stepping import Signal
from gatepost.protocol.smtp_client import NEED_DATA, SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_content import ContentEncoder, encode_content, has_long_line
from gatepost.protocol.smtp_reply import SmtpReply

# Looking a member up costs more than a comparison; these are asked for with every message.
_CONTENT, _END, _SENDING, _CLOSED = Kind.CONTENT, Kind.END, Stage.CONTENT, Stage.CLOSED


class SessionLost(Exception):
    """The connection broke or a time limit was over; `stage` says when."""

    def __init__(self, stage: Stage, *, timed_out: bool) -> None:
        super().__init__(stage.value)
        self.stage = stage
        self.timed_out = timed_out


class LocalDataError(Exception):
    """The content could not be read."""


class NoTls(Exception):
    """There was no TLS handshake, and so there is no session; `failure` is for the mail."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class SmtpSession(asyncio.Protocol):
    """One connection, for one or more messages one after the other.

    `limits`: seconds for each stage. `uses`: transactions begun. `keys`, `nexthop` belong to the cache. `dot_delay`:
    seconds to wait before the end of content. `waits_for_bye`: QUIT is to be answered (smtp_skip_quit_response = no).
    `demand`: what it was made for; `encrypted`: it is under TLS; `lasting`: it may serve more than one message;
    `fault`: why it is not as demanded, though we can say goodbye in it; `writes`: those of this process, if gathered.
    """

    __slots__ = (
        "_content", "_deadline", "_gone", "_left", "_limits", "_line_limit", "_loop", "_paused", "_refusal", "_timer",
        "_timer_at", "_transaction", "_transport", "_waiter", "_woken", "core", "demand", "dot_delay", "encrypted",
        "expires", "fault", "keys", "lasting",
        "on_idle_end", "target", "uses", "waits_for_bye", "writes",
    )  # fmt: skip

    def __init__(
        self, target: Target, core: SmtpClientProtocol, limits: dict[Stage, float], line_limit: int, expires: float
    ) -> None:
        self.target = target
        self.demand = NOTHING
        self.encrypted = False
        self.lasting = True
        self.writes: GatheredWrites | None = None
        self.fault: Failure | None = None
        self.core = core
        self.uses = 0
        self.expires = expires  # loop time from which on it is not kept for another message
        self.keys: tuple[str, ...] = ()
        self.on_idle_end: Callable[[SmtpSession], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._line_limit = line_limit
        self._transport: asyncio.Transport | None = None
        self._waiter: Signal | None = None
        self._transaction: SmtpTransaction | None = None
        self._content: bytes | None = None
        self._refusal: SmtpReply | None = None
        self._gone: SessionLost | LocalDataError | NoTls | None = None
        self._left = False
        self.dot_delay = 0.0
        self.waits_for_bye = False
        self._woken = False
        self._paused: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = 0.0
        self._begin()

    def _begin(self) -> None:
        """For what derived classes have of their own."""

    @property
    def reusable(self) -> bool:
        """Can a message be sent over it?"""
        return self._gone is None and self._transport is not None and self.core.idle

    async def handshake(self) -> SmtpReply | None:
        """Wait for greeting and EHLO; the refusing reply, or None. Raises SessionLost, LocalDataError, NoTls."""
        await self._wait()
        return self._refusal

    async def send(self, transaction: SmtpTransaction, content: bytes | ContentReader, *, keep: bool) -> None:
        """Send one message. Its outcome goes to `transaction`. Raises SessionLost, LocalDataError, NestingTooDeep."""
        self.uses += 1
        self._woken = False
        self._transaction = transaction
        if isinstance(content, bytes) and self.dot_delay:
            content = FileReader(io.BytesIO(content))
        self._content = content if isinstance(content, bytes) else None
        try:
            probe = transaction.probe
            self.core.start_transaction(transaction.mail_line, transaction.rcpt_lines, keep=keep, probe=probe)
            self._write(self.core.data_to_send())
            self._arm()
            if self.core.ahead:
                self.data_received(b"")
            await self._wait()
            if self.core.stage is Stage.CONTENT and not isinstance(content, bytes):
                await self._stream(content)
                await self._wait()
        finally:
            self._transaction = None
            self._content = None

    def quit(self) -> None:
        """Say goodbye. The caller need not wait for the answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._write(self.core.quit())
            if self.waits_for_bye and not self._left:
                self._left = True
            else:
                self._transport.close()
            # A peer that reads nothing must not keep the connection alive.
            self._set_deadline(self._loop.time() + self._limits[Stage.CLOSED])

    def abort(self) -> None:
        """Drop the connection."""
        self.core.abandon()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        wire = cast(asyncio.Transport, transport)
        self._transport = wire if self.writes is None else self.writes.over(wire)
        self._arm()

    def data_received(self, data: bytes) -> None:
        core = self.core
        before = core.stage
        core.receive_data(data)
        told = False
        while (event := core.next_event()) is not NEED_DATA:
            told = True
            self._handle(event)
        out = core.data_to_send()
        if out:
            self._write(out)
        if core.stage is _CLOSED:
            self.quit()
        elif not told and core.endless:
            self._cut_off(core.stage)
        elif before is not _SENDING or core.stage is not before:
            self._arm()  # what comes while content goes out does not show that the content gets anywhere
        waiter = self._waiter
        if self._woken and waiter is not None:
            # Last of all: who waits may well send the next message before this returns.
            self._woken = False
            if not waiter.done():
                waiter.set_result(None)

    def _cut_off(self, stage: Stage) -> None:
        """A server that never comes to an end must fill neither memory nor time."""
        self.abort()
        self._lose(SessionLost(stage, timed_out=False))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        stage = self.core.stage
        self._take_refusal()
        self._lose(SessionLost(stage, timed_out=False))

    def _take_refusal(self) -> None:
        """Did the server refuse the content before we were through with it, and hang up?"""
        reply = self.core.early_reply()
        if reply is not None and self._transaction is not None:
            self._transaction.take(Event(Kind.END, reply))

    def pause_writing(self) -> None:
        self._paused = self._loop.create_future()

    def resume_writing(self) -> None:
        paused, self._paused = self._paused, None
        if paused is not None and not paused.done():
            paused.set_result(None)

    # Inside

    def _handle(self, event: Event) -> None:
        kind = event.kind
        if kind is _CONTENT:
            if self._content is None:
                self._woken = True
                return
            limit = self._line_limit
            if limit and not has_long_line(self._content, limit):
                limit = 0
            if limit and self._transaction is not None:
                self._transaction.folded(limit)
            body = encode_content(self._content, limit)
            self._write(self.core.data_to_send())  # to a server that says 354 before it is asked
            if self._transport is not None:
                self._transport.writelines((body, self.core.content_sent()))
        elif kind is Kind.READY or kind is Kind.OVER:
            self._woken = True
        elif kind is Kind.REFUSED:
            self._refusal = event.reply
            self._woken = True
        elif kind is Kind.STRAY:
            self._lose(SessionLost(Stage.IDLE, timed_out=False))
        else:
            if self._transaction is not None:
                self._transaction.take(event)
            if kind is _END:
                self._woken = True

    async def _stream(self, content: ContentReader) -> None:
        """Send content in pieces. Raises SessionLost, LocalDataError, NestingTooDeep."""
        transport = self._transport
        if transport is None:
            raise self._gone or SessionLost(Stage.CONTENT, timed_out=False)
        # When sending fails, the loop throws away what the server has said, which may be a refusal.
        with contextlib.ExitStack() as stack:
            ear: socket.socket | None = None
            with contextlib.suppress(OSError):  # no descriptor for that: the content has been opened, and can be sent
                ear = stack.enter_context(socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())))
            try:
                await self._send_pieces(content)
            except SessionLost as lost:
                if ear is not None and not lost.timed_out:
                    self._listen_once_more(ear)
                raise

    def _listen_once_more(self, ear: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := ear.recv(65536, socket.MSG_DONTWAIT):
                self.core.receive_data(data)
        self._take_refusal()

    async def _send_pieces(self, content: ContentReader) -> None:
        encoder = ContentEncoder(self._line_limit)
        while True:
            try:
                piece = await content.read()
            except (OSError, CheckFailure) as exc:
                raise LocalDataError(str(exc)) from exc
            if self._gone is not None:
                raise self._gone
            if not piece:
                break
            self._write(encoder.encode(piece))
            self._arm()
            # Others want their turn, too; and a server that has left, or refused, is to be heard.
            await (self._paused if self._paused is not None else asyncio.sleep(0))
        if self._gone is not None:
            raise self._gone
        if encoder.folded and self._transaction is not None:
            self._transaction.folded(self._line_limit)
        self._write(encoder.finish())
        if self.dot_delay:
            await asyncio.sleep(self.dot_delay)
            if self._gone is not None:
                raise self._gone
        self._write(self.core.content_sent())
        self._arm()
        # A reply that came early waits in the core.
        self.data_received(b"")

    async def _wait(self) -> None:
        """Until `_woken`, which may have come already: a server can greet before we come here."""
        if self._woken:
            self._woken = False
            return
        if self._gone is not None:
            raise self._gone
        self._waiter = Signal()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _lose(self, lost: SessionLost | LocalDataError | NoTls) -> None:
        if self._gone is None:
            self._gone = lost
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(lost)
        self.resume_writing()
        if self.on_idle_end is not None:
            self.on_idle_end(self)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None:
            self._transport.write(data)

    def _arm(self) -> None:
        self._set_deadline(self._loop.time() + self._limits[self.core.stage])

    def _set_deadline(self, deadline: float) -> None:
        """One timer serves all limits: it is moved only to an earlier time; firing early, it looks at the clock."""
        self._deadline = deadline
        if self._timer is not None:
            if deadline >= self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._transport is None:
            return
        if self._loop.time() < self._deadline:
            self._set_deadline(self._deadline)
            return
        stage = self.core.stage
        if stage is Stage.IDLE:
            self._lose(SessionLost(stage, timed_out=True))
            self.quit()
            return
        # In this order: who waits goes on at once, and is to say nothing more to a server that may still be busy.
        self.abort()
        self._lose(SessionLost(stage, timed_out=True))
