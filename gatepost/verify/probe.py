"""Address probes as mail: small messages on the way of all others, which nobody ever gets (verify(8))."""

from collections.abc import Callable

from gatepost.cleanup.interface import Cleanup, QueueUnavailable, Transaction
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.envelope import PROBE, PROBE_UNCACHED, Origin, Recipient
from gatepost.mail.probe_sender import ProbeSender
from gatepost.mail.status import RecipientStatus
from gatepost.maillog.sink import ProgramLog
from gatepost.verify.entry import Status

_STATUS = {"sent": Status.OK, "deferred": Status.DEFERRED, "bounced": Status.BOUNCED}

Told = Callable[[str, Status, str], None]


class Prober:
    """Puts probes into the queue by way of `cleanup`; `log` is that of the program `verify`.

    `told` gets what cleanup itself knows of an address; all else is told by the queue manager.
    """

    def __init__(
        self,
        settings: Settings,
        cleanup: Cleanup,
        rewrite: Callable[[str], str],
        log: ProgramLog,
        clock: Callable[[], float],
        told: Told,
    ) -> None:
        self._cleanup = cleanup
        self._log = log
        self._clock = clock
        self._told = told
        self._sender = ProbeSender(settings.address_verify_sender, settings.address_verify_sender_ttl, rewrite)
        self._trace = PROBE if settings.address_verify_negative_cache else PROBE | PROBE_UNCACHED
        classes = split_list(settings.smtputf8_autodetect_classes)
        self._detects_utf8 = settings.smtputf8_enable and ("verify" in classes or "all" in classes)

    async def send(self, address: str) -> bool:
        """A probe of the address; True once it is in the queue, or needs not be."""
        transaction = Transaction(
            sender=self._sender.at(self._clock()),
            recipients=[Recipient(address, orcpt=f"rfc822;{address}")],
            origin=Origin(context="local"),
            smtputf8=self._detects_utf8 and not address.isascii(),
            internal=True,
            trace=self._trace,
        )
        try:
            incoming = self._cleanup.open()
        except QueueUnavailable:
            return False
        incoming.begin(transaction)
        result = await incoming.finish(transaction)
        if result.outcome != "ok":
            self._log.warning(f"{incoming.queue_id}: probe of <{address}> not sent: {result.text or result.outcome}")
            return False
        if result.text:  # that is as far as it could go
            self._told(address, Status.OK, result.text)
        return True


def report(told: Told, recipient: Recipient, status: RecipientStatus) -> None:
    """Tell what a probe has found, of the address that was asked about and of the one that it has led to."""
    found = _STATUS[status.action]
    asked = recipient.orcpt.partition(";")[2]  # kept even where enable_original_recipient is no
    if asked and asked != recipient.address:
        told(asked, found, status.text)
    told(recipient.address, found, status.text)
