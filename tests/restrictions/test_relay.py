import pytest

from tests.restrictions.world import answers, session


@pytest.mark.parametrize(
    ("recipient", "authorised"),
    [
        ("alice@ours.example", True),
        ("x@relayed.example", True),
        ("x@sub.relayed.example", True),
        ("x@va.example", True),
        ("x@vm.example", True),
        ("alice@[192.0.2.25]", True),
        ("x@elsewhere.example", False),
        ("x@[192.0.2.1]", False),
        ("x@ours.example.org", False),
        ("x%elsewhere.example@ours.example", False),
        ("x@elsewhere.example@ours.example", False),
        ("elsewhere.example!x@ours.example", False),
        ("x%other@relayed.example", False),
        ("x@other@relayed.example", False),
    ],
)
async def test_authorised_destinations(recipient: str, authorised: bool) -> None:
    base = (
        "virtual_alias_domains = va.example\nvirtual_mailbox_domains = vm.example\n"
        "smtpd_reject_unlisted_recipient = no\nsmtpd_relay_restrictions = {}\n"
    )
    denied = f"<{recipient}>: Relay access denied"
    for name, code in (("reject_unauth_destination", "554 5.7.1"), ("defer_unauth_destination", "454 4.7.1")):
        want = "OK" if authorised else f"{code} {denied}"
        assert await answers(base.format(name), recipient) == [want]
    reply = (await answers(base.format("permit_auth_destination, reject"), recipient))[0]
    assert (reply == "OK") == authorised


async def test_routed_addresses_may_be_trusted() -> None:
    main_cf = "allow_untrusted_routing = yes\nallow_percent_hack = no\n"
    assert await answers(main_cf, "x%other@relayed.example") == ["OK"]


async def test_a_table_does_not_permit_routed_recipients() -> None:
    main_cf = "smtpd_relay_restrictions = inline:{elsewhere.example=OK}, reject\n"
    recipients = ("x@elsewhere.example", "x%y@elsewhere.example")
    assert [reply[:3] for reply in await answers(main_cf, *recipients)] == ["OK", "554"]
    trusting = main_cf + "allow_untrusted_routing = yes\n"
    assert await answers(trusting, *recipients) == ["OK", "OK"]


async def test_without_a_recipient_there_is_no_opinion() -> None:
    main_cf = "smtpd_delay_reject = no\nsmtpd_client_restrictions = reject_unauth_destination, defer_unauth_destination"
    assert await answers(main_cf, "alice@ours.example", facts=session("192.0.2.1")) == ["OK"]


async def test_tables_that_cannot_tell_deny_for_now() -> None:
    failure = ["451 4.3.0 <x@elsewhere.example>: Temporary lookup failure"]
    for parameter in ("relay_domains", "mydestination", "virtual_mailbox_domains"):
        assert await answers(f"{parameter} = fail:x", "x@elsewhere.example") == failure
