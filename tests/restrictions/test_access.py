"""Every form that the right-hand side of an access table may have; each was compared with Postfix 3.7.11."""

import pytest

from gatepost.restrictions.facts import Effects, SessionFacts
from tests.restrictions.world import ALICE, NOBODY, SERVER_ERROR, UNKNOWN_USER, World, stranger

REJECTED = "<alice@ours.example>: Recipient address rejected: "
TAIL = "; from=<a@client.example> to=<alice@ours.example> proto=SMTP helo=<client.example>"


def world_with(result: str, stage: str = "recipient") -> World:
    key = {"recipient": "alice@", "client": "80.62", "sender": "client.example", "helo": "client.example"}[stage]
    return World(f"smtpd_{stage}_restrictions = check_{stage}_access inline:{{ {{ {key} = {result} }} }}")


async def judged(result: str) -> tuple[str, SessionFacts, list[str]]:
    world = world_with(result)
    facts = stranger()
    return await world.rcpt(facts, ALICE), facts, world.take_log()


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        ("OK", "OK"),
        ("relay whatever", "OK"),
        ("123456", "OK"),
        ("554", "OK"),
        ("DUNNO", "OK"),
        ("dunno text", "OK"),
        ("REJECT", f"554 5.7.1 {REJECTED}Access denied"),
        ("reject no way", f"554 5.7.1 {REJECTED}no way"),
        ("REJECT 5.1.7 no", f"554 5.1.3 {REJECTED}no"),
        ("REJECT 9.1.1 no", f"554 5.7.1 {REJECTED}9.1.1 no"),
        ("DEFER", f"450 4.7.1 {REJECTED}Access denied"),
        ("DEFER 4.2.1 full", f"450 4.2.1 {REJECTED}full"),
        ("DEFER_IF_PERMIT", f"450 4.7.1 {REJECTED}Service unavailable"),
        ("DEFER_IF_PERMIT 4.3.1 disk", f"450 4.3.1 {REJECTED}disk"),
        ("DEFER_IF_REJECT", "OK"),
        ("550 text", f"550 5.7.1 {REJECTED}text"),
        ("421 4.7.0 bye", f"421 4.7.0 {REJECTED}bye"),
        ("599 x", f"599 5.7.1 {REJECTED}x"),
        ("550 4.2.1 x", f"550 5.2.1 {REJECTED}x"),
        ("550 5.1.1", f"550 5.1.1 {REJECTED}Access denied"),
        ("399 x", SERVER_ERROR),
        ("600 x", SERVER_ERROR),
        ("55 x", SERVER_ERROR),
        ("REJECT: text", SERVER_ERROR),
        ("bogus", SERVER_ERROR),
        ("permit", "OK"),
        (
            "reject_unauth_destination, defer",
            "450 4.3.2 <alice@ours.example>: Recipient address rejected: Try again later",
        ),
        ("check_client_access hash:/x", SERVER_ERROR),
        ("defer_if_reject", "OK"),
        ("warn_if_reject", "OK"),
    ],
)
async def test_decisions(result: str, reply: str) -> None:
    assert (await judged(result))[0] == reply


@pytest.mark.parametrize(
    ("result", "effects", "logged"),
    [
        ("HOLD", Effects(hold=True), "hold: {}triggers HOLD action"),
        ("hold for me", Effects(hold=True), "hold: {}for me"),
        ("DISCARD", Effects(discard=True), "discard: {}triggers DISCARD action"),
        ("DISCARD spam", Effects(discard=True), "discard: {}spam"),
        (
            "FILTER smtp:[127.0.0.1]:10025",
            Effects(filter="smtp:[127.0.0.1]:10025"),
            "filter: {}triggers FILTER smtp:[127.0.0.1]:10025",
        ),
        ("REDIRECT x@y.example", Effects(redirect="x@y.example"), "redirect: {}triggers REDIRECT x@y.example"),
        ("BCC x@y.example", Effects(bcc=["x@y.example"]), "bcc: {}triggers BCC x@y.example"),
        ("PREPEND X-A: b", Effects(prepend=["X-A: b"]), ""),
    ],
)
async def test_effects(result: str, effects: Effects, logged: str) -> None:
    reply, facts, lines = await judged(result)
    assert reply == "OK"
    assert facts.effects == effects
    about = logged.format("RCPT from stranger.example[80.62.116.127]: <alice@ours.example>: Recipient address ")
    assert lines == ([f"NOQUEUE: {about}{TAIL}"] if logged else [])


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ("INFO watch this", [f"NOQUEUE: info: RCPT from stranger.example[80.62.116.127]: watch this{TAIL}"]),
        ("WARN", [f"NOQUEUE: warn: RCPT from stranger.example[80.62.116.127]: {TAIL}"]),
        ("FILTER", ['warning: access table {} entry "alice@ours.example" has FILTER entry without value']),
        ("FILTER x", ['warning: access table {} entry "alice@ours.example" requires transport:destination']),
        ("REDIRECT x", ['warning: access table {} entry "alice@ours.example" requires user@domain target']),
        ("BCC", ['warning: access table {} entry "alice@ours.example" requires user@domain target']),
        ("PREPEND x y", ['warning: access table {} entry "alice@ours.example" requires header: text']),
    ],
)
async def test_what_only_shows_in_the_log(result: str, lines: list[str]) -> None:
    reply, facts, logged = await judged(result)
    assert reply == "OK"
    assert facts.effects == Effects()
    assert logged == [line.format(f"inline:{{ {{ alice@ = {result} }} }}") for line in lines]


async def test_hangup_says_nothing() -> None:
    reply, facts, logged = await judged("HANGUP")
    assert facts.effects.hangup
    assert reply.startswith("421 ")
    assert logged == [f"NOQUEUE: hangup: RCPT from stranger.example[80.62.116.127]: {TAIL}"]


async def test_hold_is_logged_once_and_prepend_each_time() -> None:
    world = World(
        "smtpd_sender_restrictions = inline:{client.example=HOLD}\n"
        "smtpd_helo_restrictions = inline:{{client.example=PREPEND X-A: b}}"
    )
    facts = stranger()
    await world.rcpt(facts, ALICE)
    await world.rcpt(facts, "bob@ours.example")
    assert len(world.take_log()) == 1
    assert facts.effects.prepend == ["X-A: b", "X-A: b"]


async def test_a_list_is_judged_for_the_table_s_subject() -> None:
    world = world_with("reject_unlisted_recipient, reject", "client")
    assert await world.rcpt(stranger(), NOBODY) == UNKNOWN_USER
    denied = "554 5.7.1 <stranger.example[80.62.116.127]>: Client host rejected: Access denied"
    assert await world.rcpt(stranger(), ALICE) == denied


async def test_actions_need_a_transaction() -> None:
    for result in ("HOLD", "DISCARD", "FILTER x:y", "REDIRECT a@b", "BCC a@b", "PREPEND X-A: b"):
        world = World(f"smtpd_delay_reject = no\nsmtpd_client_restrictions = inline:{{ {{80.62={result}}} }}")
        facts = stranger()
        facts.stage, facts.sender = "CONNECT", None
        assert await world.policy.client(facts) is None
        assert facts.effects == Effects()
        action = result.split()[0]
        assert world.take_log() == [
            f"warning: access table inline:{{ {{80.62={result}}} }}: with smtpd_delay_reject=no, action {action} is "
            "always skipped in Client host or Helo command restrictions"
        ]


async def test_actions_that_are_too_late_or_have_no_place() -> None:
    table = "inline:{{client.example=PREPEND X-A: b}}"
    world = World(f"smtpd_end_of_data_restrictions = check_sender_access {table}")
    facts = stranger()
    facts.stage = "END-OF-MESSAGE"
    assert await world.policy.end_of_data(facts) is None
    text = "action PREPEND must be used before smtpd_end_of_data_restrictions"
    assert world.take_log() == [f"warning: access table {table}: {text}"]
    world = World("smtpd_etrn_restrictions = inline:{x.example=HOLD}")
    facts.stage, facts.etrn_name = "ETRN", "x.example"
    assert await world.policy.etrn(facts) is None
    text = "action HOLD is unavailable in smtpd_etrn_restrictions"
    assert world.take_log() == [f"warning: access table inline:{{x.example=HOLD}}: {text}"]


async def test_endless_results_come_to_an_end() -> None:
    world = World(
        "smtpd_restriction_classes = c\nc = inline:{alice@=c}\nsmtpd_recipient_restrictions = inline:{alice@=c}"
    )
    assert await world.rcpt(stranger(), ALICE) == SERVER_ERROR
    assert world.take_log()[0] == ("warning: access table inline:{alice@=c} entry c causes unreasonable recursion")
