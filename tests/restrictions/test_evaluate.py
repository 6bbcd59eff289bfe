import pytest

from gatepost.restrictions.facts import Client, Effects, SessionFacts
from tests.restrictions.world import (
    ALICE,
    ELSEWHERE,
    NOBODY,
    UNKNOWN_USER,
    World,
    answers,
    line,
    local_client,
    session,
    stranger,
)

RELAY_DENIED = "454 4.7.1 <bob@gmail.example>: Relay access denied"
BOB = "bob@ours.example"


async def test_local_clients_relay_and_strangers_do_not() -> None:
    world = World()
    assert await world.rcpt(local_client(), ELSEWHERE) == "OK"
    assert world.take_log() == []
    assert await world.rcpt(stranger(), ELSEWHERE) == RELAY_DENIED
    assert world.take_log() == [
        f"NOQUEUE: reject: RCPT from stranger.example[80.62.116.127]: {RELAY_DENIED}; "
        "from=<a@client.example> to=<bob@gmail.example> proto=SMTP helo=<client.example>"
    ]


async def test_the_exception_in_mynetworks_does_not_relay() -> None:
    world = World("mynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24")
    assert await world.rcpt(session("192.168.87.2"), ELSEWHERE) == "OK"
    assert await world.rcpt(session("192.168.87.1"), ELSEWHERE) == RELAY_DENIED


async def test_strangers_write_to_our_users() -> None:
    world = World()
    for recipient in (ALICE, "any@relayed.example", "postmaster", "POSTMASTER", "postmaster@ours.example"):
        assert await world.rcpt(stranger(), recipient) == "OK"
    assert await world.rcpt(stranger(), NOBODY) == UNKNOWN_USER
    assert await world.rcpt(local_client(), NOBODY) == UNKNOWN_USER


@pytest.mark.parametrize(
    ("main_cf", "replies"),
    [
        ("", ["OK", "550", "454"]),
        ("smtpd_relay_restrictions = reject_unauth_destination", ["OK", "550", "554"]),
        ("relay_domains_reject_code = 550", ["OK", "550", "450"]),
        ("smtpd_recipient_restrictions = reject", ["554", "554", "454"]),
        ("smtpd_recipient_restrictions = reject\ncompatibility_level = 2", ["554", "554", "554"]),
        ("smtpd_reject_unlisted_recipient = no", ["OK", "OK", "454"]),
        ("receive_override_options = no_unknown_recipient_checks", ["OK", "OK", "454"]),
        ("smtpd_client_restrictions = permit", ["OK", "550", "454"]),
        ("smtpd_client_restrictions = reject_unauth_destination", ["OK", "550", "554"]),
        ("smtpd_helo_restrictions = check_recipient_access inline:{alice@=defer}", ["450", "550", "454"]),
    ],
)
async def test_order_of_lists(main_cf: str, replies: list[str]) -> None:
    got = await answers(main_cf, ALICE, NOBODY, ELSEWHERE)
    assert [reply[:3].strip() for reply in got] == replies


async def test_discard_ends_everything_with_a_permit() -> None:
    world = World("smtpd_sender_restrictions = inline:{client.example=DISCARD}\nsmtpd_recipient_restrictions = reject")
    facts = stranger()
    assert await world.rcpt(facts, ELSEWHERE) == "OK"
    assert await world.rcpt(facts, NOBODY) == "OK"
    assert facts.effects.discard
    assert [line.split(":")[1] for line in world.take_log()] == [" discard"]


async def test_without_delay_each_command_is_judged_at_once() -> None:
    world = World(
        "smtpd_delay_reject = no\nsmtpd_client_restrictions = inline:{10.0.0.1=reject}\n"
        "smtpd_helo_restrictions = inline:{bad.example=reject}\n"
        "smtpd_sender_restrictions = inline:{client.example=HOLD, bad.example=reject}"
    )
    assert await world.policy.client(stranger()) is None
    facts = SessionFacts(Client("unknown", "10.0.0.1"))
    assert line(await world.policy.client(facts)) == (
        "554 5.7.1 <unknown[10.0.0.1]>: Client host rejected: Access denied"
    )
    assert world.take_log() == [
        "NOQUEUE: reject: CONNECT from unknown[10.0.0.1]: "
        "554 5.7.1 <unknown[10.0.0.1]>: Client host rejected: Access denied; proto=SMTP"
    ]
    facts = stranger()
    facts.stage, facts.helo_name = "HELO", "bad.example"
    assert line(await world.policy.helo(facts)) == "554 5.7.1 <bad.example>: Helo command rejected: Access denied"
    facts.sender = "x@bad.example"
    facts.effects.hold = True
    assert line(await world.policy.mail(facts)).startswith("554 5.7.1 <x@bad.example>: Sender")
    assert facts.effects == Effects()
    facts.sender = "x@client.example"
    assert await world.policy.mail(facts) is None
    assert facts.effects.hold
    assert await world.rcpt(facts, ALICE) == "OK"


async def test_with_delay_nothing_is_judged_before_rcpt() -> None:
    lists = "\n".join(f"smtpd_{stage}_restrictions = reject" for stage in ("client", "helo", "sender"))
    world = World(lists)
    facts = stranger()
    for judge in (world.policy.client, world.policy.helo, world.policy.mail):
        assert await judge(facts) is None
    assert line(await world.policy.judge_sender(facts)).startswith("554 5.7.1 <a@client.example>: Sender")
    assert (await world.rcpt(facts, ALICE)).startswith("554 5.7.1 <stranger.example[80.62.116.127]>: Client host")


async def test_a_deferral_without_delay_travels_to_rcpt() -> None:
    world = World("smtpd_delay_reject = no\nsmtpd_client_restrictions = defer_if_permit")
    facts = stranger()
    for judge in (world.policy.client, world.policy.helo, world.policy.mail):
        assert await judge(facts) is None
    assert (await world.rcpt(facts, ALICE)).startswith("450 4.7.0 <stranger.example[80.62.116.127]>")


async def test_unlisted_senders() -> None:
    unknown = "550 5.1.0 <nobody@ours.example>: Sender address rejected: User unknown in local recipient table"
    facts = session("80.62.116.127", sender=NOBODY)
    assert await answers("", ALICE, facts=facts) == ["OK"]
    for more in ("", "\nsmtpd_sender_restrictions = permit", "\nsmtpd_sender_restrictions = reject_unlisted_sender"):
        assert await answers("smtpd_reject_unlisted_sender = yes" + more, ALICE, facts=facts) == [unknown]
    null = session("80.62.116.127", sender="")
    assert await answers("smtpd_reject_unlisted_sender = yes", ALICE, facts=null) == ["OK"]


async def test_an_explicit_check_replaces_the_implicit_one() -> None:
    world = World("smtpd_recipient_restrictions = warn_if_reject reject_unlisted_recipient")
    assert await world.rcpt(stranger(), NOBODY) == UNKNOWN_USER
    assert [entry.split(":")[1] for entry in world.take_log()] == [" reject_warning", " reject"]
    world = World("smtpd_recipient_restrictions = reject_unlisted_recipient, defer")
    assert await world.rcpt(stranger(), NOBODY) == UNKNOWN_USER
    assert len(world.take_log()) == 1


async def test_data_sees_a_single_recipient_only() -> None:
    world = World("smtpd_data_restrictions = check_recipient_access inline:{alice@=reject}")
    facts = stranger(recipient=ALICE, recipient_count=1, queue_id="3F2A41C0B4E")
    facts.stage = "DATA"
    denied = "554 5.7.1 <alice@ours.example>: Recipient address rejected: Access denied"
    assert line(await world.policy.data(facts)) == denied
    assert world.take_log()[0].startswith(f"3F2A41C0B4E: reject: DATA from stranger.example[80.62.116.127]: {denied}")
    facts.recipient_count = 2
    assert await world.policy.data(facts) is None


async def test_end_of_data() -> None:
    world = World("smtpd_end_of_data_restrictions = defer_if_permit")
    facts = stranger(recipient=ALICE, recipient_count=2)
    facts.stage = "END-OF-MESSAGE"
    deferred = "450 4.7.0 <END-OF-MESSAGE>: End-of-data rejected: defer_if_permit requested"
    assert line(await world.policy.end_of_data(facts)) == deferred
    assert world.take_log() == [
        f"NOQUEUE: reject: END-OF-MESSAGE from stranger.example[80.62.116.127]: {deferred}; "
        "from=<a@client.example> proto=SMTP helo=<client.example>"
    ]
    assert await World().policy.end_of_data(facts) is None
    assert await World().policy.data(facts) is None


async def test_etrn() -> None:
    facts = stranger(etrn_name="sub.foo.example")
    facts.stage = "ETRN"
    rejected = "554 5.7.1 <sub.foo.example>: Etrn command rejected: Access denied"
    world = World("smtpd_etrn_restrictions = inline:{foo.example=reject}")
    assert line(await world.policy.etrn(facts)) == rejected
    assert await World().policy.etrn(facts) is None
    client = World("smtpd_client_restrictions = reject")
    assert line(await client.policy.etrn(facts)).startswith("554 5.7.1 <stranger.example[80.62.116.127]>: Client host")
    deferred = World("smtpd_client_restrictions = defer_if_permit")
    assert line(await deferred.policy.etrn(facts)).startswith("450 4.7.0 <stranger.example[80.62.116.127]>")


async def test_vrfy_is_judged_like_rcpt() -> None:
    world = World()
    facts = stranger(recipient=NOBODY)
    facts.stage, facts.sender = "VRFY", None
    assert line(await world.policy.vrfy(facts)) == UNKNOWN_USER
    facts.recipient = ALICE
    assert await world.policy.vrfy(facts) is None


async def test_our_own_probes_pass() -> None:
    lists = "smtpd_recipient_restrictions = reject\nsmtpd_sender_restrictions = reject\nsmtpd_delay_reject = no"
    world = World(lists)
    probe = "double-bounce@mail.ours.example"
    assert await world.rcpt(stranger(), probe) == "OK"
    assert (await world.rcpt(stranger(), "double-bounce@elsewhere.example"))[:3] == "454"
    assert await world.policy.mail(session("192.0.2.1", sender=probe.upper())) is None
    assert await world.policy.mail(session("192.0.2.1", sender="")) is not None


async def test_an_old_compatibility_level_only_tells() -> None:
    base = "myhostname = m.ours.example\nmydestination = ours.example\nalias_maps =\nlocal_recipient_maps =\n"
    world = World(
        "smtpd_recipient_restrictions = cls, check_sender_access inline:{a=reject}\n"
        "smtpd_restriction_classes = cls\ncls = reject_unauth_destination",
        base=base,
    )
    assert (await world.rcpt(stranger(), ELSEWHERE))[:3] == "554"
    assert world.take_log()[1:] == [
        "using backwards-compatible default setting smtpd_relay_before_recipient_restrictions=no to reject "
        f'recipient "{ELSEWHERE}" from client "stranger.example[80.62.116.127]"'
    ]
    world = World(
        "mynetworks = 10.0.0.0/8\nsmtpd_recipient_restrictions = inline:{gmail.example=ok}, reject", base=base
    )
    assert await world.rcpt(stranger(), ELSEWHERE) == "OK"
    assert world.take_log() == [
        'using backwards-compatible default setting "smtpd_relay_restrictions = (empty)" to avoid '
        f'"Relay access denied" error for recipient "{ELSEWHERE}" from client "stranger.example[80.62.116.127]"'
    ]
    world = World("smtpd_recipient_restrictions = permit_mynetworks, reject", base=base)
    assert await world.rcpt(session("127.0.0.5"), ALICE) == "OK"
    told = "using backwards-compatible default setting mynetworks_style=subnet to permit request from client "
    assert world.take_log()[0].startswith(told)
    assert await world.rcpt(session("127.0.0.1"), "x@sub.ours.example") == "OK"
    assert world.take_log() == [
        "using backwards-compatible default setting relay_domains=$mydestination to accept mail for address "
        '"x@sub.ours.example"'
    ]
    world = World(
        "smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_reject_unlisted_recipient = no", base=base
    )
    assert await world.rcpt(stranger(), "x@sub.ours.example") == "OK"
    assert world.take_log() == [
        "using backwards-compatible default setting relay_domains=$mydestination to accept mail for domain "
        '"sub.ours.example"'
    ]


async def test_who_is_logged_in_does_not_show_in_the_log() -> None:
    world = World("smtpd_recipient_restrictions = reject")
    facts = stranger(sasl_method="PLAIN", sasl_username="joe", sasl_sender="joe@ours.example")
    await world.rcpt(facts, "a b@ours.example")
    assert world.take_log()[0].endswith('to=<"a b"@ours.example> proto=SMTP helo=<client.example>')
