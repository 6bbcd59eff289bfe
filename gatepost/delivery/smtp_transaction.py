"""One message in one SMTP session: what each reply means for its recipients, in Postfix's words."""

from typing import BinaryIO

from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery, refused
from gatepost.ipc.messages import DeliveryRecipient
from gatepost.mail.mime_state import has_header_beyond_ascii
from gatepost.protocol.smtp_capabilities import Capabilities
from gatepost.protocol.smtp_client_events import Event, Kind, Stage
from gatepost.protocol.smtp_commands import mail_command, rcpt_command
from gatepost.protocol.smtp_reply import SmtpReply

_PIECE = 65536
_END, _DATA = Kind.END, Kind.DATA  # looking a member up costs more than a comparison


class SmtpTransaction:
    """Takes the recipients that are left and gives each an outcome, or puts it back for the next server.

    `stale`: the session had been used before and turned out to be dead when MAIL was sent. Nothing was tried then, so
    all recipients are left again. (Postfix finds out by an RSET before each reuse, at the price of a round trip.)
    """

    __slots__ = (
        "_delivery",
        "_done",
        "_dsn_action",
        "_recipients",
        "_target",
        "_uses",
        "mail_line",
        "rcpt_lines",
        "stale",
    )

    probe = False
    without_dsn = "relayed"  # what we say of success where the server does not know DSN

    def __init__(self, delivery: SmtpDelivery, target: Target, uses: int) -> None:
        self._delivery = delivery
        self._target = target
        self._uses = uses
        self._recipients = delivery.left
        delivery.left = []
        self._done: set[int] = set()  # positions in _recipients that have their outcome
        self._dsn_action = ""
        self.stale = False
        self.mail_line = b""
        self.rcpt_lines: list[bytes] = []

    def prepare(
        self,
        offers: Capabilities,
        content: bytes | BinaryIO,
        *,
        converts: bool = True,
        quote: bool = True,
        look_inside: bool = True,
    ) -> bool:
        """Make the commands; False if the server cannot take this message, which all recipients then know.

        `converts`: content may be converted to 7 bits if need be; then nobody knows its size. `quote`:
        smtp_quote_rfc821_envelope. `look_inside`: headers of parts count among those that need SMTPUTF8.
        """
        request = self._delivery.request
        utf8 = request.smtputf8
        if utf8 and not offers.smtputf8 and self._needs_smtputf8(content, look_inside):
            text = f"SMTPUTF8 is required, but was not offered by host {self._target.namaddr}"
            self._fail_message(Failure("5.6.7", text))
            return False
        if 0 < offers.size_limit < request.size:
            limit = f"size limit {offers.size_limit} of server {self._target.namaddr}"
            self._fail_message(Failure("5.3.4", f"message size {request.size} exceeds {limit}"))
            return False
        self._dsn_action = "" if offers.dsn else self.without_dsn
        size = request.size if offers.eightbitmime or request.body == "7bit" or not converts else -1
        self.mail_line = mail_command(
            request.sender,
            size,
            offers,
            body=request.body,
            ret=request.ret,
            envid=request.envid,
            smtputf8=utf8,
            quote=quote,
        )
        self.rcpt_lines = [
            rcpt_command(r.address, offers, original=r.original, notify=r.notify, orcpt=r.orcpt, quote=quote)
            for r in self._recipients
        ]
        return True

    def take(self, event: Event) -> None:
        """What a reply means."""
        reply = event.reply
        if reply is None:
            return
        kind, positive = event.kind, reply.code // 100 == 2
        if kind is _END:
            if positive:
                for recipient in self._open():
                    self._delivery.sent(recipient, self._target, reply, self._uses, self._dsn_action)
            else:
                self._fail_message(self._said(reply, "end of DATA"))
        elif kind is _DATA:
            if reply.code // 100 != 3:
                self._fail_message(self._said(reply, "DATA"))
        elif positive:
            return
        elif kind is Kind.RCPT:
            self._done.add(event.recipient)
            recipient = self._recipients[event.recipient]
            self._delivery.fail([recipient], self._target, self._said(reply, "RCPT TO"), self._uses)
        elif kind is Kind.MAIL:
            if reply.code == 421 and self._uses > 1:
                self._give_back()
            else:
                self._fail_message(self._said(reply, "MAIL FROM"))

    @property
    def unfinished(self) -> bool:
        """Is there a recipient without an outcome?"""
        return len(self._done) < len(self._recipients)

    def folded(self, limit: int) -> None:
        """Lines of the content had to be broken."""
        self._delivery.log(f"{self._delivery.request.queue_id}: breaking line > {limit} bytes with <CR><LF>SPACE")

    def lost(self, stage: Stage, *, timed_out: bool) -> None:
        """The connection is gone. Recipients that have no outcome yet share this one."""
        if stage is Stage.MAIL and self._uses > 1 and not timed_out:
            self._give_back()
            return
        if stage is Stage.XFORWARD_CLIENT or stage is Stage.XFORWARD_SESSION:
            self._delivery.attempt.connected()  # that is part of the set-up
        name = self._target.namaddr
        text = (
            f"conversation with {name} timed out while {stage.value}"
            if timed_out
            else f"lost connection with {name} while {stage.value}"
        )
        self._delivery.fail_site(self._open(), self._target, Failure("4.4.2", text), self._uses)

    def unconvertible(self, why: str) -> None:
        """The content cannot be made what this server takes."""
        self._fail_message(Failure("5.6.0", why))

    def local_error(self) -> None:
        """The content could not be read to its end."""
        text = f"local data error while talking to {self._target.namaddr}"
        self._delivery.fail_site(self._open(), self._target, Failure("4.3.0", text), self._uses)

    def _said(self, reply: SmtpReply, command: str) -> Failure:
        words = f"host {self._target.namaddr} said: {reply.one_line} (in reply to {command} command)"
        return refused(self._target, reply, words)

    def _give_back(self) -> None:
        self.stale = True
        self._delivery.left.extend(self._open())

    def _fail_message(self, failure: Failure) -> None:
        self._delivery.fail(self._open(), self._target, failure, self._uses)

    def _open(self) -> list[DeliveryRecipient]:
        """The recipients without an outcome; from now on they have one."""
        done = self._done
        if not done:
            found = self._recipients
        else:
            found = [recipient for at, recipient in enumerate(self._recipients) if at not in done]
        self._done = set(range(len(self._recipients)))
        return found

    def _needs_smtputf8(self, content: bytes | BinaryIO, look_inside: bool) -> bool:
        request = self._delivery.request
        if not request.sender.isascii() or not all(r.address.isascii() for r in self._recipients):
            return True
        if isinstance(content, bytes):
            return not content.isascii() and has_header_beyond_ascii((content,), look_inside=look_inside)
        try:
            content.seek(0)
            pieces = iter(lambda: content.read(_PIECE), b"")
            return has_header_beyond_ascii(pieces, look_inside=look_inside)
        except OSError:
            return False  # sending it will tell
