"""Who is told of failures, delays and successes, and the way of these notices into the queue (bounce(8))."""

from collections.abc import Callable, Sequence

from gatepost.bounce.notice import Notice, NoticeWriter, Result
from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.cleanup.to_postmaster import own_recipient
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.address import fold
from gatepost.mail.envelope import Message, Origin
from gatepost.maillog import lines
from gatepost.maillog.sink import ProgramLog
from gatepost.rewrite.rewrite import Rewriter
from gatepost.rewrite.verp import verp_sender


class Notifier:
    """Each method answers True if every notice that is due is stored (or none is due); else the caller tries again.

    `content` is that of the message; of one larger than bounce_size_limit its headers are enough. `log` is that of the
    program `bounce`; `clock` gives wall-clock seconds.
    """

    def __init__(
        self, settings: Settings, cleanup: Cleanup, writer: NoticeWriter, log: ProgramLog, clock: Callable[[], float]
    ) -> None:
        self._rewriter = Rewriter(settings)
        self._cleanup = cleanup
        self._writer = writer
        self._log = log
        self._clock = clock
        self._classes = frozenset(split_list(settings.notify_classes))
        self._double_bounce = fold(writer.double_bounce)
        self._verp_bounces = not settings.disable_verp_bounces
        self._bounce_recipient = settings.bounce_notice_recipient
        self._2bounce_recipient = str(settings["2bounce_notice_recipient"])
        self._delay_recipient = settings.delay_notice_recipient

    async def failed(self, message: Message, results: Sequence[Result], content: bytes) -> bool:
        """These recipients are given up."""
        now = self._clock()
        if self._is_double_bounce(message.sender):
            self._discarded(message)
            return True
        results = _ordered(results)
        if not message.sender:
            if not self._classes & {"bounce", "2bounce"}:
                return True
            to = self._2bounce_recipient
            return await self._post(message, self._writer.postmaster_failure(message, results, content, now, to))
        if not message.verp or not self._verp_bounces:
            return await self._tell_failure(message, results, content, now, message.sender)
        for result in results:
            # Each recipient had another sender.
            to = verp_sender(message.verp, message.sender, result[0].original or result[0].address)
            if not await self._tell_failure(message, [result], content, now, to):
                return False
        return True

    async def _tell_failure(
        self, message: Message, results: Sequence[Result], content: bytes, now: float, to: str
    ) -> bool:
        notice = self._writer.failure(message, results, content, now, to)
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
            self._discarded(message)
            return True
        results = _ordered(results)
        if message.sender:
            notice = self._writer.delay(message, results, content, now)
            if notice is not None and not await self._post(message, notice):
                return False
        if "delay" in self._classes:
            to = self._delay_recipient
            await self._post(message, self._writer.postmaster_delay(message, results, content, now, to))
        return True

    async def told(self, message: Message, results: Sequence[Result], content: bytes) -> bool:
        """What became of these recipients, of whom their sender wants to know; `dsn_action` says it."""
        postmaster = ""
        if self._is_double_bounce(message.sender):
            self._log.info(lines.no_status_notification(message.queue_id, "double"))
            return True
        if not message.sender:
            if not self._classes & {"bounce", "2bounce"}:
                self._log.info(lines.no_status_notification(message.queue_id, "single"))
                return True
            postmaster = self._2bounce_recipient
        notice = self._writer.status(message, _ordered(results), content, self._clock(), postmaster)
        return await self._post(message, notice)

    def _discarded(self, message: Message) -> None:
        self._log.warning(f"{message.queue_id}: undeliverable postmaster notification discarded")

    def _is_double_bounce(self, sender: str) -> bool:
        return bool(sender) and fold(sender) == self._double_bounce

    async def _post(self, message: Message, notice: Notice) -> bool:
        transaction = Transaction(
            sender=notice.sender,
            recipients=[own_recipient(notice.recipient, self._rewriter)],
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


def _ordered(results: Sequence[Result]) -> Sequence[Result]:
    """Those of a domain by address, as Postfix's queue manager has sorted them, but those first that were refused
    before the others got the message; the aliases that were expanded before them all.
    """
    if len(results) < 2:
        return results
    places: dict[str, int] = {}

    def order(result: Result) -> tuple[int, bool, str]:
        recipient, status = result
        if status.index < 0:
            return -1, False, ""
        domain = recipient.address.lower().rpartition("@")[2]
        late = status.action == "sent" and status.dsn_action != "deliverable"
        return places.setdefault(domain, len(places)), late, recipient.address

    return sorted(results, key=order)
