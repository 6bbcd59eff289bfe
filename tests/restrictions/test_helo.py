import pytest

from tests.restrictions.world import ALICE, ZONE, World, answers, stranger

INVALID = "501 5.5.2 <{}>: Helo command rejected: Invalid name"
NOT_FQDN = "504 5.5.2 <{}>: Helo command rejected: need fully-qualified hostname"
NO_LITERAL = "501 5.5.2 <{}>: Helo command rejected: invalid ip address"


@pytest.mark.parametrize(
    ("name", "invalid", "non_fqdn"),
    [
        ("mail.example", "OK", "OK"),
        ("mail.example.", "OK", "OK"),
        ("mail.example..", INVALID, NOT_FQDN),
        ("localhost", "OK", NOT_FQDN),
        ("under_score.example", "OK", "OK"),
        ("-x.example", INVALID, NOT_FQDN),
        ("a..b", INVALID, NOT_FQDN),
        ("192.0.2.1", "OK", NOT_FQDN),
        ("2001:db8::1", "OK", NOT_FQDN),
        ("[192.0.2.1]", "OK", "OK"),
        ("[IPv6:2001:db8::1]", "OK", "OK"),
        ("[2001:db8::1]", NO_LITERAL, NO_LITERAL),
        ("[192.0.2]", NO_LITERAL, NO_LITERAL),
        ("[]", NO_LITERAL, NO_LITERAL),
        ("[", NO_LITERAL, NO_LITERAL),
    ],
)
async def test_syntax(name: str, invalid: str, non_fqdn: str) -> None:
    facts = stranger()
    facts.helo_name = name
    for restriction, want in (
        ("reject_invalid_helo_hostname", invalid),
        ("reject_invalid_hostname", invalid),
        ("reject_non_fqdn_helo_hostname", non_fqdn),
        ("reject_non_fqdn_hostname", non_fqdn),
    ):
        assert await answers(f"smtpd_helo_restrictions = {restriction}", ALICE, facts=facts) == [want.format(name)]


async def test_nothing_is_asked_of_a_client_without_helo() -> None:
    world = World(
        "smtpd_recipient_restrictions = reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname, "
        "check_helo_access static:reject, check_etrn_access static:reject"
    )
    facts = stranger()
    facts.helo_name = None
    assert await world.rcpt(facts, ALICE) == "OK"


async def test_names_in_other_scripts() -> None:
    facts = stranger(smtputf8=True)
    facts.helo_name = "bücher.example"
    assert await answers("smtpd_helo_restrictions = reject_non_fqdn_helo_hostname", ALICE, facts=facts) == ["OK"]
    facts.smtputf8 = False
    assert await answers("smtpd_helo_restrictions = reject_non_fqdn_helo_hostname", ALICE, facts=facts) == [
        NOT_FQDN.format("bücher.example")
    ]


async def test_codes() -> None:
    facts = stranger()
    facts.helo_name = "localhost"
    main_cf = "non_fqdn_reject_code = 450\nsmtpd_helo_restrictions = reject_non_fqdn_helo_hostname"
    assert (await answers(main_cf, ALICE, facts=facts))[0].startswith("450 4.5.2 <localhost>")


HELO_NOT_FOUND = "<{}>: Helo command rejected: Host not found"


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("client.example", "OK"),
        ("CLIENT.example", "OK"),
        ("addressonly.example", "OK"),
        ("sixonly.example", "OK"),
        ("nomail.example", "OK"),
        ("nothing.example", "450 4.7.1 " + HELO_NOT_FOUND),
        ("nxdomain.example", "450 4.7.1 " + HELO_NOT_FOUND),
        ("client.example.", "450 4.7.1 " + HELO_NOT_FOUND),
        ("192.0.2.1", "450 4.7.1 " + HELO_NOT_FOUND),
        ("[192.0.2.1]", "OK"),
        ("[192.0.2]", NO_LITERAL),
        ("broken.example", "450 4.7.1 " + HELO_NOT_FOUND),
        ("badmx.example", "450 4.7.1 <{}>: Helo command rejected: Malformed DNS server reply"),
    ],
)
async def test_unknown(name: str, reply: str) -> None:
    for restriction in ("reject_unknown_helo_hostname", "reject_unknown_hostname"):
        world = World(f"smtpd_helo_restrictions = {restriction}", zone=f"{ZONE}\nbadmx.example MX 10 -x.example")
        assert await world.rcpt(stranger(), ALICE) == "OK"
        facts = stranger()
        facts.helo_name = name
        assert await world.rcpt(facts, ALICE) == reply.format(name)


async def test_unknown_is_final_and_trouble_is_not() -> None:
    facts = stranger()
    main_cf = (
        "unknown_hostname_reject_code = 550\nsmtpd_recipient_restrictions = reject_unknown_helo_hostname, reject\n"
    )
    for name, action, code in (
        ("nxdomain.example", "", "550 5.7.1 <nxdomain"),
        ("broken.example", "", "554 5.7.1 <alice"),
        ("broken.example", "unknown_helo_hostname_tempfail_action = defer", "450 4.7.1 <broken"),
        ("broken.example", "reject_tempfail_action = defer", "450 4.7.1 <broken"),
    ):
        facts.helo_name = name
        [reply] = await answers(main_cf + action, ALICE, facts=facts)
        assert reply.startswith(code)


async def test_a_name_whose_records_are_all_filtered_is_not_unknown() -> None:
    world = World("smtpd_recipient_restrictions = reject_unknown_helo_hostname\nsmtpd_dns_reply_filter = static:IGNORE")
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert world.take_log() == [
        "ignoring DNS RR: client.example. 3600 IN MX 10 mx.client.example.",
        "warning: client.example: address or MX lookup error: DNS reply filter drops all results",
    ]
