"""Which keys access tables are asked for, and in which order."""

import pytest

from gatepost.restrictions.facts import Effects
from gatepost.tables.maps import Hit, Maps
from tests.restrictions.world import ALICE, World, answers, session, stranger


def verdict(reply: str) -> str:
    return "OK" if reply == "OK" else reply.rpartition(" ")[2]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("{www.sub.dom.example=reject full}, {sub.dom.example=reject parent}", "full"),
        ("{dom.example=reject parent}, {192.0.2.7=reject address}", "parent"),
        ("{example=reject tld}", "tld"),
        ("{.dom.example=reject dot}", "OK"),
        ("{192.0.2.7=reject address}, {192.0.2=reject net}", "address"),
        ("{192=reject net}", "net"),
        ("{192.0=DUNNO}, {192=reject net}", "OK"),
        ("{dom.example=DUNNO}, {192.0.2.7=reject address}", "OK"),
        ("{dom.example=OK}, {192.0.2.7=reject address}", "OK"),
        ("{om.example=reject no}", "OK"),
    ],
)
async def test_client(table: str, expected: str) -> None:
    facts = session("192.0.2.7", name="www.sub.dom.example")
    [reply] = await answers(f"smtpd_client_restrictions = inline:{{{table}}}", ALICE, facts=facts)
    assert verdict(reply) == expected


@pytest.mark.parametrize(
    ("address", "table", "expected"),
    [
        ("192.0.2.7", "{unknown=reject unknown}", "unknown"),
        ("2001:db8::7", "{2001:db8::7=reject full}", "full"),
        ("2001:db8::7", "{2001:db8:=reject odd}, {2001=reject top}", "odd"),
        ("2001:db8::7", "{2001:db8=reject net}", "net"),
    ],
)
async def test_unnamed_client(address: str, table: str, expected: str) -> None:
    [reply] = await answers(f"smtpd_client_restrictions = inline:{{{table}}}", ALICE, facts=session(address))
    assert verdict(reply) == expected


async def test_parents_with_a_dot() -> None:
    table = "parent_domain_matches_subdomains =\nsmtpd_{}_restrictions = inline:{{{{{}=reject hit}}}}"
    for stage in ("client", "helo", "sender"):
        facts = session("192.0.2.7", name="www.sub.dom.example", sender="x@www.sub.dom.example")
        facts.helo_name = "www.sub.dom.example"
        for key, expected in ((".dom.example", "hit"), ("dom.example", "OK"), ("www.sub.dom.example", "hit")):
            [reply] = await answers(table.format(stage, key), ALICE, facts=facts)
            assert verdict(reply) == expected


async def test_an_address_as_helo_name_has_no_parents() -> None:
    facts = stranger()
    facts.helo_name = "192.0.2.7"
    assert await answers(
        "smtpd_helo_restrictions = inline:{{192.0.2=reject x}, {2.7=reject y}}", ALICE, facts=facts
    ) == ["OK"]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("{user+ext@sub.dom.example=reject 1}, {user@sub.dom.example=reject 2}", "1"),
        ("{user@sub.dom.example=reject 2}, {sub.dom.example=reject 3}", "2"),
        ("{sub.dom.example=reject 3}, {dom.example=reject 4}", "3"),
        ("{dom.example=reject 4}, {user+ext@=reject 5}", "4"),
        ("{user+ext@=reject 5}, {user@=reject 6}", "5"),
        ("{user@=reject 6}", "6"),
        ("{user=reject 7}, {@sub.dom.example=reject 8}", "OK"),
        ("{dom.example=DUNNO}, {user@=reject 6}", "OK"),
    ],
)
async def test_mail_address(table: str, expected: str) -> None:
    facts = session("192.0.2.7", sender="User+Ext@Sub.Dom.Example")
    main_cf = f"recipient_delimiter = +\nsmtpd_sender_restrictions = inline:{{{table}}}"
    [reply] = await answers(main_cf, ALICE, facts=facts)
    assert verdict(reply) == expected


async def test_quoted_local_parts() -> None:
    facts = session("192.0.2.7", sender="a b@dom.example")
    main_cf = 'smtpd_sender_restrictions = pcre:{{/^"a b"@dom.example$$/ reject quoted}}'
    assert [verdict(reply) for reply in await answers(main_cf, ALICE, facts=facts)] == ["quoted"]


async def test_pattern_tables_see_the_whole_key_only() -> None:
    world = World(
        "smtpd_client_restrictions = pcre:{{/^example$$/ reject part}, {/^stranger\\.example$$/ reject whole}}"
    )
    assert verdict(await world.rcpt(stranger(), ALICE)) == "whole"
    world = World("smtpd_client_restrictions = cidr:{{80.62.0.0/16 reject cidr}}")
    assert verdict(await world.rcpt(stranger(), ALICE)) == "cidr"


async def test_incomplete_addresses_are_completed_first() -> None:
    main_cf = (
        "smtpd_recipient_restrictions = inline:{{bob@mail.ours.example=reject completed}}\nmydestination = static:x"
    )
    assert await answers(main_cf + "\nlocal_recipient_maps =", "bob") == [
        "554 5.7.1 <bob>: Recipient address rejected: completed"
    ]


async def test_the_null_sender_has_a_key() -> None:
    facts = session("192.0.2.7", sender="")
    denied = ["554 5.7.1 <>: Sender address rejected: null"]
    assert await answers("smtpd_sender_restrictions = inline:{{<>=reject null}}", ALICE, facts=facts) == denied
    main_cf = "smtpd_null_access_lookup_key = none\nsmtpd_sender_restrictions = inline:{{none=reject null}}"
    assert await answers(main_cf, ALICE, facts=facts) == denied


@pytest.mark.parametrize(
    ("stage", "name", "class_"),
    [
        ("client", "stranger.example[80.62.116.127]", "Client host"),
        ("helo", "client.example", "Helo command"),
        ("sender", "a@client.example", "Sender address"),
        ("recipient", ALICE, "Recipient address"),
    ],
)
async def test_a_failing_table(stage: str, name: str, class_: str) -> None:
    world = World(f"smtpd_{stage}_restrictions = fail:x")
    assert await world.rcpt(stranger(), ALICE) == f"451 4.3.5 <{name}>: {class_} rejected: Server configuration error"
    world = World(f"smtpd_{stage}_restrictions = warn_if_reject fail:x")
    assert await world.rcpt(stranger(), ALICE) == "OK"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every key that tables of parameters are asked for whole."""
    keys: list[str] = []
    find = Maps.find

    async def noted(maps: Maps, key: str, *, full_key: bool = True) -> Hit | None:
        if full_key:
            keys.append(key)
        return await find(maps, key, full_key=full_key)

    monkeypatch.setattr(Maps, "find", noted)
    return keys


EACH = "".join(f"smtpd_{stage}_restrictions = check_{stage}_access {{0}}\n" for stage in ("client", "helo", "sender"))


@pytest.mark.parametrize(
    ("table", "times"),
    [("inline:{other=x}", 1), ("regexp:{{/other/ x}}", 1), ("environ:x", 2), ("unix:passwd.byname", 2)],
)
async def test_files_are_asked_once_for_what_all_recipients_share(asked: list[str], table: str, times: int) -> None:
    world = World(EACH.format(table))
    facts = session("80.62.116.127")
    for recipient in (ALICE, "bob@ours.example"):
        assert await world.rcpt(facts, recipient) == "OK"
    assert asked.count(facts.helo_name or "") == times
    assert asked.count("a@client.example") == times
    assert asked.count("unknown") == times


async def test_each_transaction_asks_anew(asked: list[str]) -> None:
    world = World(EACH.format("inline:{other=x}"))
    facts = session("80.62.116.127")
    for _ in range(3):
        facts.effects = Effects()
        await world.rcpt(facts, ALICE)
    assert asked.count("a@client.example") == 3


async def test_another_sender_or_name_is_asked_for() -> None:
    world = World(EACH.format("inline:{bad@client.example=REJECT, bad.example=REJECT, 80.62.116.128=REJECT}"))
    facts = session("80.62.116.127")
    assert await world.rcpt(facts, ALICE) == "OK"
    facts.sender = "bad@client.example"
    assert "Sender address rejected" in await world.rcpt(facts, ALICE)
    facts.sender, facts.helo_name = "a@client.example", "bad.example"
    assert "Helo command rejected" in await world.rcpt(facts, ALICE)
    facts.helo_name, facts.client = "client.example", session("80.62.116.128").client
    assert "Client host rejected" in await world.rcpt(facts, ALICE)


async def test_what_is_found_holds_for_each_recipient() -> None:
    world = World(EACH.format("inline:{{a@client.example=WARN watched}, other=DUNNO}"))
    facts = session("80.62.116.127")
    for recipient in (ALICE, "bob@ours.example"):
        assert await world.rcpt(facts, recipient) == "OK"
        assert "watched" in "".join(world.take_log())


async def test_a_sender_without_a_domain_is_no_helo_name() -> None:
    # The same text in another place is another question.
    world = World(
        "append_at_myorigin = no\nsmtpd_sender_restrictions = check_sender_access inline:{plain=REJECT}\n"
        "smtpd_helo_restrictions = check_helo_access inline:{plain=REJECT}"
    )
    facts = session("80.62.116.127", sender="plain")
    assert await world.rcpt(facts, ALICE) == "OK"
    facts.helo_name = "plain"
    assert "Helo command rejected" in await world.rcpt(facts, ALICE)
