import pytest

from tests.restrictions.world import ALICE, SERVER_ERROR, World, session, stranger

ZONE = """
stranger.example     MX   10 mx.client.example
stranger.example     A    192.0.2.26
client.example       MX   20 second.example
client.example       MX   10 mx.client.example
client.example       NS   ns.client.example
client.example       A    192.0.2.26
mx.client.example    A    192.0.2.25
ns.client.example    A    192.0.2.53
second.example       A    192.0.2.99
ours.example         MX   10 mx.client.example
ours.example         A    192.0.2.26
sub.client.example   A    192.0.2.28
nomx.example         A    192.0.2.40
six.example          MX   10 h.six.example
h.six.example        AAAA 2001:db8::25
null.example         MX   0 .
digits.example       MX   10 192.0.2.25
sick.example         SERVFAIL
sick.client.example  SERVFAIL
lost.example         MX   10 nosuch.example
lost.example         MX   20 sick.example
xn--bcher-kva.example MX  10 mx.client.example
"""
BAD = "inline:{{192.0.2.25=REJECT mail}, {192.0.2.53=REJECT name}, {192.0.2.26=REJECT address}}"


async def mail(name: str, table: str, sender: str, more: str = "") -> tuple[str, list[str]]:
    world = World(f"smtpd_recipient_restrictions = {name} {table}\n{more}", zone=ZONE)
    return await world.rcpt(stranger(sender=sender), ALICE), world.take_log()


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("client", "<stranger.example[80.62.116.127]>: Client host"),
        ("reverse_client_hostname", "<stranger.example>: Unverified Client host"),
        ("helo", "<client.example>: Helo command"),
        ("sender", "<a@client.example>: Sender address"),
        ("recipient", "<alice@ours.example>: Recipient address"),
    ],
)
async def test_whose_servers(subject: str, shown: str) -> None:
    for kind, text in (("a", "address"), ("mx", "mail")):
        reply, _ = await mail(f"check_{subject}_{kind}_access", BAD, "a@client.example")
        assert reply == f"554 5.7.1 {shown} rejected: {text}"
    reply, _ = await mail(f"check_{subject}_ns_access", "static:REJECT", "a@client.example")
    assert reply == ("554 5.7.1 " + shown + " rejected: Access denied" if "client.example" in shown[:20] else "OK")
    assert (await mail(f"check_{subject}_mx_access", "static:OK", "a@client.example"))[0] == SERVER_ERROR


async def test_who_has_no_name_has_no_servers() -> None:
    names = [
        f"check_{who}_{kind}_access static:REJECT"
        for who in ("client", "reverse_client_hostname", "sender", "recipient", "helo")
        for kind in ("a", "mx", "ns")
    ]
    world = World(f"smtpd_client_restrictions = {' '.join(names)}\nsmtpd_delay_reject = no", zone=ZONE)
    facts = session("192.0.2.1", sender="")
    facts.helo_name = None
    assert await world.policy.client(facts) is None
    assert world.dns.asked == []


@pytest.mark.parametrize(
    ("kind", "table", "sender", "text"),
    [
        ("mx", "inline:{mx.client.example=REJECT, client.example=OK}", "a@client.example", "Access denied"),
        ("mx", "inline:{{client.example=REJECT parent}}", "a@client.example", "parent"),
        ("mx", "inline:{{192.0.2=REJECT network}}", "a@client.example", "network"),
        ("mx", "inline:{{second.example=REJECT second}}", "a@client.example", "second"),
        # A hit ends the search, a DUNNO too.
        ("mx", "inline:{{mx.client.example=DUNNO}, {second.example=REJECT}}", "a@client.example", ""),
        ("mx", "inline:{{192.0.2.25=DUNNO}, {second.example=REJECT}}", "a@client.example", ""),
        ("mx", "inline:{{nomx.example=REJECT itself}}", "a@nomx.example", "itself"),
        ("mx", "inline:{{2001:db8::25=REJECT six}}", "a@six.example", "six"),
        ("mx", "inline:{{2001:db8:=REJECT six}}", "a@six.example", "six"),
        ("mx", "inline:{{192.0.2.25=REJECT digits}}", "a@digits.example", "digits"),
        ("mx", "inline:{{192.0.2.25=REJECT idn}}", "a@bücher.example", "idn"),
        ("mx", "static:REJECT", "a@null.example", ""),
        ("mx", "inline:{{192.0.2.77=REJECT literal}}", "a@[192.0.2.77]", "literal"),
        ("a", "inline:{{2001:db8::7=REJECT literal}}", "a@[IPv6:2001:db8::7]", "literal"),
        ("ns", "static:REJECT", "a@[192.0.2.77]", ""),
        ("mx", "static:REJECT", "a@[nonsense]", ""),
        ("ns", "inline:{{ns.client.example=REJECT parent}}", "a@b.sub.client.example", "parent"),
        ("a", "inline:{{client.example=REJECT name}}", "a@client.example", ""),
        ("a", "static:REJECT", "a@nosuch.example", ""),
        ("mx", BAD, "a", ""),
    ],
)
async def test_what_is_asked_for(kind: str, table: str, sender: str, text: str) -> None:
    reply, _ = await mail(f"check_sender_{kind}_access", table, sender)
    assert reply == (f"554 5.7.1 <{sender}>: Sender address rejected: {text}" if text else "OK")


@pytest.mark.parametrize(
    ("kind", "sender", "warnings"),
    [
        ("mx", "a@sick.example", ["MX host for sick.example: Host not found, try again"]),
        ("ns", "a@sick.client.example", ["NS host for sick.client.example: Host not found, try again"]),
        ("ns", "a@nosuch.example", ["NS host for a@nosuch.example: Host not found"]),
        ("mx", "a@nosuch.example", ["MX host nosuch.example for Sender address a@nosuch.example: "
                                    "Name or service not known"]),
        (
            "mx",
            "a@lost.example",
            [
                "MX host nosuch.example for Sender address a@lost.example: Name or service not known",
                "MX host sick.example for Sender address a@lost.example: Temporary failure in name resolution",
            ],
        ),
        ("a", "a@nosuch.example", []),
    ],
)  # fmt: skip
async def test_what_cannot_be_looked_up_restricts_nobody(kind: str, sender: str, warnings: list[str]) -> None:
    reply, log = await mail(f"check_sender_{kind}_access", BAD, sender)
    assert reply == "OK"
    assert log == [f"warning: Unable to look up {text}" for text in warnings]


async def test_a_table_that_cannot_tell() -> None:
    for kind in ("a", "mx"):
        reply, log = await mail(f"check_sender_{kind}_access", "fail:down", "a@client.example")
        assert reply == "451 4.3.5 <a@client.example>: Sender address rejected: Server configuration error"
        assert log[0].startswith('warning: fail:down lookup error for "')


async def test_a_hundred_addresses_are_enough() -> None:
    zone = "\n".join(f"h{host}.example A 192.0.2.{number}" for host in (1, 2) for number in range(90))
    zone += "\nclient.example MX 1 h1.example\nclient.example MX 2 h2.example\nh1.example AAAA 2001:db8::1\n"
    world = World("smtpd_recipient_restrictions = check_sender_mx_access inline:{x=REJECT}", zone=zone)
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert world.take_log() == [
        "warning: check_server_access: MX server address count limit (100) exceeded for Sender address "
        "a@client.example -- ignoring the remainder"
    ]


async def test_inet_protocols_limits_the_addresses() -> None:
    table = "inline:{{2001:db8::25=REJECT six}}"
    reply, log = await mail("check_sender_mx_access", table, "a@six.example", "inet_protocols = ipv4")
    assert reply == "OK"
    assert log == [
        "warning: Unable to look up MX host h.six.example for Sender address a@six.example: "
        "No address associated with hostname"
    ]
