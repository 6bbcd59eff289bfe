"""The client's side of an LMTP session (RFC 2033): as SMTP, with LHLO, and a reply for each recipient at the end."""

from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_reply import SmtpReply


class LmtpClientProtocol(SmtpClientProtocol):
    """The replies to the end of the content are ANSWER events, in the order of the recipients that were accepted; the
    last one is the END event.
    """

    __slots__ = ("_answered", "_taken")

    hello = Stage.LHLO

    def start_transaction(self, mail: bytes, recipients: list[bytes], *, keep: bool, probe: bool = False) -> None:
        self._taken: list[int] = []  # accepted recipients
        self._answered = 0
        super().start_transaction(mail, recipients, keep=keep, probe=probe)

    def content_sent(self) -> bytes:
        ending = super().content_sent()
        self._expected.extend([Stage.END] * (len(self._taken) - 1))
        return ending

    def _hello(self, greeting: SmtpReply) -> Stage:
        return Stage.LHLO

    def _take_rcpt(self, reply: SmtpReply) -> None:
        if reply.code // 100 == 2:
            self._taken.append(self._recipient)
        super()._take_rcpt(reply)

    def _take_end(self, reply: SmtpReply) -> None:
        if not self._expected:
            super()._take_end(reply)
            return
        self._events.append(Event(Kind.ANSWER, reply, self._taken[self._answered]))
        self._answered += 1
