"""One pass over the headers of a message: drop, rewrite, count, and note what is there (cleanup(8))."""

from gatepost.cleanup.address_headers import is_standard
from gatepost.cleanup.interface import HeaderAddresses
from gatepost.config.values import split_list
from gatepost.mail.headers import header_name, header_value, line_end

_DROP = 1
_ADDRESSES = 2
_RESENT = 4
_RECEIVED = 8
MESSAGE_ID = 16
RESENT_MESSAGE_ID = 32
DATE = 64
RESENT_DATE = 128
FROM = 256
RESENT_FROM = 512
VISIBLE_RECIPIENT = 1024
_MAPPED = 2048
CONTENT_ENCODING = 4096
CONTENT_TYPE = 8192
# What asks for more than being noted.
_ACTIONS = _DROP | _ADDRESSES | _RESENT | _RECEIVED | MESSAGE_ID | RESENT_MESSAGE_ID | _MAPPED

# The headers that cleanup(8) knows, with what is to be done about them.
_KINDS = {
    b"apparently-to": _ADDRESSES,
    b"bcc": _ADDRESSES,
    b"cc": _ADDRESSES | VISIBLE_RECIPIENT,
    b"content-transfer-encoding": CONTENT_ENCODING,
    b"content-type": CONTENT_TYPE,
    b"date": DATE,
    b"disposition-notification-to": _ADDRESSES,
    b"errors-to": _ADDRESSES,
    b"from": _ADDRESSES | FROM,
    b"mail-followup-to": _ADDRESSES,
    b"message-id": MESSAGE_ID,
    b"received": _RECEIVED,
    b"reply-to": _ADDRESSES,
    b"resent-bcc": _ADDRESSES | _RESENT,
    b"resent-cc": _ADDRESSES | _RESENT | VISIBLE_RECIPIENT,
    b"resent-date": _RESENT | RESENT_DATE,
    b"resent-from": _ADDRESSES | _RESENT | RESENT_FROM,
    b"resent-message-id": _RESENT | RESENT_MESSAGE_ID,
    b"resent-reply-to": _ADDRESSES | _RESENT,
    b"resent-sender": _ADDRESSES | _RESENT,
    b"resent-to": _ADDRESSES | _RESENT | VISIBLE_RECIPIENT,
    b"return-receipt-to": _ADDRESSES,
    b"sender": _ADDRESSES,
    b"to": _ADDRESSES | VISIBLE_RECIPIENT,
}
# Headers that most mail has and that need nothing: their names are valid without a look.
_PLAIN = b"""subject mime-version user-agent x-mailer references in-reply-to
dkim-signature list-id list-unsubscribe content-language thread-topic thread-index x-priority delivered-to""".split()


# Headers with addresses of senders; all others with addresses have recipients.
_SENDERS = frozenset(
    b"""disposition-notification-to errors-to from mail-followup-to reply-to resent-from resent-sender
    return-receipt-to sender""".split()
)


def has_addresses(name: bytes) -> bool:
    """Is the header of this name one whose addresses are rewritten?"""
    return bool(_KINDS.get(name.lower(), 0) & _ADDRESSES)


def is_sender_header(name: bytes) -> bool:
    """Are the addresses in the header of this name those of senders (else of recipients)?"""
    return name.lower() in _SENDERS


def header_kinds(message_drop_headers: str, *, rewrite: bool, mapped: bool = False) -> dict[bytes, int]:
    """What to do with which header, by name in lower case. Without `rewrite` addresses are left alone; `mapped`: those
    in standard form are changed, too.
    """
    kinds = {name: kind if rewrite else kind & ~_ADDRESSES for name, kind in _KINDS.items()}
    if mapped:
        kinds = {name: kind | _MAPPED if kind & _ADDRESSES else kind for name, kind in kinds.items()}
    for plain in _PLAIN:
        kinds[plain] = 0
    for dropped in split_list(message_drop_headers):
        name = dropped.lower().rstrip(":").encode()
        kinds[name] = kinds.get(name, 0) | _DROP
    return kinds


_MAILBOX_LINE = b"X-Mailbox-Line: "


def mark_mailbox_lines(content: bytes) -> bytes:
    """`content` with `X-Mailbox-Line: ` before the `From ` lines of a mailbox file that it begins with, as smtpd(8)."""
    at = 0
    marked = []
    while content[at : at + 1] in (b"F", b">", b"X"):
        end = line_end(content, at)
        line = content[at:end]
        if line.lstrip(b">").startswith(b"From "):
            line = _MAILBOX_LINE + line
        elif not line.startswith(_MAILBOX_LINE):  # the server may have marked the first one
            break
        marked.append(line)
        at = end
    return b"".join(marked) + content[at:] if marked else content


class HeaderPass:
    """Takes header text, in one piece or several, and collects what is to be written.

    `seen`: bits of the headers that were there; `resent`: there were Resent- headers; `hops`: Received: headers;
    `message_ids`: values to be logged, each with whether it is a Resent-Message-ID; `out`: the text to write;
    `ended`: the header section is over, and what `take` did not use up is the body.
    """

    __slots__ = ("_addresses", "_kinds", "_size_limit", "ended", "hops", "message_ids", "out", "resent", "seen")

    def __init__(self, kinds: dict[bytes, int], addresses: HeaderAddresses | None, size_limit: int) -> None:
        self._kinds = kinds
        self._addresses = addresses
        self._size_limit = size_limit
        self.seen = 0
        self.resent = False
        self.hops = 0
        self.message_ids: list[tuple[bytes, bool]] = []
        self.out: list[bytes] = []
        self.ended = False

    def take(self, text: bytes, *, last: bool) -> int:
        """Go through the logical headers of `text`, which begins with one; answers how many octets were used up.

        If not `last`, the header at the end is left over, since the next piece may continue it.
        """
        kinds = self._kinds
        start = copied = 0
        # A line is judged when it is whole.
        length = len(text) if last else text.rfind(b"\n") + 1
        while start < length:
            if text[start] == 10:
                self.ended = True
                break
            colon = text.find(b":", start)
            kind = kinds.get(text[start:colon].lower()) if colon >= 0 else None
            if kind is None:
                name = header_name(text[start : line_end(text, start)])
                if not name:
                    self.ended = True
                    break
                colon = start + len(name)
                kind = kinds.get(name.lower(), 0)
            end = text.find(b"\n", start) + 1 or length
            while end < length and text[end] <= 32 and text[end] in b" \t":
                end = text.find(b"\n", end) + 1 or length
            if end == length and not last and text[end : end + 1] in (b"", b" ", b"\t"):
                break
            if (
                end - start <= self._size_limit
                and text[colon] == 58
                and (not kind & _ACTIONS or (kind & _ACTIONS == _ADDRESSES and is_standard(text, colon + 1, end)))
            ):
                self.seen |= kind
            else:
                header = text[start:end]
                changed = self._header(kind, header)
                if changed is not header:
                    if copied < start:
                        self.out.append(text[copied:start])
                    if changed:
                        self.out.append(changed)
                    copied = end
            start = end
        if copied < start:
            self.out.append(text[copied:start] if copied or start < len(text) else text)
        return start

    def _header(self, kind: int, header: bytes) -> bytes:
        """Act on one header; the same object if it is to be written as it stands, empty if it is dropped."""
        colon = header.find(b":")
        name = header[:colon]
        if len(header) > self._size_limit:
            # header_size_limit: the rest is lost, as in Postfix.
            header = header[: self._size_limit].rstrip(b"\n") + b"\n"
        if name[-1:] in b" \t":
            name = name.rstrip(b" \t")
            header = name + header[colon:]
        self.seen |= kind
        if kind & _RESENT:
            self.resent = True
        if kind & _RECEIVED:
            self.hops += 1
        elif kind & (MESSAGE_ID | RESENT_MESSAGE_ID):
            self.message_ids.append((header_value(header[:-1]), bool(kind & RESENT_MESSAGE_ID)))
        if kind & _DROP:
            return b""
        if kind & _ADDRESSES and self._addresses is not None:
            return self._addresses.rewrite(name, header) or header
        return header
