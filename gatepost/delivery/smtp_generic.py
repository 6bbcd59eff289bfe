"""smtp_generic_maps: addresses that only this site knows become others on their way out (generic(5), smtp(8)).

One entry is followed, in the envelope and in the headers; the log goes on to show the addresses as they are here.
"""

from typing import Any, BinaryIO, cast

from msgspec.structs import replace

from gatepost.cleanup.address_headers import fold_list
from gatepost.cleanup.header_pass import has_addresses
from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.report import AttemptLog
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail import address_tokens
from gatepost.mail.address_quoting import quote_822_local, unquote_822_local
from gatepost.mail.headers import header_end, header_value, headers
from gatepost.rewrite.canonical import OneToOne
from gatepost.tables.table import LookupTemporaryFailure

_PIECE = 1 << 17
"""Octets of a content file to be read for its headers at a time."""


class _FileRequest(DeliveryRequest):
    """A request with content in a file, whose first `skip` octets are to be `head` instead."""

    head: bytes = b""
    skip: int = 0


class _OtherHead:
    """A file that begins otherwise than it does."""

    def __init__(self, file: BinaryIO, head: bytes, skip: int) -> None:
        self._file = file
        self._head = head
        self._skip = skip
        self._ahead = head
        file.seek(skip)

    def read(self, size: int) -> bytes:
        if self._ahead:
            piece, self._ahead = self._ahead[:size], self._ahead[size:]
            return piece
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        """To the beginning: what a new attempt asks for."""
        self._ahead = self._head
        self._file.seek(self._skip)
        return offset

    def close(self) -> None:
        self._file.close()


class GenericSmtpAgent(SmtpAgent):
    """An SmtpAgent with smtp_generic_maps."""

    def __init__(self, generic: OneToOne, *arguments: Any, **options: Any) -> None:
        """`arguments`, `options`: as for SmtpAgent."""
        super().__init__(*arguments, **options)
        self._generic = generic

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        attempt = AttemptLog(request, self._log, self._clock, self._params, self._status_filter)
        failure: Failure | None = None
        try:
            request = await self._mapped(request)
        except LookupTemporaryFailure:
            # smtp(8) ends itself then, and its queue manager has these words.
            failure = Failure("4.3.0", "unknown mail transport error")
        except OSError as error:
            self._warn(f"{request.queue_id}: open content file {request.content_file}: {error.strerror}")
            failure = Failure("4.3.0", "cannot open message content")
        delivery = SmtpDelivery(request, attempt, self._log, soft_bounce=self._params.soft_bounce)
        if failure is None:
            return await self._carry_out(delivery)
        recipients, delivery.left = delivery.left, []
        delivery.final_server = True
        delivery.fail(recipients, None, failure)
        return await self._done(delivery)

    def _open(self, request: DeliveryRequest) -> BinaryIO:
        file = super()._open(request)
        if not isinstance(request, _FileRequest):
            return file
        return cast(BinaryIO, _OtherHead(file, request.head, request.skip))

    async def _mapped(self, request: DeliveryRequest) -> DeliveryRequest:
        """The request with other addresses. Raises LookupTemporaryFailure, after a warning, and OSError."""
        recipients = []
        for recipient in request.recipients:
            address = await self._internal(recipient.address)
            if address != recipient.address:
                original = recipient.original or recipient.address
                recipient = replace(recipient, address=address, original=original)
            recipients.append(recipient)
        changes: dict[str, Any] = {"sender": await self._internal(request.sender), "recipients": recipients}
        if request.trace:
            return replace(request, **changes)
        if request.content or not request.content_file:
            end = header_end(request.content)
            head = await self._headers(request.content[:end])
            return replace(request, content=head + request.content[end:], **changes)
        section = self._section(request.content_file)
        head = await self._headers(section)
        fields = {name: getattr(request, name) for name in request.__struct_fields__}
        return _FileRequest(**{**fields, **changes, "head": head, "skip": len(section)})

    def _section(self, name: str) -> bytes:
        """The headers of a content file. Raises OSError."""
        with self._open_content(name) as file:
            content = b""
            while piece := file.read(max(_PIECE, len(content))):  # twice as much each time
                content += piece
                end = header_end(content)
                if content.find(b"\n", end) >= 0:
                    return content[:end]
            return content[: header_end(content)]

    async def _headers(self, section: bytes) -> bytes:
        out = []
        for name, header in headers(section):
            changed = await self._header(header) if has_addresses(name) else None
            out.append(header if changed is None else changed)
        return b"".join(out)

    async def _header(self, header: bytes) -> bytes | None:
        value = header_value(header).rstrip(b"\n")
        if not value:
            return None
        tree = address_tokens.parse(value.decode("utf-8", "surrogateescape"))
        changed = False
        for address in address_tokens.addresses(tree):
            before = address_tokens.externalize(address.children, inside_address=True)
            after, differs = await self._generic.once(before, self._warn)
            if differs:
                address.children = address_tokens.scan(after)
                changed = True
        if not changed:
            return None
        text = address_tokens.externalize(tree, newlines=True, truncate=True, warn=self._warn)
        return fold_list(header[: header.find(b":")], text.encode("utf-8", "surrogateescape"))

    async def _internal(self, address: str) -> str:
        if not address:
            return address
        result, _ = await self._generic.once(quote_822_local(address), self._warn)
        return unquote_822_local(result)


class GenericLmtpAgent(GenericSmtpAgent, LmtpAgent):
    """An LmtpAgent with lmtp_generic_maps."""
