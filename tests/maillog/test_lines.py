"""Log lines, octet for octet as Postfix 3.7 writes them."""

import pytest

from gatepost.maillog import lines


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0"), (-1, "0"), (0.0004, "0"), (0.004, "0"), (0.006, "0.01"), (0.07, "0.07"), (0.1, "0.1"), (0.123, "0.12"),
     (0.3, "0.3"),
     (1.23, "1.2"), (1.96, "2"), (9.94, "9.9"), (11.2, "11"), (105.9, "106"), (4000, "4000")],
)  # fmt: skip
def test_delays(seconds: float, text: str) -> None:
    assert lines.format_delay(seconds) == text


def test_delays_with_more_digits() -> None:
    assert lines.format_delay(0.00123, 0) == "0"


def test_delivery() -> None:
    assert (
        lines.delivery(
            "4FA0000001",
            "b@y.example",
            "",
            "mx.y.example[192.0.2.1]:25",
            0,
            (0.06, 0.01, 0.1, 0.2),
            "2.0.0",
            "sent",
            "250 Ok",
        )
        == "4FA0000001: to=<b@y.example>, relay=mx.y.example[192.0.2.1]:25, delay=0.37, delays=0.06/0.01/0.1/0.2, "
        "dsn=2.0.0, status=sent (250 Ok)"
    )
    with_original = lines.delivery(
        "4FA0000001", "b@y.example", "B@Z.example", "none", 3, (0, 0, 0, 0), "4.4.1", "deferred", "no"
    )
    assert (
        ", orig_to=<B@Z.example>, relay=none, conn_use=3, delay=0, delays=0/0/0/0, dsn=4.4.1, status=deferred (no)"
        in with_original
    )
    assert "orig_to" not in lines.delivery(
        "4FA0000001", "b@y.example", "B@Y.example", "none", 0, (0, 0, 0, 0), "4.4.1", "deferred", "no"
    )


def test_disconnect_counts_in_order() -> None:
    counts = {"quit": (1, 1), "ehlo": (1, 1), "mail": (1, 1), "rcpt": (1, 2), "auth": (0, 1), "vrfy": (0, 0)}
    assert (
        lines.disconnect_from("unknown[192.0.2.7]", counts)
        == "disconnect from unknown[192.0.2.7] ehlo=1 auth=0/1 mail=1 rcpt=1/2 quit=1 commands=4/6"
    )
    assert lines.disconnect_from("unknown[192.0.2.7]", {}) == "disconnect from unknown[192.0.2.7] commands=0/0"


def test_reject() -> None:
    text = "454 4.7.1 <bob@gmail.example>: Relay access denied"
    assert (
        lines.reject(
            "", "reject", "RCPT", "unknown[80.62.116.127]", text, "a@b.example", "bob@gmail.example", "ESMTP", "there"
        )
        == "NOQUEUE: reject: RCPT from unknown[80.62.116.127]: 454 4.7.1 <bob@gmail.example>: Relay access denied; "
        "from=<a@b.example> to=<bob@gmail.example> proto=ESMTP helo=<there>"
    )
    assert lines.reject(
        "4FA0000001", "reject", "CONNECT", "x[192.0.2.1]", "554 5.7.1 no", None, None, "SMTP", None
    ).endswith("no; proto=SMTP")


def test_the_life_of_a_message() -> None:
    assert lines.client("4FA0000001", "a[192.0.2.1]") == "4FA0000001: client=a[192.0.2.1]"
    assert lines.message_id("4FA0000001", "<x@y>") == "4FA0000001: message-id=<x@y>"
    assert lines.message_id("4FA0000001", "<x@y>", resent=True) == "4FA0000001: resent-message-id=<x@y>"
    assert lines.queue_active("4FA0000001", "", 1234, 2) == "4FA0000001: from=<>, size=1234, nrcpt=2 (queue active)"
    assert lines.removed("4FA0000001") == "4FA0000001: removed"
    assert lines.expired("4FA0000001", "a@b") == "4FA0000001: from=<a@b>, status=expired, returned to sender"
