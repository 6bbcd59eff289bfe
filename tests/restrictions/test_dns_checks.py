import pytest

from tests.restrictions.world import ALICE, World, answers, session

NOT_FOUND = "Domain not found"
NULL_MX = "Domain nomail.example does not accept mail (nullMX)"


@pytest.mark.parametrize(
    ("domain", "sender", "recipient"),
    [
        ("client.example", "OK", "OK"),
        ("addressonly.example", "OK", "OK"),
        ("sixonly.example", "OK", "OK"),
        ("ours.example", "OK", "OK"),
        ("[192.0.2.1]", "OK", "OK"),
        ("nothing.example", f"450 4.1.8 {NOT_FOUND}", f"450 4.1.2 {NOT_FOUND}"),
        ("nxdomain.example", f"450 4.1.8 {NOT_FOUND}", f"450 4.1.2 {NOT_FOUND}"),
        ("nomail.example", f"550 5.7.27 {NULL_MX}", f"556 5.1.10 {NULL_MX}"),
        ("broken.example", f"450 4.1.8 {NOT_FOUND}", f"450 4.1.2 {NOT_FOUND}"),
    ],
)
async def test_domains(domain: str, sender: str, recipient: str) -> None:
    local = "192.168.87.2"
    for kind, name, want, facts, rcpt in (
        ("sender", "Sender", sender, session(local, sender=f"alice@{domain}"), ALICE),
        ("recipient", "Recipient", recipient, session(local), f"alice@{domain}"),
    ):
        code, _, text = want.partition(" ")
        dsn, _, text = text.partition(" ")
        reply = want if want == "OK" else f"{code} {dsn} <alice@{domain}>: {name} address rejected: {text}"
        assert await answers(f"smtpd_recipient_restrictions = reject_unknown_{kind}_domain", rcpt, facts=facts) == [
            reply
        ]


async def test_not_found_is_final_and_trouble_is_not() -> None:
    facts = session("192.168.87.2", sender="a@broken.example")
    main_cf = "unknown_address_reject_code = 550\nsmtpd_sender_restrictions = reject_unknown_sender_domain, {}"
    world = World(main_cf.format("permit"))
    assert (await world.rcpt(facts, ALICE)).startswith("450 4.1.8 <a@broken.example>")
    # Deferred only if it would be permitted: a later refusal comes first.
    world = World(main_cf.format("reject"))
    assert (await world.rcpt(facts, ALICE)).startswith("554 5.7.1 <a@broken.example>")
    facts.sender = "a@nxdomain.example"
    assert (await world.rcpt(facts, ALICE)).startswith("550 5.1.8 <a@nxdomain.example>")


async def test_tempfail_action_defer() -> None:
    facts = session("192.168.87.2", sender="a@broken.example")
    main_cf = "{} = defer\nsmtpd_sender_restrictions = reject_unknown_sender_domain, reject"
    for parameter in ("unknown_address_tempfail_action", "reject_tempfail_action"):
        assert (await answers(main_cf.format(parameter), ALICE, facts=facts))[0].startswith("450 4.1.8")


async def test_types_are_asked_in_order_and_only_as_needed() -> None:
    world = World("smtpd_sender_restrictions = reject_unknown_address")
    await world.rcpt(session("192.168.87.2", sender="a@client.example"), ALICE)
    await world.rcpt(session("192.168.87.2", sender="a@sixonly.example"), ALICE)
    await world.rcpt(session("192.168.87.2", sender="a@bücher.example"), ALICE)
    assert [(name, rrtype) for name, rrtype in world.dns.asked] == [
        ("client.example", "MX"),
        *(("sixonly.example", rrtype) for rrtype in ("MX", "A", "AAAA")),
        *(("xn--bcher-kva.example", rrtype) for rrtype in ("MX", "A", "AAAA")),
    ]


async def test_filtered_answers_are_no_reason_to_refuse() -> None:
    world = World(
        "smtpd_sender_restrictions = reject_unknown_sender_domain\nsmtpd_dns_reply_filter = regexp:{{/ IN MX / IGNORE}}"
    )
    assert await world.rcpt(session("192.168.87.2", sender="a@client.example"), ALICE) == "OK"
    assert world.take_log() == [
        "ignoring DNS RR: client.example. 3600 IN MX 10 mx.client.example.",
        "warning: client.example: MX or address lookup error: DNS reply filter drops all results",
    ]
    assert world.dns.asked == [("client.example", "MX")]
