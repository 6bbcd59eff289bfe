"""A cleanup service with a memory queue, a log that can be read, and a clock that stands."""

import time

from gatepost.cleanup.interface import CleanupResult, Transaction
from gatepost.cleanup.mapped_incoming import mail_cleanup
from gatepost.cleanup.memory_writer import MemoryWriter
from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.maillog.sink import MailLog, MemoryOutput
from tests.rewrite.services import Services

NOW = 1795361716.25
DATE = "Sun, 22 Nov 2026 15:35:16 +0000 (GMT)"
STAMP = "20261122153516"
LOCAL = Origin("laptop.example", "192.0.2.7", "4321", "laptop.example", "helo.name", "ESMTP", context="local")
REMOTE = Origin("laptop.example", "192.0.2.7", "4321", "laptop.example", "helo.name", "ESMTP", context="remote")


class Entrance:
    """`messages`: what reached the queue. `log`: the lines so far."""

    def __init__(self, main_cf: str = "", **changes: str) -> None:
        self.output = MemoryOutput()
        self._mail_log = MailLog(self.output, "postfix", 1, clock=lambda: NOW)
        log = self._mail_log.program("cleanup")
        self.services = Services(main_cf, **changes)
        self.writer = MemoryWriter()
        self.cleanup = mail_cleanup(
            self.services.settings,
            self.writer,
            log,
            self.services.all.rewriter,
            self.services.all.virtual_aliases,
            self.services.all.canonical,
            clock=lambda: NOW,
            local_time=time.gmtime,
        )

    @property
    def messages(self) -> list[Message]:
        return self.writer.messages

    @property
    def log(self) -> list[str]:
        self._mail_log.flush()
        return self.output.lines

    async def send(self, *pieces: bytes, transaction: Transaction | None = None, begin: bool = False) -> CleanupResult:
        transaction = transaction or given()
        incoming = self.cleanup.open()
        if begin:
            incoming.begin(transaction)
        for piece in pieces:
            incoming.write(piece)
        return await incoming.finish(transaction)

    async def stored(self, *pieces: bytes, transaction: Transaction | None = None, begin: bool = False) -> str:
        """The content that reached the queue."""
        result = await self.send(*pieces, transaction=transaction, begin=begin)
        assert result.outcome == "ok"
        return self.writer.content(self.messages[-1]).decode()


def given(sender: str = "me@client.example", *recipients: str, origin: Origin = LOCAL, **more: object) -> Transaction:
    """A transaction; one recipient if none is named."""
    listed = [Recipient(address) for address in recipients or ("x@dest.example",)]
    return Transaction(sender, listed, origin, **more)  # type: ignore[arg-type]
