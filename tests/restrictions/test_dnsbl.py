import pytest

from gatepost.restrictions.dnsbl import KEPT, _joined
from tests.restrictions.world import ALICE, ELSEWHERE, SERVER_ERROR, World, answers, session, stranger

ZONE = """
127.116.62.80.list.example    A   127.0.0.4
127.116.62.80.list.example    TXT "Listed"
127.116.62.80.list.example    TXT "for testing"
127.116.62.80.good.example    A   127.0.0.2
127.116.62.80.sick.example    SERVFAIL
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.list.example A 127.0.0.2
stranger.example.rhs.example  A   127.0.0.2
stranger.example.sick.example SERVFAIL
client.example.rhs.example    A   127.0.0.2
ours.example.rhs.example      A   127.0.0.2
7.rhs.example                 A   127.0.0.2
*.slow.example                SERVFAIL
"""
BLOCKED = "554 5.7.1 Service unavailable; Client host [80.62.116.127] blocked using list.example; Listed / for testing"


async def rcpt(restrictions: str, more: str = "", **facts: str) -> str:
    world = World(f"smtpd_recipient_restrictions = {restrictions}\n{more}", zone=ZONE)
    return await world.rcpt(stranger(**facts), ALICE)


@pytest.mark.parametrize(
    ("restriction", "reply"),
    [
        ("reject_rbl_client list.example", BLOCKED),
        ("reject_rbl list.example", BLOCKED),
        ("Reject_RBL_client list.example=127.0.0.[2..4]", BLOCKED),
        ("reject_rbl_client list.example=127.0.0.2", "OK"),
        ("reject_rbl_client good.example=127.0.0.3, reject_rbl_client list.example", BLOCKED),
        ("reject_rbl_client sick.example", "OK"),
        ("permit_dnswl_client good.example, reject_rbl_client list.example", "OK"),
        ("permit_dnswl_client list.example=127.0.0.2, reject_rbl_client list.example", BLOCKED),
        (
            "permit_dnswl_client sick.example, reject_rbl_client list.example",
            "450 4.7.1 <80.62.116.127>: Client host rejected: Service unavailable",
        ),
        ("permit_rhswl_client rhs.example, reject", "OK"),
        (
            "permit_rhswl_client sick.example, reject",
            "450 4.7.1 <stranger.example>: Client host rejected: Service unavailable",
        ),
        ("permit_rhswl_client list.example", "OK"),
    ],
)
async def test_addresses_on_lists(restriction: str, reply: str) -> None:
    assert await rcpt(restriction) == reply


@pytest.mark.parametrize(
    ("restriction", "shown"),
    [
        ("reject_rhsbl_client", "Client host [stranger.example]"),
        ("reject_rhsbl_reverse_client", "Unverified Client host [stranger.example]"),
        ("reject_rhsbl_helo", "Helo command [client.example]"),
        ("reject_rhsbl_sender", "Sender address [a@client.example]"),
        ("reject_rhsbl_recipient", "Recipient address [alice@ours.example]"),
    ],
)
async def test_names_on_lists(restriction: str, shown: str) -> None:
    wanted = f"554 5.7.1 Service unavailable; {shown} blocked using rhs.example"
    assert await rcpt(f"{restriction} rhs.example") == wanted
    assert await rcpt(f"{restriction} rhs.example=127.0.0.2") == wanted
    assert await rcpt(f"{restriction} rhs.example=127.0.0.3") == "OK"
    assert await rcpt(f"{restriction} list.example") == "OK"


async def test_an_ipv6_client() -> None:
    world = World("smtpd_recipient_restrictions = reject_rbl_client list.example", zone=ZONE)
    assert await world.rcpt(session("2001:db8::1"), ALICE) == (
        "554 5.7.1 Service unavailable; Client host [2001:db8::1] blocked using list.example"
    )


@pytest.mark.parametrize("address", ["1:2:3", "unknown", "", "::%lo", "192.0.2"])
async def test_what_is_no_address_is_on_no_list(address: str) -> None:
    world = World("smtpd_recipient_restrictions = reject_rbl_client list.example", zone=ZONE)
    assert await world.rcpt(session(address), ALICE) == "OK"


@pytest.mark.parametrize("sender", ["", "a", "a@7", "a@[192.0.2.7]", "a@example.7"])
async def test_what_is_no_domain_is_not_asked_about(sender: str) -> None:
    world = World("smtpd_recipient_restrictions = reject_rhsbl_sender rhs.example", zone=ZONE)
    assert await world.rcpt(stranger(sender=sender), ALICE) == "OK"
    assert [name for name, _ in world.dns.asked] == (["a.rhs.example"] if sender == "a" else [])


async def test_a_client_without_a_name_is_on_no_list_of_names() -> None:
    lists = "reject_rhsbl_client rhs.example, reject_rhsbl_reverse_client rhs.example, permit_rhswl_client rhs.example"
    world = World(f"smtpd_recipient_restrictions = {lists}", zone=ZONE)
    assert await world.rcpt(session("192.0.2.1"), ALICE) == "OK"
    assert world.dns.asked == []


async def test_lists_of_good_clients_open_no_relay() -> None:
    for permit in ("permit_dnswl_client good.example", "permit_rhswl_client rhs.example"):
        world = World(f"smtpd_relay_restrictions = {permit}, reject_unauth_destination", zone=ZONE)
        assert await world.rcpt(stranger(), ALICE) == "OK"
        assert await world.rcpt(stranger(), ELSEWHERE) == f"554 5.7.1 <{ELSEWHERE}>: Relay access denied"
        # Elsewhere than at RCPT nothing is relayed by it.
        facts = stranger(recipient=ELSEWHERE)
        facts.stage = "MAIL"
        main_cf = f"smtpd_sender_restrictions = {permit}, reject\nsmtpd_delay_reject = no"
        assert await World(main_cf, zone=ZONE).policy.mail(facts) is None


async def test_a_list_is_asked_once_in_a_session() -> None:
    world = World(
        "smtpd_recipient_restrictions = reject_rbl_client sick.example, reject_rbl_client sick.example=127.0.0.2,"
        " reject_rbl_client none.example",
        zone=ZONE,
    )
    facts = stranger()
    for _ in range(2):
        assert await world.rcpt(facts, ALICE) == "OK"
    assert world.dns.asked == [("127.116.62.80.sick.example", "A"), ("127.116.62.80.none.example", "A")]
    assert world.take_log() == [
        "warning: 127.116.62.80.sick.example: RBL lookup error: Host or domain name not found. Name service error "
        "for name=127.116.62.80.sick.example type=A: Host not found, try again"
    ]
    await world.rcpt(stranger(), ALICE)
    assert len(world.dns.asked) == 4


async def test_a_session_keeps_a_bounded_number_of_answers() -> None:
    world = World("smtpd_recipient_restrictions = reject_rhsbl_recipient slow.example", zone=ZONE)
    facts = session("192.168.87.2")
    for number in range(KEPT + 5):
        await world.rcpt(facts, f"x@h{number}.example")
    assert facts.dns_listings is not None
    assert len(facts.dns_listings) == KEPT
    assert "h104.example.slow.example" in facts.dns_listings
    assert "h4.example.slow.example" not in facts.dns_listings


def test_text_is_limited() -> None:
    assert _joined(["one", "two"]) == "one / two"
    assert len(_joined(["x" * 600])) == 500
    assert _joined(["x" * 498, "y"]) == "x" * 498
    assert _joined(["x" * 490, "yyyyyyyyyyy"]) == "x" * 490 + " / yyyyyyy"
    assert _joined(["ä" * 300]) == "ä" * 250
    assert _joined([]) == ""


@pytest.mark.parametrize(
    ("more", "reply"),
    [
        ("default_rbl_reply = 451 4.7.99 $rbl_what is bad", "451 4.7.99 80.62.116.127 is bad"),
        ("default_rbl_reply = $rbl_code", "450 4.7.1 Service unavailable"),
        ("default_rbl_reply = 250 fine", "450 4.7.1 Service unavailable"),
        ("default_rbl_reply = 550 5.7.8", "550 5.7.8 Service unavailable"),
        ("default_rbl_reply = $rbl_code $nosuch", SERVER_ERROR),
        ("default_rbl_reply = $rbl_code ${client", SERVER_ERROR),
        ("rbl_reply_maps = inline:{{list.example=550 go $$client_address}}", "550 5.7.1 go 80.62.116.127"),
        ("rbl_reply_maps = inline:{{list.example=550 $$nosuch}}", BLOCKED),
        ("rbl_reply_maps = inline:{{other.example=550 no}}", BLOCKED),
        ("rbl_reply_maps = fail:down", SERVER_ERROR),
        ("maps_rbl_reject_code = 421", BLOCKED.replace("554 5", "421 4")),
        (
            "smtpd_expansion_filter = 0123456789",
            "554 5.7.1 Service unavailable; ___________ [80_62_116_127] blocked using ____________; "
            "____________________",
        ),
    ],
)
async def test_replies(more: str, reply: str) -> None:
    assert await rcpt("reject_rbl_client list.example", more) == reply


async def test_a_template_may_be_meant_for_a_pattern_or_for_the_list() -> None:
    more = (
        r"rbl_reply_maps = pcre:{{/^list\.example=127\.0\.0\.4$$/ 550 pattern of $$$$rbl_domain}}, "
        "inline:{{list.example=550 list $$rbl_domain}}"
    )
    assert await rcpt("reject_rbl_client list.example=127.0.0.4", more) == "550 5.7.1 pattern of list.example"
    assert await rcpt("reject_rbl_client list.example=127.0.0.[4]", more) == "550 5.7.1 list list.example"


async def test_without_a_domain_nothing_is_asked() -> None:
    world = World("smtpd_recipient_restrictions = Reject_rbl_client", zone=ZONE)
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert world.take_log() == ["warning: restriction Reject_rbl_client requires domain name argument"]
    assert world.policy.problems() == [
        ("smtpd_recipient_restrictions", "restriction reject_rbl_client requires domain name argument")
    ]


async def test_a_pattern_that_is_none_refuses_for_now() -> None:
    assert await answers("smtpd_recipient_restrictions = reject_rbl_client list.example=1.2.3", ALICE) == [SERVER_ERROR]
