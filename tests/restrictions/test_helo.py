import pytest

from tests.restrictions.world import ALICE, World, answers, stranger

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
