from gatepost.delivery.report import AttemptLog
from gatepost.ipc.messages import DeliveryRecipient
from gatepost.mail.status import RecipientStatus
from tests.delivery.requests import NOW, request
from tests.rewrite.services import settings_for


class Attempt:
    """An attempt whose clock is moved by hand."""

    def __init__(self, *recipients: str | DeliveryRecipient) -> None:
        self.now = NOW
        self.lines: list[str] = []
        self.attempt = AttemptLog(request(*recipients), self.lines.append, lambda: self.now, settings_for())


SENT = RecipientStatus(0, "sent", "2.0.0", "host[192.0.2.1]:25", "250 Ok")


def test_delays() -> None:
    attempt = Attempt("a@x.example")
    attempt.now += 0.5
    attempt.attempt.started()
    attempt.now += 3
    attempt.attempt.connected()
    attempt.now += 12.2
    attempt.attempt.status(SENT, conn_use=2)
    assert attempt.lines == [
        "4A1B2C3D4E: to=<a@x.example>, relay=host[192.0.2.1]:25, conn_use=2, delay=18, delays=1/1.5/3/12, "
        "dsn=2.0.0, status=sent (250 Ok)"
    ]


def test_without_connection_all_is_transmission() -> None:
    attempt = Attempt("a@x.example")
    attempt.now += 3
    attempt.attempt.status(SENT)
    assert "delays=1/1/0/3," in attempt.lines[0]


def test_clock_set_back() -> None:
    attempt = Attempt("a@x.example")
    attempt.now -= 100
    attempt.attempt.connected()
    attempt.attempt.status(SENT)
    assert "delay=2, delays=1/1/0/0," in attempt.lines[0]


def test_statuses_are_kept() -> None:
    attempt = Attempt(DeliveryRecipient(3, "a@x.example"), DeliveryRecipient(5, "b@x.example"))
    attempt.attempt.status(RecipientStatus(5, "sent", "2.0.0", "none", "x"))
    assert "to=<b@x.example>" in attempt.lines[0]
    assert [status.index for status in attempt.attempt.statuses] == [5]


def test_soft_bounce_keeps_mail_queued() -> None:
    lines: list[str] = []
    attempt = AttemptLog(request("a@x.example"), lines.append, lambda: NOW, settings_for(soft_bounce="yes"))
    attempt.status(RecipientStatus(0, "bounced", "5.1.1", "none", "no such user"))
    assert "dsn=4.1.1, status=SOFTBOUNCE (no such user)" in lines[0]
    (kept,) = attempt.statuses
    assert (kept.action, kept.dsn) == ("deferred", "4.1.1")
