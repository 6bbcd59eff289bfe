"""Content that is too large to be kept in memory: headers completed, all written to a file while it arrives."""

from zlib import crc32

from gatepost.cleanup.data_size import DataSize
from gatepost.cleanup.eight_bit import EightBitParts
from gatepost.cleanup.header_pass import HeaderPass
from gatepost.cleanup.interface import LargeContent, Outcome, QueueFull, QueueUnavailable, QueueWriter, Transaction
from gatepost.cleanup.own_headers import OwnHeaders


class LargeStream:
    """One message. Memory in use is bounded by a piece of content and header_size_limit.

    `outcome` tells what went wrong, if anything (`reason`: of a write that failed); then nothing more is written.
    `octets`, `checksum` and `records` (its size in a queue file of Postfix) are of all that was written. `headers`: as
    OwnHeaders.begin made it, or None if what comes is complete. `limit`: message_size_limit, octets; `line_limit`:
    line_length_limit.
    """

    def __init__(
        self, own: OwnHeaders, writer: QueueWriter, headers: HeaderPass | None, transaction: Transaction, sender: str,
        queue_id: str, arrival: float, limit: int, line_limit: int,
    ) -> None:  # fmt: skip
        self.outcome: Outcome = "ok"
        self.reason = ""
        self.octets = 0
        self.records = DataSize(line_limit)
        self.checksum = 0
        self.file: LargeContent | None = None
        self._own = own
        self._writer = writer
        self._transaction = transaction
        self._sender = sender
        self._queue_id = queue_id
        self._arrival = arrival
        self._limit = limit
        self._headers = headers
        self._parts = own.parts(transaction) if headers is not None else None
        self._pending = b""
        self._skipping = False
        self._line_start = True
        self._last = b"\n"

    def feed(self, data: bytes) -> None:
        if self._headers is None:
            self._put(data)
        elif self.outcome == "ok":
            self._take(self._headers, data, last=False)

    def finish(self) -> None:
        """No more content comes."""
        if self._headers is not None and self.outcome == "ok":
            self._take(self._headers, b"", last=True)
        if self._last != b"\n":
            self._put(b"\n")
        if self._parts is not None:
            self._parts.end()
            self._look_at(self._parts)

    def abandon(self) -> None:
        """Give the file up."""
        if self.file is not None:
            self.file.abandon()
            self.file = None

    def _take(self, headers: HeaderPass, data: bytes, *, last: bool) -> None:
        if self._skipping:
            data = self._skip_continued(data)
        data = self._pending + data
        self._pending = b""
        if last and data and data[-1] != 10:
            data += b"\n"
        rest = data[headers.take(data, last=last) :]
        if headers.ended or last:
            self._headers = None
            own, transaction = self._own, self._transaction
            if not own.end(headers, transaction, self._sender, self._queue_id, self._arrival, rest[:1]):
                self._fail("hops")
                return
            headers.out.append(rest)
        else:
            self._keep(rest)
        self._put(b"".join(headers.out))
        headers.out.clear()

    def _keep(self, rest: bytes) -> None:
        """The last header is not complete yet. Of one without end only header_size_limit is kept, as in Postfix."""
        limit = self._own.header_size_limit
        if not self._skipping and len(rest) > 2 * limit:
            self._skipping = True
            self._line_start = rest.endswith(b"\n")
            rest = rest[:limit].rstrip(b"\n") + b"\n"
        self._pending = rest

    def _skip_continued(self, data: bytes) -> bytes:
        """Without the lines that still belong to the overlong header."""
        start, length = 0, len(data)
        while start < length:
            if self._line_start and data[start] not in b" \t":
                self._skipping = False
                return data[start:]
            end = data.find(b"\n", start) + 1
            self._line_start = end > 0
            start = end or length
        return b""

    def _put(self, data: bytes) -> None:
        if self.outcome != "ok" or not data:
            return
        self.octets += len(data)
        self.records.feed(data)
        if self._limit and (self.octets > self._limit or self.records.size > self._limit):
            self._fail("size")
            return
        if self._parts is not None:
            self._parts.feed(data)
            self._look_at(self._parts)
        self.checksum = crc32(data, self.checksum)
        self._last = data[-1:]
        try:
            if self.file is None:
                self.file = self._writer.large_content(self._queue_id)
            self.file.write(data)
        except QueueFull:
            self._fail("space")
        except QueueUnavailable as error:
            self.reason = str(error)
            self._fail("write")

    def _look_at(self, parts: EightBitParts) -> None:
        if parts.found:
            self._transaction.body = "8bitmime"
            self._parts = None

    def _fail(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.abandon()
