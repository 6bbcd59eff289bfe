import pytest

from tests.restrictions.world import ALICE, World, stranger

ZONE = """
far.example         A   192.0.2.130
near.example        A   192.0.2.3
near.example        AAAA 2001:db8::3
self.example        A   127.0.0.1
sick.example        SERVFAIL
byname.example      MX  10 far.example
byname.example      MX  20 ours.example
byaddress.example   MX  10 near.example
byaddress.example   MX  20 self.example
first.example       MX  10 self.example
first.example       MX  20 far.example
only.example        MX  10 ours.example
other.example       MX  10 far.example
other.example       MX  20 near.example
noother.example     MX  10 far.example
nomx.example        A   127.0.0.1
null.example        MX  0 .
bad.example         MX  10 -bad-.example
lost.example        MX  10 nosuch.example
lost.example        MX  20 far.example
sickmx.example      MX  10 sick.example
sickmx.example      MX  20 ours.example
sicktoo.example     MX  10 far.example
sicktoo.example     MX  20 sick.example
idn.example         CNAME byname.example
xn--bcher-kva.example MX 10 far.example
xn--bcher-kva.example MX 20 ours.example
"""
RESTRICTIONS = "smtpd_relay_restrictions = permit_mx_backup, reject\n"


async def rcpt(recipient: str, more: str = "") -> tuple[str, list[str]]:
    world = World(RESTRICTIONS + more, zone=ZONE)
    reply = await world.rcpt(stranger(), recipient)
    return reply.partition(f"<{recipient}>: Recipient address rejected: ")[2] or reply, world.take_log()


@pytest.mark.parametrize(
    ("recipient", "answer"),
    [
        (ALICE, "OK"),
        ("x@relayed.example", "OK"),
        ("x@byname.example", "OK"),
        ("x@BYNAME.example", "OK"),
        ("x@byaddress.example", "OK"),
        ("x@idn.example", "OK"),
        ("x@bücher.example", "OK"),
        ("x@first.example", "Access denied"),
        ("x@only.example", "Access denied"),
        ("x@other.example", "Access denied"),
        ("x@noother.example", "Access denied"),
        ("x@nomx.example", "Access denied"),
        ("x@nosuch.example", "Access denied"),
        ("x@null.example", "Access denied"),
        ("x@bad.example", "Access denied"),
        ("x@[192.0.2.3]", "Access denied"),
        ("x@a@relayed.example", "Access denied"),
        ("x@sick.example", "Unable to look up mail exchanger information: Host not found, try again"),
        ("x@lost.example", "Unable to look up mail exchanger host nosuch.example: Name or service not known"),
        (
            "x@sicktoo.example",
            "Unable to look up mail exchanger host sick.example: Temporary failure in name resolution",
        ),
        ("x@sickmx.example", "OK"),  # whoever the first is: we are not, and we are another
    ],
)
async def test_for_whom_we_are_a_backup(recipient: str, answer: str) -> None:
    reply, _ = await rcpt(recipient)
    assert reply == answer


async def test_trouble_turns_a_refusal_into_a_deferral_and_nothing_else() -> None:
    world = World(RESTRICTIONS, zone=ZONE)
    assert (await world.rcpt(stranger(), "x@sick.example")).startswith("450 4.4.4 ")
    world = World("smtpd_relay_restrictions = permit_mx_backup, defer", zone=ZONE)
    assert (await world.rcpt(stranger(), "x@sick.example")).startswith("450 4.3.2 ")


@pytest.mark.parametrize(
    ("networks", "recipient", "answer"),
    [
        ("192.0.2.0/28, [2001:db8::]/32", "x@byaddress.example", "OK"),
        ("192.0.2.0/28", "x@byaddress.example", "Access denied"),  # it has an IPv6 address, too
        ("192.0.2.0/28", "x@byname.example", "Access denied"),
        ("far.example", "x@byname.example", "OK"),
        ("fail:down", "x@byname.example", "Unable to verify host far.example as mail exchanger"),
    ],
)
async def test_where_the_first_exchangers_may_be(networks: str, recipient: str, answer: str) -> None:
    reply, log = await rcpt(recipient, f"permit_mx_backup_networks = {networks}")
    assert reply == answer
    if "fail" in networks:
        assert log[:2] == [
            "warning: permit_mx_backup_networks: fail:down: table lookup problem",
            "warning: all_auth_mx_addr: permit_mx_backup_networks lookup error for address 192.0.2.130 for far.example",
        ]


async def test_filtered_answers() -> None:
    reply, _ = await rcpt("x@byname.example", "smtpd_dns_reply_filter = static:IGNORE")
    assert reply == "Unable to look up mail exchanger information: DNS reply filter policy"
    more = "smtpd_dns_reply_filter = regexp:{{/ IN A+ / IGNORE}}\npermit_mx_backup_networks = 192.0.2.0/24"
    reply, _ = await rcpt("x@byname.example", more)
    assert reply == "Unable to look up host far.example as mail exchanger: DNS reply filter policy"


async def test_without_a_recipient_it_has_no_opinion() -> None:
    world = World("smtpd_client_restrictions = permit_mx_backup\nsmtpd_delay_reject = no", zone=ZONE)
    assert await world.policy.client(stranger()) is None
    assert world.dns.asked == []
