"""Mail of our own that tells the postmaster of a session (notify_classes)."""

from collections.abc import Callable, Iterable

from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.config.settings import Settings
from gatepost.mail.envelope import Origin, Recipient
from gatepost.mail.named_address import named_address
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.rewrite import Rewriter


def own_recipient(address: str, rewriter: Rewriter) -> Recipient:
    """A recipient of mail of our own. Where it goes on to it says ORCPT, with the address in standard form."""
    original = rewriter.rewrite_internal(address)
    return Recipient(address, orcpt=f"{'rfc822' if original.isascii() else 'utf-8'};{original}")


class PostmasterMail:
    """Writes it and puts it into the queue. `sender`: of all of it. `date`: the text of a Date: header for now."""

    def __init__(self, settings: Settings, cleanup: Cleanup, log: ProgramLog, date: Callable[[], str]) -> None:
        self.sender = f"{settings.double_bounce_sender}@{settings.myhostname}"
        rewriter = Rewriter(settings)
        self._errors = own_recipient(settings.error_notice_recipient, rewriter)
        self._bounces = own_recipient(settings.bounce_notice_recipient, rewriter)
        form = settings.header_from_format
        self._from = named_address("Mail Delivery System", f"MAILER-DAEMON@{settings.myhostname}", form)
        self._to = named_address("Postmaster", settings.error_notice_recipient, form)
        self._mail_name = settings.mail_name
        self._cleanup = cleanup
        self._log = log
        self._date = date

    def text(self, subject: str, lines: Iterable[str]) -> bytes:
        """A message; before its subject comes mail_name."""
        head = [
            f"Date: {self._date()}",
            f"From: {self._from}",
            f"To: {self._to}",
            f"Subject: {self._mail_name} {subject}",
            "",
        ]
        return "\n".join([*head, *lines]).encode(errors="replace") + b"\n"

    async def send(self, content: bytes, *, of_bounce: bool = False) -> None:
        """Put it into the queue. If that cannot be, a warning is all that is left of it. `of_bounce`: it is for
        bounce_notice_recipient (and its To: names the other one, as in Postfix).
        """
        transaction = Transaction(
            sender=self.sender,
            recipients=[self._bounces if of_bounce else self._errors],
            origin=Origin(context="local"),
            body="8bitmime" if not content.isascii() else "",
            internal=True,
        )
        try:
            incoming = self._cleanup.open()
        except QueueUnavailable as error:
            self._log.warning(f"postmaster notify: {error}")
            return
        incoming.begin(transaction)
        incoming.write(content)
        await incoming.finish(transaction)
