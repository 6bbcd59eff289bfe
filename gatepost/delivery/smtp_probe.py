"""Address probes over SMTP: as far as smtp_address_verify_target, and no content (smtp(8))."""

import io

from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.mail.status import RecipientStatus
from gatepost.protocol.smtp_client_events import Event, Kind, Stage


class ProbeTransaction(SmtpTransaction):
    """What the server says to RCPT is all that is wanted."""

    __slots__ = ()

    probe = True

    def take(self, event: Event) -> None:
        reply = event.reply
        if event.kind is not Kind.RCPT or reply is None or reply.code // 100 != 2:
            super().take(event)
            return
        self._done.add(event.recipient)
        recipient = self._recipients[event.recipient]
        self._delivery.sent(recipient, self._target, reply, self._uses, "")

    def lost(self, stage: Stage, *, timed_out: bool) -> None:
        if len(self._done) < len(self._recipients):  # else it does not matter
            super().lost(stage, timed_out=timed_out)


class DataProbeTransaction(SmtpTransaction):
    """What the server says to DATA counts. If it wants the content then, there is no way out but to hang up."""

    __slots__ = ()

    def take(self, event: Event) -> None:
        reply = event.reply
        if event.kind is not Kind.DATA or reply is None or reply.code // 100 != 3:
            super().take(event)
            return
        text, relay = reply.one_line, self._target.namaddrport
        for recipient in self._open():
            self._delivery.attempt.status(RecipientStatus(recipient.index, "sent", "2.0.0", relay, text), self._uses)

    def local_error(self) -> None:
        """The content was withheld, as intended; all is said already."""


class Withheld(io.RawIOBase):
    """The content of a probe: a file that cannot be read."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return 0

    def read(self, size: int = -1, /) -> bytes:
        raise OSError("a probe has no content")
