"""Delivery status notifications as messages (RFC 3464, RFC 6522, RFC 6533), laid out as bounce(8) does.

Pure: from a message, what became of its recipients and its content to the content of the notice.
"""

import re
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from gatepost.bounce.template import Template
from gatepost.bounce.template_file import Texts
from gatepost.config.settings import Settings
from gatepost.mail.address_quoting import quote_822_local
from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_FAILURE, TRACE, VERIFY, Body, Message, Recipient
from gatepost.mail.headers import header_end, headers
from gatepost.mail.status import RecipientStatus
from gatepost.mail.wrap import wrapped_lines

Result = tuple[Recipient, RecipientStatus]
"""A recipient and what became of it."""

Kind = Literal[
    "sender non-delivery", "postmaster non-delivery", "sender delay", "postmaster delay", "sender delivery status"
]

_ACTIONS = {"failure": "failed", "delay": "delayed"}
_STATUS = ("success", "verify")
_MESSAGE_ID = re.compile(rb"[^:]*:[ \t]*(<[^ \t\n<>]*>)[ \t]*\n")
_WIDTH = 79
_INDENT = 4


class Notice(msgspec.Struct, frozen=True):
    """A notice ready for the queue. `kind` is the log's word for it; `sender` "" is the null sender."""

    kind: Kind
    sender: str
    recipient: str
    content: bytes
    body: Body
    smtputf8: bool


class NoticeWriter:
    """Writes the notices of one host. `date` turns wall-clock seconds into the text of a Date: header.

    The content given may end early where it is longer than bounce_size_limit, but not within its headers.
    """

    def __init__(
        self, settings: Settings, texts: Texts, date: Callable[[float], str], warn: Callable[[str], None]
    ) -> None:
        self._texts = texts
        self._warn = warn
        self._date = date
        self._myhostname = settings.myhostname
        self._mail_name = settings.mail_name
        self._smtputf8_enable = settings.smtputf8_enable
        self._size_limit = settings.bounce_size_limit
        self._threaded = settings.enable_threaded_bounces
        self._lifetime = settings.maximal_queue_lifetime
        self.double_bounce = f"{settings.double_bounce_sender}@{settings.myhostname}"
        self._mailer_daemon = f"MAILER-DAEMON@{settings.myhostname}"

    def failure(
        self, message: Message, results: Sequence[Result], content: bytes, now: float, recipient: str
    ) -> Notice | None:
        """To the sender, or whoever stands for him; None if no recipient asks for it (NOTIFY)."""
        wanted = [result for result in results if _wants(result[0], NOTIFY_FAILURE)]
        if not wanted:
            return None
        full = message.ret != "HDRS"
        text = self._report(self._texts.failure, message, wanted, content, now, to=recipient, full=full)
        return self._notice("sender non-delivery", "", recipient, text, message)

    def postmaster_failure(
        self, message: Message, results: Sequence[Result], content: bytes, now: float, recipient: str
    ) -> Notice:
        """To the postmaster: whole if the message has the null sender (a notice that bounced), else headers only."""
        full = not message.sender
        texts = self._texts
        text = self._report(texts.failure, message, results, content, now, to=recipient, full=full, postmaster=True)
        return self._notice("postmaster non-delivery", self.double_bounce, recipient, text, message)

    def delay(self, message: Message, results: Sequence[Result], content: bytes, now: float) -> Notice | None:
        """To the sender; None if no recipient asks for it."""
        wanted = [result for result in results if _wants(result[0], NOTIFY_DELAY)]
        if not wanted:
            return None
        text = self._report(self._texts.delay, message, wanted, content, now, to=message.sender, full=False)
        return self._notice("sender delay", "", message.sender, text, message)

    def postmaster_delay(
        self, message: Message, results: Sequence[Result], content: bytes, now: float, recipient: str
    ) -> Notice:
        """To the postmaster."""
        texts = self._texts
        text = self._report(texts.delay, message, results, content, now, to=recipient, full=False, postmaster=True)
        return self._notice("postmaster delay", self.double_bounce, recipient, text, message)

    def status(
        self, message: Message, results: Sequence[Result], content: bytes, now: float, postmaster: str = ""
    ) -> Notice:
        """Of successes, or of all that became of a traced or verified message (`dsn_action`), to its sender.

        `postmaster`: he gets it instead, since the message has the null sender.
        """
        template = self._texts.verify if message.trace & (TRACE | VERIFY) else self._texts.success
        to = postmaster or message.sender
        text = self._report(template, message, results, content, now, to=to, full=False)
        return self._notice("sender delivery status", self.double_bounce if postmaster else "", to, text, message)

    def _notice(self, kind: Kind, sender: str, recipient: str, content: bytes, message: Message) -> Notice:
        body: Body = "8bitmime" if self._encoding(message) == "8bit" else ""
        return Notice(kind, sender, recipient, content, body, message.smtputf8)

    def _encoding(self, message: Message) -> str:
        """Content-Transfer-Encoding of the parts; empty: none is named."""
        if self._smtputf8_enable or message.body == "8bitmime":
            return "8bit"
        return message.body

    def _report(
        self,
        template: Template,
        message: Message,
        results: Sequence[Result],
        content: bytes,
        now: float,
        *,
        to: str,
        full: bool,
        postmaster: bool = False,
    ) -> bytes:
        encoding = self._encoding(message)
        transfer = f"Content-Transfer-Encoding: {encoding}\n" if encoding else ""
        part_transfer = transfer if encoding != "7bit" else ""
        boundary = f"{message.queue_id}.{int(now)}/{self._myhostname}"
        subject = template.postmaster_subject if postmaster else template.subject
        automatic = "auto-generated" if postmaster else "auto-replied"
        charset = template.charset
        if encoding == "8bit" and charset.lower() == "us-ascii":
            charset = "utf-8"
        text = self._texts.filled(template)
        thread = self._thread(message, content)
        parts = [
            f"Date: {self._date(now)}\n"
            f"From: {template.sender}\n"
            f"Subject: {subject}\n"
            f"To: {quote_822_local(to)}\n"
            f"{thread}Auto-Submitted: {automatic}\n"
            "MIME-Version: 1.0\n"
            "Content-Type: multipart/report; report-type=delivery-status;\n"
            f'\tboundary="{boundary}"\n'
            f"{transfer}\n"
            "This is a MIME-encapsulated message.\n\n"
            f"--{boundary}\n"
            "Content-Description: Notification\n"
            f"Content-Type: text/plain; charset={charset}\n"
            f"{part_transfer}\n",
            "" if postmaster else text,
        ]
        parts += ["\n" + _wrapped(_explained(template, *result)) for result in results]
        parts.append(f"\n--{boundary}\nContent-Description: Delivery report\n")
        parts.append(self._status_part(template, message, results))
        parts.append(f"\n--{boundary}\n")
        original = self._original(template, message, content, part_transfer, full=full)
        return _encoded("".join(parts)) + original + _encoded(f"\n--{boundary}--\n")

    def _thread(self, message: Message, content: bytes) -> str:
        """Headers that make the notice an answer to the message (enable_threaded_bounces)."""
        if not self._threaded:
            return ""
        for name, header in headers(content[: header_end(content)]):
            if name == b"message-id":
                found = _MESSAGE_ID.fullmatch(header)
                if found is not None:
                    message_id = found[1].decode("utf-8", "surrogateescape")
                    return f"References: {message_id}\nIn-Reply-To: {message_id}\n"
                self._warn(f"{message.queue_id}: ignoring malformed Message-ID")
                return ""
        return ""

    def _status_part(self, template: Template, message: Message, results: Sequence[Result]) -> str:
        """The message/delivery-status part, for programs (RFC 3464 2.2 and 2.3)."""
        lines = []
        if message.smtputf8:
            lines.append("Content-Type: message/global-delivery-status\nContent-Transfer-Encoding: 8bit\n")
        else:
            lines.append("Content-Type: message/delivery-status\n")
        lines.append(f"\nReporting-MTA: dns; {self._myhostname}\n")
        if message.envid:
            lines.append(f"Original-Envelope-Id: {message.envid}\n")
        sender = quote_822_local(message.sender or self._mailer_daemon)
        lines.append(f"X-{self._mail_name}-Queue-ID: {message.queue_id}\n")
        lines.append(f"X-{self._mail_name}-Sender: {_address_type(sender)}; {sender}\n")
        lines.append(f"Arrival-Date: {self._date(message.arrival)}\n")
        for result in results:
            lines.append(self._recipient_fields(template, message, *result))
        return "".join(lines)

    def _recipient_fields(
        self, template: Template, message: Message, recipient: Recipient, status: RecipientStatus
    ) -> str:
        address = quote_822_local(recipient.address)
        original = recipient.orcpt or f"rfc822;{quote_822_local(recipient.original or recipient.address)}"
        action = _ACTIONS.get(template.name) or status.dsn_action
        lines = [
            f"\nFinal-Recipient: {_address_type(address)}; {address}\n"
            f"Original-Recipient: {original}\n"
            f"Action: {action}\n"
            f"Status: {status.dsn}\n"
        ]
        if status.remote_mta:
            lines.append(f"Remote-MTA: dns; {status.remote_mta}\n")
        if status.diagnostic:
            lines.append(_wrapped(f"Diagnostic-Code: {status.diagnostic_type or 'smtp'}; {status.diagnostic}"))
        else:
            lines.append(_wrapped(f"Diagnostic-Code: X-{self._mail_name}; {_text(template, status)}"))
        if template.name == "delay":
            lines.append(f"Will-Retry-Until: {self._date(message.arrival + self._lifetime)}\n")
        return "".join(lines)

    def _original(self, template: Template, message: Message, content: bytes, transfer: str, *, full: bool) -> bytes:
        """The part with what is returned: the whole message, or its headers (RET=HDRS, bounce_size_limit)."""
        what = "Message" if template.name in _STATUS else "Undelivered Message"
        if self._size_limit and message.data_size > self._size_limit:
            full = False
        if full:
            kind = "message/global" if message.smtputf8 else "message/rfc822"
        else:
            what += " Headers"
            kind = "message/global-headers" if message.smtputf8 else "text/rfc822-headers"
            content = content[: header_end(content)]
        sender = quote_822_local(message.sender or self._mailer_daemon)
        head = f"Content-Description: {what}\nContent-Type: {kind}\n{transfer}\nReturn-Path: <{sender}>\n"
        return _encoded(head) + content


def _wants(recipient: Recipient, notify: int) -> bool:
    return not recipient.notify or bool(recipient.notify & notify)


def _text(template: Template, status: RecipientStatus) -> str:
    """The reason; of a success also the way it went."""
    if template.name in _STATUS and status.relay != "none":
        return f"delivery via {status.relay}: {status.text}"
    return status.text


def _explained(template: Template, recipient: Recipient, status: RecipientStatus) -> str:
    """The line about one recipient for human readers."""
    address, original = recipient.address, recipient.original
    expanded = ""
    if original and original.lower() != address.lower():
        expanded = f" (expanded from <{quote_822_local(original)}>)"
    return f"<{quote_822_local(address)}>{expanded}: {_text(template, status)}"


def _address_type(address: str) -> str:
    return "rfc822" if address.isascii() else "utf-8"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _wrapped(text: str) -> str:
    if text.isascii():
        return "\n".join(wrapped_lines(text, _WIDTH, _INDENT)) + "\n"
    # As in Postfix octets count; the breaks come at blanks, so no character is cut in two.
    octets = text.encode("utf-8", "surrogateescape").decode("latin-1")
    lines = "\n".join(wrapped_lines(octets, _WIDTH, _INDENT)) + "\n"
    return lines.encode("latin-1").decode("utf-8", "surrogateescape")
