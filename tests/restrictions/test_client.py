import pytest

from gatepost.restrictions.facts import NAME_FORGED, NAME_OK, NAME_PERMANENT, NAME_TEMPORARY, Client, SessionFacts
from tests.restrictions.world import ALICE, World, answers, stranger

NO_HOSTNAME = "Client host rejected: cannot find your hostname, [192.0.2.7]"
NO_REVERSE = "Client host rejected: cannot find your reverse hostname, [192.0.2.7]"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (NAME_OK, 450, "OK"),
        (NAME_TEMPORARY, 450, "450 4.7.25"),
        (NAME_PERMANENT, 450, "450 4.7.25"),
        (NAME_TEMPORARY, 550, "450 4.7.25"),
        (NAME_PERMANENT, 550, "550 5.7.25"),
        (NAME_FORGED, 550, "550 5.7.25"),
    ],
)
async def test_unknown_hostname(status: int, code: int, expected: str) -> None:
    facts = SessionFacts(Client("n", "192.0.2.7", name_status=status), sender="", helo_name="h")
    for name in ("reject_unknown_client_hostname", "reject_unknown_client"):
        main_cf = f"unknown_client_reject_code = {code}\nsmtpd_client_restrictions = {name}"
        want = expected if expected == "OK" else f"{expected} {NO_HOSTNAME}"
        assert await answers(main_cf, ALICE, facts=facts) == [want]


@pytest.mark.parametrize(
    ("status", "expected"),
    [(NAME_OK, "OK"), (NAME_TEMPORARY, "450 4.7.1 "), (NAME_PERMANENT, "550 5.7.1 ")],
)
async def test_unknown_reverse_hostname(status: int, expected: str) -> None:
    facts = SessionFacts(Client("unknown", "192.0.2.7", name_status=NAME_FORGED, reverse_name_status=status), sender="")
    main_cf = "unknown_client_reject_code = 550\nsmtpd_client_restrictions = reject_unknown_reverse_client_hostname"
    want = expected if expected == "OK" else f"{expected}{NO_REVERSE}"
    assert await answers(main_cf, ALICE, facts=facts) == [want]


async def test_authenticated_clients() -> None:
    relay = "smtpd_relay_restrictions = permit_sasl_authenticated, reject"
    on = f"smtpd_sasl_auth_enable = yes\n{relay}"
    joe = stranger(sasl_method="plain", sasl_username="joe")
    nobody = stranger(sasl_method="ANONYMOUS", sasl_username="x")
    assert await answers(on, ALICE, facts=joe) == ["OK"]
    assert (await answers(relay, ALICE, facts=joe))[0].startswith("554")
    assert (await answers(on, ALICE, facts=nobody))[0].startswith("554")
    assert (await answers(on, ALICE, facts=stranger()))[0].startswith("554")


async def test_mynetworks_is_asked_for_the_name_too() -> None:
    world = World("mynetworks = stranger.example\nsmtpd_recipient_restrictions = permit_mynetworks, reject")
    assert await world.rcpt(stranger(), ALICE) == "OK"


async def test_host_bits_count_when_the_item_is_reached() -> None:
    failure = "451 4.3.0 <alice@ours.example>: Temporary lookup failure"
    assert await answers("mynetworks = 10.0.0.1/8", ALICE) == [failure]
    assert await answers("mynetworks = 80.62.0.0/16 10.0.0.1/8", ALICE) == ["OK"]


async def test_inet_interfaces_is_about_the_connection() -> None:
    main_cf = "smtpd_recipient_restrictions = permit_inet_interfaces, reject"
    facts = SessionFacts(Client("n", "192.0.2.25"), stage="RCPT", sender="", helo_name="h")
    assert await answers(main_cf, ALICE, facts=facts) == ["OK"]
    facts.client.address = "192.0.2.26"
    assert (await answers(main_cf, ALICE, facts=facts))[0].startswith("554 5.7.1 ")
    # A front end on this host names its clients by XCLIENT.
    facts.connected_from = "127.0.0.1"
    assert await answers(main_cf, ALICE, facts=facts) == ["OK"]


@pytest.mark.parametrize(
    ("table", "reply"),
    [
        ("inline:{b.example=REJECT}", "554 5.7.1 <a.b.example>: Unverified Client host rejected: Access denied"),
        ("inline:{192.0.2=REJECT}", "554 5.7.1 <a.b.example>: Unverified Client host rejected: Access denied"),
        ("inline:{b.example=DUNNO, 192.0.2=REJECT}", "OK"),
        ("inline:{n=REJECT}", "OK"),
        ("inline:{b.example=OK}", "451 4.3.5 Server configuration error"),
        ("fail:x", "451 4.3.5 <a.b.example>: Unverified Client host rejected: Server configuration error"),
    ],
)
async def test_access_by_the_unverified_name(table: str, reply: str) -> None:
    facts = SessionFacts(Client("n", "192.0.2.7", reverse_name="a.b.example"), sender="", helo_name="h")
    assert await answers(
        f"smtpd_client_restrictions = check_reverse_client_hostname_access {table}", ALICE, facts=facts
    ) == [reply]
