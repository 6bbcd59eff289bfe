"""Mail whose addresses are mapped one to one by tables on its way in. Without such tables none of this runs."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from gatepost.cleanup.header_pass import mark_mailbox_lines
from gatepost.cleanup.interface import CleanupResult, QueueWriter, Transaction
from gatepost.cleanup.mapped_headers import MappedHeaders
from gatepost.cleanup.pipeline import MailCleanup, MailIncoming
from gatepost.cleanup.received import Dates, LocalTime
from gatepost.config.settings import Settings
from gatepost.mail.envelope import Recipient
from gatepost.mail.headers import header_end
from gatepost.maillog.sink import ProgramLog
from gatepost.net.stepping import start
from gatepost.rewrite.canonical import CanonicalMaps, Place
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.virtual_alias import VirtualAliases
from gatepost.tables.table import LookupTemporaryFailure


def mail_cleanup(
    settings: Settings,
    writer: QueueWriter,
    log: ProgramLog,
    rewriter: Rewriter,
    aliases: VirtualAliases | None,
    canonical: CanonicalMaps,
    *,
    clock: Callable[[], float] = time.time,
    local_time: LocalTime = time.localtime,
) -> MailCleanup:
    """The cleanup service for these settings; see MailCleanup."""
    if not canonical:
        return MailCleanup(settings, writer, log, rewriter, aliases, clock=clock, local_time=local_time)
    return MappedCleanup(settings, writer, log, rewriter, aliases, canonical, clock=clock, local_time=local_time)


class MappedCleanup(MailCleanup):
    """A MailCleanup with canonical maps or masquerading."""

    def __init__(
        self,
        settings: Settings,
        writer: QueueWriter,
        log: ProgramLog,
        rewriter: Rewriter,
        aliases: VirtualAliases | None,
        canonical: CanonicalMaps,
        *,
        clock: Callable[[], float],
        local_time: LocalTime,
    ) -> None:
        super().__init__(settings, writer, log, rewriter, aliases, clock=clock, local_time=local_time)
        self.mapped_headers = MappedHeaders(settings, log, rewriter, Dates(local_time), canonical)
        self.own_headers = self.mapped_headers
        self._rewriter = rewriter
        self._canonical = canonical

    def open(self) -> MailIncoming:
        return MappedIncoming(self, self.writer.new_queue_id())

    async def mapped_envelope(self, transaction: Transaction, queue_id: str) -> Transaction:
        """The transaction with its addresses mapped. Raises LookupTemporaryFailure, after a warning in the log."""
        canonical, warn, standard = self._canonical, self.log.warning, self._rewriter.rewrite_internal
        sender = await canonical.internal(Place.ENVELOPE_SENDER, standard(transaction.sender), queue_id, warn)
        recipients = []
        for recipient in transaction.recipients:
            address = standard(recipient.address)
            mapped = await canonical.internal(Place.ENVELOPE_RECIPIENT, address, queue_id, warn)
            if mapped != address:
                original = recipient.original or recipient.address
                recipient = Recipient(mapped, original, recipient.notify, recipient.orcpt)
            recipients.append(recipient)
        blind = [
            await canonical.internal(Place.ENVELOPE_RECIPIENT, standard(address), queue_id, warn)
            for address in transaction.bcc
        ]
        return replace(transaction, sender=sender, recipients=recipients, bcc=blind)


class MappedIncoming(MailIncoming):
    """One message. Large content waits in memory until its headers are complete and mapped."""

    __slots__ = ("_failed", "_look_again", "_lookup", "_mapped")

    _cleanup: MappedCleanup

    def __init__(self, cleanup: MappedCleanup, queue_id: str) -> None:
        super().__init__(cleanup, queue_id)
        self._lookup: set[asyncio.Task[Any]] = set()
        self._look_again = 0
        self._mapped = False
        self._failed = False

    async def finish(self, transaction: Transaction) -> CleanupResult:
        if self._held:  # the content has no line end at all there
            self.write(b"\n")
        if self._lookup:
            await asyncio.wait(self._lookup)
        if not self._discarded and not self._too_big and transaction.mappings:
            try:
                transaction = await self._map(transaction)
            except LookupTemporaryFailure:
                self._failed = True
        if self._failed:
            self._drop()
            return CleanupResult("write")
        return await super().finish(transaction)

    def abandon(self) -> None:
        for task in self._lookup:
            task.cancel()
        super().abandon()

    async def _map(self, transaction: Transaction) -> Transaction:
        mapped = await self._cleanup.mapped_envelope(transaction, self.queue_id)
        if self._large is None:
            given = b"".join(self._pieces)
            if given and given[-1] != 10:
                given += b"\n"
            headers = self._cleanup.mapped_headers
            mapped.header_addresses = await headers.look_up(mapped, mark_mailbox_lines(given), self.queue_id)
        return mapped

    def _outgrown(self) -> None:
        transaction, limit = self._transaction, self._cleanup.message_size_limit
        too_big = limit and self._octets > limit
        if transaction is None or self._mapped or self._discarded or too_big or not transaction.mappings:
            super()._outgrown()
        elif self._failed:
            self._pieces.clear()
        elif not self._lookup and self._octets > self._look_again:
            self._pieces = [b"".join(self._pieces)]
            if _headers_are_whole(self._pieces[0]):
                start(self._map_and_stream(transaction), self._lookup)
            self._look_again = 2 * self._octets

    async def _map_and_stream(self, transaction: Transaction) -> None:
        try:
            mapped = await self._map(transaction)
        except LookupTemporaryFailure:
            self._failed = True
            self._pieces.clear()
            return
        self._mapped = True
        self._transaction = mapped
        if not self._too_big and self._pieces:
            self._start_large(mapped)


def _headers_are_whole(content: bytes) -> bool:
    content = mark_mailbox_lines(content)
    end = header_end(content)
    return content.find(b"\n", end) >= 0
