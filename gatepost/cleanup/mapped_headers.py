"""Headers whose addresses are mapped by tables: canonical maps and masquerading (cleanup(8), canonical(5)).

Tables may have to be waited for, and the pass over the headers does not wait. So there are two passes: the first only
notes the headers with addresses, the second puts in what was found for them.
"""

from gatepost.cleanup.address_headers import fold_list
from gatepost.cleanup.header_pass import HeaderPass, header_kinds, is_sender_header
from gatepost.cleanup.interface import HeaderAddresses, Transaction
from gatepost.cleanup.own_headers import OwnHeaders
from gatepost.cleanup.received import Dates
from gatepost.config.settings import Settings
from gatepost.mail import address_tokens
from gatepost.mail.headers import header_value
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.canonical import CanonicalMaps, Place
from gatepost.rewrite.rewrite import Context, Rewriter


class _Noted:
    """Stands in the first pass where headers are rewritten, and changes nothing."""

    __slots__ = ("headers",)

    def __init__(self) -> None:
        self.headers: dict[bytes, bytes] = {}

    def rewrite(self, name: bytes, header: bytes) -> bytes | None:
        self.headers[header] = name
        return None


class _LookedUp:
    """The headers of one message as they are to be."""

    __slots__ = ("_headers",)

    def __init__(self, headers: dict[bytes, bytes]) -> None:
        self._headers = headers

    def rewrite(self, name: bytes, header: bytes) -> bytes | None:
        return self._headers.get(header)


class MappedHeaders(OwnHeaders):
    """As OwnHeaders, for transactions with `header_addresses`, which `look_up` finds."""

    def __init__(
        self, settings: Settings, log: ProgramLog, rewriter: Rewriter, dates: Dates, canonical: CanonicalMaps
    ) -> None:
        super().__init__(settings, log, rewriter, dates)
        self._mapping = header_kinds(settings.message_drop_headers, rewrite=True, mapped=True)
        self._token_limit = settings.header_address_token_limit
        self._rewriter = rewriter
        self._canonical = canonical

    def _header_pass(self, transaction: Transaction) -> HeaderPass:
        if transaction.header_addresses is None:
            return super()._header_pass(transaction)
        return HeaderPass(self._mapping, transaction.header_addresses, self.header_size_limit)

    async def look_up(self, transaction: Transaction, content: bytes, queue_id: str) -> HeaderAddresses | None:
        """What becomes of the headers in `content` and of prepended ones; None if they are not to be mapped.

        Headers of remote clients are mapped only where they are rewritten, too. Raises LookupTemporaryFailure.
        """
        context: Context = "local" if transaction.origin.context == "local" else "remote"
        if not self._canonical.in_headers or (context == "remote" and not self._rewrites_remote):
            return None
        noted = _Noted()
        headers = HeaderPass(self._mapping, noted, self.header_size_limit)
        self._prepend(headers, transaction)
        headers.take(content, last=True)
        found: dict[bytes, bytes] = {}
        for header, name in noted.headers.items():
            changed = await self._mapped(context, name, header, queue_id)
            if changed is not None:
                found[header] = changed
        return _LookedUp(found)

    async def _mapped(self, context: Context, name: bytes, header: bytes, queue_id: str) -> bytes | None:
        value = header_value(header).rstrip(b"\n")
        if not value:
            return None
        warn = self._log.warning
        place = Place.HEADER_SENDER if is_sender_header(name) else Place.HEADER_RECIPIENT
        tree = address_tokens.parse(value.decode("utf-8", "surrogateescape"), self._token_limit)
        changed = False
        for address in address_tokens.addresses(tree):
            before = address_tokens.externalize(address.children, inside_address=True)
            standard = self._rewriter.rewrite(context, before)
            after, differs = await self._canonical.external(place, standard, queue_id, warn)
            if differs or after != before:
                address.children = address_tokens.scan(after)
                changed = True
        if not changed:
            return None
        text = address_tokens.externalize(tree, newlines=True, truncate=True, warn=warn)
        return fold_list(name, text.encode("utf-8", "surrogateescape"))
