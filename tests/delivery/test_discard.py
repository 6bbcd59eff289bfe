from gatepost.delivery.discard import DiscardAgent
from gatepost.mail.status import RecipientStatus
from tests.delivery.requests import NOW, Log, request
from tests.rewrite.services import settings_for


async def test_mail_goes_nowhere() -> None:
    log = Log("discard")
    agent = DiscardAgent(settings_for(), log.program, clock=lambda: NOW)
    done = await agent.deliver(request("a@x.example", nexthop="silently"))
    assert done.statuses == [RecipientStatus(0, "sent", "2.0.0", "none", "silently", dsn_action="delivered")]
    assert log.lines == [
        "4A1B2C3D4E: to=<a@x.example>, relay=none, delay=2, delays=1/1/0/0, dsn=2.0.0, status=sent (silently)"
    ]
    await agent.close()
