"""Log lines as Postfix 3.7's error(8) writes them."""

import pytest

from gatepost.delivery.error import ErrorAgent, split_dsn
from gatepost.ipc.messages import DeliveryRecipient
from gatepost.mail.status import RecipientStatus
from tests.delivery.requests import NOW, Log, request
from tests.rewrite.services import settings_for


@pytest.mark.parametrize(
    ("nexthop", "retry", "dsn", "text"),
    [
        ("5.7.1 Go away", False, "5.7.1", "Go away"),
        ("Mail not wanted", False, "5.0.0", "Mail not wanted"),
        ("4.7.1 Later", False, "5.0.0", "Later"),
        ("4.7.1 Later", True, "4.7.1", "Later"),
        ("Later", True, "4.0.0", "Later"),
    ],
)
async def test_reason(nexthop: str, retry: bool, dsn: str, text: str) -> None:
    log = Log("error")
    agent = ErrorAgent(settings_for(), log.program, retry=retry, clock=lambda: NOW)
    done = await agent.deliver(request("a@x.example", nexthop=nexthop))
    action = "deferred" if retry else "bounced"
    assert (done.request_id, done.epoch, done.site_failure) == (7, 3, "")
    assert done.statuses == [RecipientStatus(0, action, dsn, "none", text)]  # type: ignore[arg-type]
    assert log.lines == [
        f"4A1B2C3D4E: to=<a@x.example>, relay=none, delay=2, delays=1/1/0/0, dsn={dsn}, status={action} ({text})"
    ]
    await agent.close()


async def test_every_recipient_has_its_line() -> None:
    log = Log("error")
    agent = ErrorAgent(settings_for(), log.program, clock=lambda: NOW)
    recipients = [DeliveryRecipient(4, "q r@x.example", "alias@x.example"), DeliveryRecipient(9, "b@x.example")]
    done = await agent.deliver(request(*recipients, nexthop="No"))
    assert [status.index for status in done.statuses] == [4, 9]
    assert log.lines[0].startswith('4A1B2C3D4E: to=<"q r"@x.example>, orig_to=<alias@x.example>, relay=none, ')


def test_split_dsn() -> None:
    assert split_dsn(" 5.1.999  x y", "5.0.0") == ("5.1.999", "x y")
    assert split_dsn("5.1.1", "5.0.0") == ("5.1.1", "")
    assert split_dsn("5.1.1x", "5.0.0") == ("5.0.0", "5.1.1x")
    assert split_dsn("", "5.0.0") == ("5.0.0", "")
