"""One delivery request on its way through one or more SMTP servers: who is left, who has which outcome, and why."""

import msgspec

from gatepost.delivery.interface import Log
from gatepost.delivery.report import AttemptLog
from gatepost.delivery.smtp_addresses import Target
from gatepost.ipc.messages import DeliveryRecipient, DeliveryRequest
from gatepost.mail.status import RecipientStatus
from gatepost.protocol.smtp_reply import SmtpReply


class Failure(msgspec.Struct, frozen=True):
    """Why something failed. `reply`: the server's words on one line, empty if it said nothing. `sasl`: why we could not
    even try to log in.
    """

    dsn: str
    text: str
    reply: str = ""
    remote_mta: str = ""
    sasl: str = ""

    @property
    def soft(self) -> bool:
        """May another server, or another time, bring success?"""
        return self.dsn[0] == "4"


def refused(target: Target, reply: SmtpReply, text: str) -> Failure:
    """The failure that a reply stands for. A reply of an unexpected class is a protocol error (and permanent)."""
    dsn = reply.dsn
    if dsn[0] not in "45":
        return Failure("5.5.0", f"Protocol error: {text}", reply.one_line, target.host)
    return Failure(dsn, text, reply.one_line, target.host)


class SmtpDelivery:
    """The state of one request. `left`: recipients without an outcome; they may be tried at the next server.

    While `final_server` is false, temporary failures are only logged. `complete`: some server took a transaction to its
    end, so the destination is alive. `damaged`: the content is not what was stored. `in_plaintext`: TLS has failed, and
    the next try is to be without it.
    """

    __slots__ = (
        "_log",
        "_soft_bounce",
        "_where",
        "attempt",
        "complete",
        "damaged",
        "final_server",
        "in_plaintext",
        "left",
        "request",
        "site_failure",
        "sites",
        "why",
    )

    def __init__(self, request: DeliveryRequest, attempt: AttemptLog, log: Log, *, soft_bounce: bool = False) -> None:
        self.request = request
        self.attempt = attempt
        self.left: list[DeliveryRecipient] = list(request.recipients)
        self.final_server = False
        self.complete = False
        self.damaged = False
        self.in_plaintext = False
        self.why: Failure | None = None
        self._where: tuple[Failure, Target | None, int] | None = None
        self.site_failure: Failure | None = None
        self.sites: list[tuple[str, str]] = []
        self._log = log
        self._soft_bounce = soft_bounce

    def note_site(self, site: str) -> None:
        """Of a list of next hops this one has been tried: as DeliveryDone.sites. After one that was of use nothing can
        be told of the others; a fault of ours says nothing either.
        """
        if self.complete:
            if not self.sites or self.sites[-1][1]:
                self.sites.append((site, ""))
        elif self.why is not None and (self.why.reply or self.why.dsn != "4.3.0") and not self.request.trace:
            self.sites.append((site, self.why.text))

    def where(self, why: Failure) -> tuple[Target | None, int]:
        """The server where this failed, and the uses of the connection; None if it was on the way there."""
        if self._where is None or self._where[0] is not why:
            return None, 0
        return self._where[1:]

    def found_damaged(self) -> None:
        """No other server needs to be asked, and this one cannot help it."""
        self.damaged = self.final_server = self.complete = True

    def log(self, text: str) -> None:
        self._log(text)

    def sent(self, recipient: DeliveryRecipient, target: Target, reply: SmtpReply, uses: int, dsn_action: str) -> None:
        """The server took the message. `dsn_action`: as in RecipientStatus, where it does not know DSN (then a success
        notice is ours to send).
        """
        text = reply.one_line
        status = RecipientStatus(
            recipient.index, "sent", reply.dsn, target.namaddrport, text, "smtp", text, target.host,
            dsn_action,
        )  # fmt: skip
        self.attempt.status(status, uses)

    def fail(self, recipients: list[DeliveryRecipient], target: Target | None, failure: Failure, uses: int = 0) -> None:
        """Put recipients off to the next server if there may be one, else defer or bounce them."""
        self.why = failure
        self._where = (failure, target, uses)
        if (failure.soft or self._soft_bounce) and not self.final_server:
            self._log(f"{self.request.queue_id}: {failure.text}")  # even if each recipient has its outcome
            self.left.extend(recipients)
            return
        relay = target.namaddrport if target is not None else "none"
        for recipient in recipients:
            status = RecipientStatus(
                recipient.index, "deferred" if failure.soft else "bounced", failure.dsn, relay, failure.text,
                "x-sasl" if failure.sasl else "smtp" if failure.reply else "", failure.sasl or failure.reply,
                failure.remote_mta,
            )  # fmt: skip
            self.attempt.status(status, uses)

    def fail_site(
        self, recipients: list[DeliveryRecipient], target: Target | None, failure: Failure, uses: int = 0
    ) -> None:
        """As `fail`; the server as such is of no use now. At the end this counts against the destination."""
        self.fail(recipients, target, failure, uses)
        hopeless = self.final_server or not (failure.soft or self._soft_bounce)
        if not self.complete and hopeless and self.site_failure is None:
            self.site_failure = failure


def take_left(delivery: SmtpDelivery) -> list[DeliveryRecipient]:
    """The recipients without an outcome, for one who gives them theirs."""
    left, delivery.left = delivery.left, []
    return left
