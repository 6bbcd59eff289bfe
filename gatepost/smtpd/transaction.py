"""One mail transaction: from an accepted MAIL to its end, by end-of-data, RSET, or whatever else ends it."""

import msgspec

from gatepost.cleanup.interface import Incoming, QueueFull, QueueUnavailable, Transaction
from gatepost.mail.envelope import Body, Recipient, Ret
from gatepost.mail.reply import Reply
from gatepost.protocol.data_scanner import ChunkReader, DataScanner


class Chunk(msgspec.Struct, gc=False):
    """One BDAT command: its octets, whether it is the last, and why it is refused (it is read all the same)."""

    octets: int
    last: bool
    refusal: Reply | None = None


class MailTransaction(msgspec.Struct, eq=False):
    """The envelope as it grows, and the message on its way into the queue.

    `failure` is why the content cannot be taken any more (`size`, `write`, `space`; empty: all is well): it is answered
    at the end of data. `local`: its headers are rewritten as those of a local client.
    """

    sender: str
    body: Body
    ret: Ret
    envid: str
    smtputf8: bool
    local: bool
    verp: str = ""
    recipients: list[Recipient] = []
    incoming: Incoming | None = None
    content: DataScanner | ChunkReader | None = None
    envelope: Transaction | None = None  # what cleanup was told at DATA
    failure: str = ""
    _begun: bool = False

    @property
    def octets(self) -> int:
        """Content so far, as message_size_limit counts it."""
        return self.content.octets if self.content is not None else 0

    def write(self, data: bytes, limit: int) -> bool:
        """Pass content on; `limit` is message_size_limit (0: none). False: it has just become too large."""
        if self.failure:
            return True
        if data and not self._begun:
            self._begun = True
            if data[0] == 32 or data[0] == 9:
                # Postfix's smtpd(8): an indented first line is no header, nor the continuation of ours.
                data = b"\n" + data
        content = self.content
        too_large = content is not None and 0 < limit < content.octets
        if data and self.incoming is not None:
            try:
                # As Postfix, cleanup sees what there is room for, and can tell of the message by its ID.
                self.incoming.write(data[:limit] if too_large else data)
            except QueueFull:
                self._fail("space")
            except QueueUnavailable:
                self._fail("write")
        if too_large:
            self._fail("size")
        return not too_large

    def _fail(self, failure: str) -> None:
        self.failure = failure
        self.abandon()

    def abandon(self) -> None:
        """Nothing comes of the message."""
        if self.incoming is not None:
            self.incoming.abandon()
            self.incoming = None
