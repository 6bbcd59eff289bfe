"""Who is told of failures, delays and successes, and the way of these notices into the queue (bounce(8))."""

from collections.abc import Callable, Sequence

from gatepost.bounce.notice import Notice, NoticeWriter, Result
from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.address import fold
from gatepost.mail.envelope import Message, Origin, Recipient
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog


class Notifier:
    """Each method answers True if every notice that is due is stored (or none is due); else the caller tries again.

    `content` is that of the message; of one larger than bounce_size_limit its headers are enough. `log` is that of the
    program `bounce`; `clock` gives wall-clock seconds.
    """

    def __init__(
        self, settings: Settings, cleanup: Cleanup, writer: NoticeWriter, log: ProgramLog, clock: Callable[[], float]
    ) -> None:
        self._cleanup = cleanup
        self._writer = writer
        self._log = log
        self._clock = clock
        self._classes = frozenset(split_list(settings.notify_classes))
        self._double_bounce = fold(writer.double_bounce)
        self._bounce_recipient = settings.bounce_notice_recipient
        self._2bounce_recipient = str(settings["2bounce_notice_recipient"])
        self._delay_recipient = settings.delay_notice_recipient

    async def failed(self, message: Message, results: Sequence[Result], content: bytes) -> bool:
        """These recipients are given up."""
        now = self._clock()
        if self._is_double_bounce(message.sender):
            self._log.warning(f"{message.queue_id}: undeliverable postmaster notification discarded")
            return True
        if not message.sender:
            if not self._classes & {"bounce", "2bounce"}:
                return True
            to = self._2bounce_recipient
            return await self._post(message, self._writer.postmaster_failure(message, results, content, now, to))
        notice = self._writer.failure(message, results, content, now)
        if notice is not None and not await self._post(message, notice):
            return False
        if "bounce" in self._classes:
            # The sender knows; whether the postmaster gets a copy decides nothing.
            to = self._bounce_recipient
            await self._post(message, self._writer.postmaster_failure(message, results, content, now, to))
        return True

    async def delayed(self, message: Message, results: Sequence[Result], content: bytes) -> bool:
        """These recipients still wait after delay_warning_time."""
        now = self._clock()
        if self._is_double_bounce(message.sender):
            return True
        if message.sender:
            notice = self._writer.delay(message, results, content, now)
            if notice is not None and not await self._post(message, notice):
                return False
        if "delay" in self._classes:
            to = self._delay_recipient
            await self._post(message, self._writer.postmaster_delay(message, results, content, now, to))
        return True

    async def succeeded(self, message: Message, results: Sequence[Result], content: bytes) -> bool:
        """These recipients got the message; those with NOTIFY=SUCCESS are reported."""
        if not message.sender:
            return True
        notice = self._writer.success(message, results, content, self._clock())
        return notice is None or await self._post(message, notice)

    def _is_double_bounce(self, sender: str) -> bool:
        return bool(sender) and fold(sender) == self._double_bounce

    async def _post(self, message: Message, notice: Notice) -> bool:
        transaction = Transaction(
            sender=notice.sender,
            recipients=[Recipient(notice.recipient, orcpt=f"rfc822;{notice.recipient}")],
            origin=Origin(context="local"),
            body=notice.body,
            smtputf8=notice.smtputf8,
            internal=True,
        )
        try:
            incoming = self._cleanup.open()
        except QueueUnavailable:
            return False
        incoming.begin(transaction)
        incoming.write(notice.content)
        result = await incoming.finish(transaction)
        if result.outcome != "ok":
            return False
        self._log.info(lines.notification(message.queue_id, notice.kind, incoming.queue_id))
        return True
