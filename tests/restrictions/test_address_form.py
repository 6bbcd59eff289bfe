import pytest

from tests.restrictions.world import ALICE, answers, session


@pytest.mark.parametrize(
    ("address", "accepted"),
    [
        ("a@b.example", True),
        ("a@b.example.", True),
        ("a@[192.0.2.1]", True),
        ("a b@b_c.example", True),
        ("a@b@c.example", True),
        ("a", False),
        ("a@b", False),
        ("a@b.", False),
        ("a@192.0.2.1", False),
        ("a@-x.example", False),
    ],
)
async def test_fully_qualified_domains(address: str, accepted: bool) -> None:
    main_cf = "smtpd_relay_restrictions = reject_non_fqdn_{0}, permit_mynetworks, permit_auth_destination, defer"
    for kind, name, facts, recipient in (
        ("sender", "Sender", session("192.168.87.2", sender=address), ALICE),
        ("recipient", "Recipient", session("192.168.87.2"), address),
    ):
        text = f"504 5.5.2 <{address}>: {name} address rejected: need fully-qualified address"
        lines = main_cf.format(kind) + "\nsmtpd_reject_unlisted_recipient = no"
        assert await answers(lines, recipient, facts=facts) == ["OK" if accepted else text]


async def test_the_null_sender_is_left_alone() -> None:
    facts = session("192.168.87.2", sender="")
    assert await answers("smtpd_sender_restrictions = reject_non_fqdn_sender", ALICE, facts=facts) == ["OK"]
