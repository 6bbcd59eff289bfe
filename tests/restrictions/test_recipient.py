import pytest

from tests.restrictions.world import ALICE, World, answers, line, session

BOUNCE = "550 5.5.3 <{}>: {} rejected: Multi-recipient bounce"


@pytest.mark.parametrize(("sender", "count", "refused"), [("", 0, False), ("", 1, True), ("x@y.example", 1, False)])
async def test_bounces_to_many_at_rcpt(sender: str, count: int, refused: bool) -> None:
    facts = session("192.0.2.1", sender=sender, recipient_count=count)
    want = BOUNCE.format(ALICE, "Recipient address") if refused else "OK"
    assert await answers("smtpd_recipient_restrictions = reject_multi_recipient_bounce", ALICE, facts=facts) == [want]


async def test_bounces_to_many_at_data() -> None:
    world = World("smtpd_data_restrictions = reject_multi_recipient_bounce")
    facts = session("192.0.2.1", sender="", recipient_count=2)
    facts.stage = "DATA"
    assert line(await world.policy.data(facts)) == BOUNCE.format("DATA", "Data command")
    facts.recipient_count = 1
    assert await world.policy.data(facts) is None


async def test_old_name() -> None:
    replies = await answers("smtpd_recipient_restrictions = check_recipient_maps, reject", "nobody@ours.example")
    assert replies[0].startswith("550 5.1.1")
