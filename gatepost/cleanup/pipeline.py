"""The pipeline into the queue: headers completed, recipients expanded, stored durably (cleanup(8))."""

import re
import time
from collections.abc import Callable
from zlib import crc32

from gatepost.cleanup.data_size import data_size
from gatepost.cleanup.envelope import Envelope
from gatepost.cleanup.header_pass import CONTENT_TYPE, HeaderPass, mark_mailbox_lines
from gatepost.cleanup.interface import (
    CleanupResult,
    Outcome,
    QueueFull,
    QueueUnavailable,
    QueueWriter,
    Transaction,
)
from gatepost.cleanup.large_stream import LargeStream
from gatepost.cleanup.own_headers import OwnHeaders
from gatepost.cleanup.received import Dates, LocalTime
from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import INLINE_LIMIT, PROBE, Message, Recipient
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.virtual_alias import AliasExpansionError, VirtualAliases
from gatepost.tables.table import LookupTemporaryFailure

_OK = CleanupResult("ok")
_CR_AT_END = re.compile(rb"\r+\n")


class MailCleanup:
    """Takes messages in. One for each service, since settings may differ.

    `log` is that of the program `cleanup`; `clock` gives wall-clock seconds. `open` raises QueueUnavailable.
    """

    def __init__(
        self,
        settings: Settings,
        writer: QueueWriter,
        log: ProgramLog,
        rewriter: Rewriter,
        aliases: VirtualAliases | None,
        *,
        clock: Callable[[], float] = time.time,
        local_time: LocalTime = time.localtime,
    ) -> None:
        self.writer = writer
        self.log = log
        self.clock = clock
        self.message_size_limit = settings.message_size_limit
        self.line_length_limit = settings.line_length_limit
        self.replace_stray_cr = settings.cleanup_replace_stray_cr_lf
        self.own_headers = OwnHeaders(settings, log, rewriter, Dates(local_time))
        self.envelope = Envelope(
            rewriter,
            aliases.logged_by(log.warning) if aliases else None,
            duplicate_limit=settings.duplicate_filter_limit,
            keep_original=settings.enable_original_recipient,
        )

    def open(self) -> "MailIncoming":
        return MailIncoming(self, self.writer.new_queue_id())


class MailIncoming:
    """One message on its way in; see `Incoming`."""

    __slots__ = (
        "_arrival",
        "_cleanup",
        "_discarded",
        "_held",
        "_large",
        "_octets",
        "_pieces",
        "_too_big",
        "_transaction",
        "queue_id",
    )

    def __init__(self, cleanup: MailCleanup, queue_id: str) -> None:
        self.queue_id = queue_id
        self._cleanup = cleanup
        self._arrival = cleanup.clock()
        self._pieces: list[bytes] = []
        self._octets = 0
        self._too_big = False
        self._discarded = False
        self._held = b""  # carriage returns whose line may end in the next piece
        self._transaction: Transaction | None = None
        self._large: LargeStream | None = None

    def begin(self, transaction: Transaction) -> None:
        self._transaction = transaction
        # Discarded at the end of data only, it has been looked at before.
        self._discarded = transaction.discard

    def write(self, data: bytes) -> None:
        if (self._held or b"\r" in data) and self._cleanup.replace_stray_cr:
            # A server further on might take it for the end of a line, even of the message ("SMTP smuggling"). As in
            # Postfix several before a line's end go with it.
            data = self._held + data
            self._held = data[len(data.rstrip(b"\r")) :]
            if len(self._held) > self._cleanup.line_length_limit:
                self._held = b""  # of a longer line Postfix does not know the end either
            data = data[: len(data) - len(self._held)]
            data = _CR_AT_END.sub(b"\n", data).replace(b"\r", b" ")
        self._octets += len(data)
        if self._large is not None:
            self._large.feed(data)
            return
        self._pieces.append(data)
        if self._octets > INLINE_LIMIT:
            self._outgrown()

    def abandon(self) -> None:
        transaction = self._transaction
        if transaction is not None and self._pieces and not self._discarded:
            # The message ID is logged even if the client is lost later.
            own, arrival = self._cleanup.own_headers, transaction.arrival or self._arrival
            headers = own.begin(transaction, self.queue_id, arrival)
            headers.take(b"".join(self._pieces), last=False)
            if headers.ended:
                own.end(headers, transaction, "", self.queue_id, arrival, b"")
            else:
                own.log_message_ids(headers, self.queue_id)
        self._drop()

    def _drop(self) -> None:
        self._pieces.clear()
        if self._large is not None:
            self._large.abandon()

    async def finish(self, transaction: Transaction) -> CleanupResult:
        if self._discarded:
            self._drop()
            return _OK
        if self._held:  # the content has no line end at all there
            self.write(b"\n")
        if self._too_big:
            return self._refuse("size")
        try:
            recipients = await self._cleanup.envelope.recipients(transaction, self.queue_id)
        except AliasExpansionError as error:
            self._drop()
            return CleanupResult("defer", f"{error.dsn} {error.text}")
        except LookupTemporaryFailure:
            self._drop()
            return CleanupResult("write")
        if transaction.trace & PROBE and len(recipients) > 1:
            return self._many(transaction)
        sender = self._cleanup.envelope.sender(transaction.sender)
        content = b""
        outcome: Outcome = "ok"
        if self._large is None:
            content, outcome = self._assemble(transaction, sender)
        if self._large is not None:
            self._large.finish()
            outcome = self._large.outcome
        if outcome != "ok":
            return self._refuse(outcome)
        if transaction.discard:
            self._drop()
            return _OK
        return await self._store(self._message(transaction, sender, recipients, content))

    def _many(self, transaction: Transaction) -> CleanupResult:
        """A probe of an address that stands for several: as much as can be known of it (cleanup(8))."""
        self._drop()
        text = "aliased to multiple recipients"
        address = quote_822_local(transaction.recipients[0].address)
        delays = (max(0.0, self._cleanup.clock() - self._arrival), 0.0, 0.0, 0.0)
        self._cleanup.log.info(
            lines.delivery(self.queue_id, address, "", "none", 0, delays, "2.0.0", "deliverable", text)
        )
        return CleanupResult("ok", text)

    def _message(self, transaction: Transaction, sender: str, recipients: list[Recipient], content: bytes) -> Message:
        large = self._large
        return Message(
            queue_id=self.queue_id,
            arrival=transaction.arrival or self._arrival,
            sender=sender,
            recipients=recipients,
            size=large.octets if large is not None else len(content),
            content=content,
            content_file=large.file.name if large is not None and large.file is not None else "",
            checksum=large.checksum if large is not None else crc32(content),
            origin=transaction.origin,
            body=transaction.body,
            smtputf8=transaction.smtputf8,
            ret=transaction.ret,
            envid=transaction.envid,
            filter=transaction.filter,
            hold=transaction.hold,
            trace=transaction.trace,
            data_size=large.records.size if large is not None else data_size(content, self._cleanup.line_length_limit),
            verp=transaction.verp if sender else "",
            expanded=transaction.expanded,
        )

    async def _store(self, message: Message) -> CleanupResult:
        """The only way to `ok`: large content synced with its folder, then the message committed."""
        large = self._large
        try:
            if large is not None and large.file is not None:
                await large.file.finish()
            await self._cleanup.writer.submit(message)
        except QueueFull:
            return self._refuse("space")
        except QueueUnavailable:
            # It may be stored after all, so the large content stays; what has no row goes at the next start.
            self._large = None
            return self._refuse("write")
        return _OK

    def _refuse(self, outcome: Outcome) -> CleanupResult:
        warning = self._cleanup.log.warning
        if outcome == "size":
            warning(f"{self.queue_id}: queue file size limit exceeded")
        elif outcome == "hops":
            warning(f"{self.queue_id}: message rejected: hopcount exceeded")
        elif outcome == "space":
            warning(f"{self.queue_id}: write queue file: No space left on device")
        elif self._large is not None and self._large.reason:
            warning(f"{self.queue_id}: write queue file: {self._large.reason}")
        self._drop()
        return CleanupResult(outcome)

    def _assemble(self, transaction: Transaction, sender: str) -> tuple[bytes, Outcome]:
        """The content in its final form; empty if it turns out too large for a row and went to a file."""
        own = self._cleanup.own_headers
        arrival = transaction.arrival or self._arrival
        if self._octets > INLINE_LIMIT:
            self._start_large(transaction)
            return b"", "ok"
        given = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        if given and given[-1] != 10:
            given += b"\n"
        given = mark_mailbox_lines(given)
        headers = own.begin(transaction, self.queue_id, arrival)
        body = given[headers.take(given, last=True) :]
        if not own.end(headers, transaction, sender, self.queue_id, arrival, body[:1]):
            return b"", "hops"
        headers.out.append(body)
        if headers.seen & CONTENT_TYPE:
            own.note_encoding(transaction, headers.out)
        content = b"".join(headers.out)
        # Postfix limits the queue file; the envelope in it, some hundred octets, is left out here.
        limit = self._cleanup.message_size_limit
        if limit and 2 * len(content) > limit and data_size(content, self._cleanup.line_length_limit) > limit:
            return b"", "size"
        if len(content) > INLINE_LIMIT:
            self._large = self._large_stream(None, transaction, sender)
            self._large.feed(content)
            return b"", "ok"
        return content, "ok"

    def _outgrown(self) -> None:
        """Content is too large for a row: refuse it, write it to its file if that can begin, or go on gathering."""
        limit = self._cleanup.message_size_limit
        if self._discarded:
            self._pieces.clear()
        elif limit and self._octets > limit:
            self._too_big = True
            self._pieces.clear()
        elif self._transaction is not None:
            self._start_large(self._transaction)

    def _start_large(self, transaction: Transaction) -> None:
        sender = self._cleanup.envelope.sender(transaction.sender)
        arrival = transaction.arrival or self._arrival
        headers = self._cleanup.own_headers.begin(transaction, self.queue_id, arrival)
        self._large = self._large_stream(headers, transaction, sender)
        self._large.feed(mark_mailbox_lines(b"".join(self._pieces)))
        self._pieces.clear()

    def _large_stream(self, headers: HeaderPass | None, transaction: Transaction, sender: str) -> LargeStream:
        cleanup, arrival = self._cleanup, transaction.arrival or self._arrival
        return LargeStream(
            cleanup.own_headers, cleanup.writer, headers, transaction, sender, self.queue_id, arrival,
            cleanup.message_size_limit, cleanup.line_length_limit,
        )  # fmt: skip
