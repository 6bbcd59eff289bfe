from typing import Any

import pytest

from gatepost.mail.envelope import NOTIFY_DELAY, NOTIFY_FAILURE, TRACE, Message, Recipient
from gatepost.mail.status import RecipientStatus
from gatepost.qmgr.active import ActiveMessage
from gatepost.qmgr.tracing import Tracing

STATUSES = [
    RecipientStatus(0, "sent", "2.0.0", "host", "ok", dsn_action="delivered"),
    RecipientStatus(1, "sent", "2.0.0", "host", "a server that reports by itself"),
    RecipientStatus(2, "bounced", "5.1.1", "host", "no"),
    RecipientStatus(3, "deferred", "4.2.0", "host", "later"),
]


def told(*, confirm: bool = False, notify: int = 0, **more: Any) -> list[tuple[int, str]]:
    recipients = [Recipient(f"{name}@x.example", notify=notify) for name in "abcd"]
    entry = ActiveMessage(Message("1", 0.0, "s@x.example", recipients, 1, **more), 0.0, 4)
    tracing = Tracing(confirm=confirm)
    tracing.begin(entry)
    if entry.traced:
        tracing.settled(entry, STATUSES)
    return [(status.index, status.dsn_action) for status in entry.noticed]


def test_all_of_a_traced_message() -> None:
    assert told(trace=TRACE) == [(0, "delivered"), (1, "relayed"), (2, "failed"), (3, "delayed")]


@pytest.mark.parametrize(("notify", "number"), [(0, 2), (NOTIFY_DELAY, 2), (NOTIFY_FAILURE, 0)])
def test_a_late_message_that_went_out(notify: int, number: int) -> None:
    assert told(warn_sent=True, notify=notify) == []
    assert told(warn_sent=True, confirm=True, notify=notify) == [(0, "delivered"), (1, "relayed")][:number]
    assert told(confirm=True, notify=notify) == []


def test_aliases() -> None:
    aliases = (Recipient("v@x.example"), Recipient("w@x.example"))
    assert told(expanded=aliases) == [(-1, "expanded"), (-2, "expanded")]
