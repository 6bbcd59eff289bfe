"""What cleanup itself puts into the header section: trace, prepended and missing headers; and what it logs of it."""

from gatepost.cleanup.address_headers import AddressHeaders
from gatepost.cleanup.eight_bit import EIGHT_BIT, EightBitParts
from gatepost.cleanup.header_pass import (
    CONTENT_ENCODING,
    DATE,
    FROM,
    MESSAGE_ID,
    RESENT_DATE,
    RESENT_FROM,
    RESENT_MESSAGE_ID,
    VISIBLE_RECIPIENT,
    HeaderPass,
    header_kinds,
)
from gatepost.cleanup.interface import Transaction
from gatepost.cleanup.received import Dates, received_header
from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.headers import header_name
from gatepost.mail.mime_parts import MimeLimits
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.rewrite import Rewriter

_EIGHT_BIT_WORDS = (b"8bit", b"8BIT", b"binary", b"Binary", b"BINARY")


class OwnHeaders:
    """The headers of one service's messages."""

    def __init__(self, settings: Settings, log: ProgramLog, rewriter: Rewriter, dates: Dates) -> None:
        self.header_size_limit = settings.header_size_limit
        self._log = log
        self._dates = dates
        self._hopcount_limit = settings.hopcount_limit
        self._myhostname = settings.myhostname
        self._mail_name = settings.mail_name
        self._detect_8bit = settings.detect_8bit_encoding_header
        self._looks_inside = not settings.disable_mime_input_processing
        self._mime_limits = MimeLimits(settings.mime_nesting_limit, settings.mime_boundary_length_limit)
        self._add_always = settings.always_add_missing_headers
        self._undisclosed = settings.undisclosed_recipients_header
        self._rewrites_remote = bool(settings.remote_header_rewrite_domain)
        dropped, token_limit = settings.message_drop_headers, settings.header_address_token_limit
        self._rewriting = header_kinds(dropped, rewrite=True)
        self._leaving = header_kinds(dropped, rewrite=False)
        self._local = AddressHeaders(rewriter, "local", token_limit, log.warning)
        self._remote = AddressHeaders(rewriter, "remote", token_limit, log.warning)

    def begin(self, transaction: Transaction, queue_id: str, arrival: float) -> HeaderPass:
        """A pass in the transaction's rewriting context that holds what access tables prepend, and the trace header."""
        headers = self._header_pass(transaction)
        if transaction.prepend:
            self._prepend(headers, transaction)
        if transaction.received:
            date = self._dates.at(arrival).date
            text = received_header(transaction, queue_id, self._myhostname, self._mail_name, date)
            headers.out.append(text.encode("utf-8", "surrogateescape"))
            headers.hops += 1
        return headers

    def end(
        self, headers: HeaderPass, transaction: Transaction, sender: str, queue_id: str, arrival: float,
        following: bytes,
    ) -> bool:  # fmt: skip
        """Add what is missing, part headers and body if their author did not, log the message ID.

        `following`: the first octet of what comes after the headers. False: too many hops.
        """
        if headers.hops >= self._hopcount_limit:
            return False
        self.log_message_ids(headers, queue_id)
        if headers.seen & CONTENT_ENCODING and self._detect_8bit and any(map(EIGHT_BIT.search, headers.out)):
            transaction.body = "8bitmime"
        if transaction.origin.context == "local" or self._add_always or self._rewrites_remote:
            self._add_missing(headers, sender, queue_id, arrival)
            self._add_undisclosed(headers)
        if not headers.seen & MESSAGE_ID:
            self._log.info(lines.message_id(queue_id, "<>"))
        if following and following != b"\n":
            headers.out.append(b"\n")
        return True

    def note_encoding(self, transaction: Transaction, content: list[bytes]) -> None:
        """A part of the message that says it is 8bit makes the message 8bit, too (detect_8bit_encoding_header)."""
        body = content[-1]
        if any(word in body for word in _EIGHT_BIT_WORDS) and (parts := self.parts(transaction)) is not None:
            parts.feed(b"".join(content))
            parts.end()
            if parts.found:
                transaction.body = "8bitmime"

    def parts(self, transaction: Transaction) -> EightBitParts | None:
        """To be fed with the content; None if the parts decide nothing."""
        wanted = self._detect_8bit and self._looks_inside and transaction.body != "8bitmime"
        return EightBitParts(self._mime_limits) if wanted else None

    def log_message_ids(self, headers: HeaderPass, queue_id: str) -> None:
        """The ones that came with the message."""
        for value, resent in headers.message_ids:
            self._log.info(lines.message_id(queue_id, value.decode("utf-8", "replace"), resent))

    def _prepend(self, headers: HeaderPass, transaction: Transaction) -> None:
        if transaction.prepend:
            headers.take(("\n".join(transaction.prepend) + "\n").encode("utf-8", "surrogateescape"), last=True)
            headers.ended = False

    def _header_pass(self, transaction: Transaction) -> HeaderPass:
        if transaction.origin.context == "local":
            return HeaderPass(self._rewriting, self._local, self.header_size_limit)
        if self._rewrites_remote:
            return HeaderPass(self._rewriting, self._remote, self.header_size_limit)
        return HeaderPass(self._leaving, None, self.header_size_limit)

    def _add_missing(self, headers: HeaderPass, sender: str, queue_id: str, arrival: float) -> None:
        """Message-Id, Date and From, or with Resent- if there was such a header."""
        seen = headers.seen
        prefix, wanted_id, wanted_date, wanted_from = "", MESSAGE_ID, DATE, FROM
        if headers.resent:
            prefix, wanted_id, wanted_date, wanted_from = "Resent-", RESENT_MESSAGE_ID, RESENT_DATE, RESENT_FROM
        if seen & wanted_id and seen & wanted_date and seen & wanted_from:
            return
        dates = self._dates.at(arrival)
        missing = ""
        if not seen & wanted_id:
            value = f"<{dates.compact}.{queue_id}@{self._myhostname}>"
            missing = f"{prefix}Message-Id: {value}\n"
            self._log.info(lines.message_id(queue_id, value, headers.resent))
            headers.seen |= wanted_id
        if not seen & wanted_date:
            missing += f"{prefix}Date: {dates.date}\n"
        if not seen & wanted_from:
            missing += f"{prefix}From: {quote_822_local(sender or 'MAILER-DAEMON')}\n"
        headers.out.append(missing.encode("utf-8", "surrogateescape"))

    def _add_undisclosed(self, headers: HeaderPass) -> None:
        """undisclosed_recipients_header, if there is neither To nor Cc."""
        text = self._undisclosed
        if not text or headers.seen & VISIBLE_RECIPIENT:
            return
        if header_name(text.encode("utf-8", "surrogateescape")):
            headers.out.append(text.encode("utf-8", "surrogateescape") + b"\n")
        else:
            need = 'need "headername: headervalue"'
            self._log.warning(f'bad undisclosed_recipients_header header text "{text}" -- {need}')
