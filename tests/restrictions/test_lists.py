"""warn_if_reject, defer_if_permit and defer_if_reject: what the evaluator alone knows."""

import pytest

from tests.restrictions.world import (
    ACCESS_DENIED,
    ALICE,
    ELSEWHERE,
    NOBODY,
    TRY_LATER,
    UNKNOWN_USER,
    World,
    answers,
    stranger,
)

IF_PERMIT = "450 4.7.0 <alice@ours.example>: Recipient address rejected: defer_if_permit requested"
IF_REJECT = "450 4.7.0 <alice@ours.example>: Recipient address rejected: defer_if_reject requested"
CLIENT_IF_PERMIT = "450 4.7.0 <stranger.example[80.62.116.127]>: Client host rejected: defer_if_permit requested"
TAIL = "; from=<a@client.example> to=<alice@ours.example> proto=SMTP helo=<client.example>"
FROM = "RCPT from stranger.example[80.62.116.127]: "


@pytest.mark.parametrize(
    ("items", "reply"),
    [
        ("permit", "OK"),
        ("reject", ACCESS_DENIED),
        ("defer", TRY_LATER),
        ("defer_if_permit", IF_PERMIT),
        ("defer_if_permit, permit", IF_PERMIT),
        ("defer_if_permit, reject", ACCESS_DENIED),
        ("defer_if_reject", "OK"),
        ("defer_if_reject, permit", "OK"),
        ("defer_if_reject, reject", IF_REJECT),
        ("defer_if_reject, defer", TRY_LATER),
        ("defer_if_reject, defer_if_permit, reject", IF_PERMIT),
        ("defer_if_permit, defer_if_reject, reject", IF_PERMIT),
        ("warn_if_reject reject", "OK"),
        ("warn_if_reject warn_if_reject reject, defer", TRY_LATER),
        ("warn_if_reject defer_if_permit", "OK"),
        ("warn_if_reject defer_if_reject, reject", IF_REJECT),
        ("defer_if_reject, warn_if_reject reject, reject", IF_REJECT),
        ("warn_if_reject cls, defer", TRY_LATER),
        ("cls", ACCESS_DENIED),
        ("defer_if_reject cls", IF_REJECT),
        ("inner, reject", "OK"),
        ("warn_if_reject check_client_access fail:x, reject", ACCESS_DENIED),
    ],
)
async def test_one_list(items: str, reply: str) -> None:
    classes = "smtpd_restriction_classes = cls, inner\ncls = reject\ninner = permit_mynetworks, permit warn_if_reject\n"
    assert await answers(f"{classes}smtpd_recipient_restrictions = {items}", ALICE) == [reply]


async def test_a_warning_is_logged_as_such() -> None:
    world = World("smtpd_recipient_restrictions = warn_if_reject reject, warn_if_reject defer_if_permit")
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert world.take_log() == [
        f"NOQUEUE: reject_warning: {FROM}{ACCESS_DENIED}{TAIL}",
        f"NOQUEUE: reject_warning: {FROM}{IF_PERMIT}{TAIL}",
    ]


async def test_a_class_is_warned_of_as_a_whole() -> None:
    classes = "smtpd_restriction_classes = cls\ncls = warn_if_reject reject, defer\n"
    world = World(f"{classes}smtpd_recipient_restrictions = warn_if_reject cls, reject_unlisted_recipient")
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert [line.split(":")[1] for line in world.take_log()] == [" reject_warning", " reject_warning"]


async def test_our_own_failures_are_never_mere_warnings() -> None:
    world = World("mynetworks = fail:x\nsmtpd_client_restrictions = warn_if_reject permit_mynetworks")
    assert (
        await world.rcpt(stranger(), ALICE) == "451 4.3.0 <stranger.example[80.62.116.127]>: Temporary lookup failure"
    )
    world = World("mynetworks = fail:x")
    assert await world.rcpt(stranger(), ALICE) == "451 4.3.0 <alice@ours.example>: Temporary lookup failure"


@pytest.mark.parametrize("stage", ["client", "helo", "sender"])
async def test_a_deferral_bites_at_rcpt_before_the_unknown_user(stage: str) -> None:
    replies = await answers(f"smtpd_{stage}_restrictions = defer_if_permit", ALICE, NOBODY, ELSEWHERE)
    assert [reply[:3] for reply in replies] == ["450", "450", "454"]
    assert replies[0].endswith("defer_if_permit requested")
    assert replies[2].endswith("Relay access denied")


async def test_the_first_reason_is_kept() -> None:
    lists = "\n".join(f"smtpd_{stage}_restrictions = defer_if_permit" for stage in ("client", "helo", "sender"))
    assert await answers(lists, ALICE) == [CLIENT_IF_PERMIT]


async def test_defer_if_reject_lives_in_its_list_and_from_relay_to_recipient() -> None:
    assert await answers("smtpd_client_restrictions = defer_if_reject\nsmtpd_helo_restrictions = reject", ALICE) == [
        "554 5.7.1 <client.example>: Helo command rejected: Access denied"
    ]
    both = "smtpd_relay_restrictions = defer_if_reject\nsmtpd_recipient_restrictions = reject"
    assert await answers(both, ALICE) == [IF_REJECT]
    assert await answers("smtpd_recipient_restrictions = defer_if_reject", NOBODY) == [
        "450 4.7.0 <nobody@ours.example>: Recipient address rejected: defer_if_reject requested"
    ]


async def test_soft_bounce() -> None:
    replies = await answers(
        "soft_bounce = yes\nsmtpd_relay_restrictions = reject_unauth_destination", NOBODY, ELSEWHERE
    )
    assert replies == [
        "4" + UNKNOWN_USER[1:].replace("5.1.1", "4.1.1"),
        "454 4.7.1 <bob@gmail.example>: Relay access denied",
    ]


async def test_permits_are_logged_on_demand() -> None:
    world = World(
        "smtpd_log_access_permit_actions = static:all\nsmtpd_sender_restrictions = permit\n"
        "smtpd_relay_restrictions = permit_auth_destination, reject\n"
        "smtpd_recipient_restrictions = inline:{alice@=ok}"
    )
    assert await world.rcpt(stranger(), ALICE) == "OK"
    assert [line.removeprefix(f"NOQUEUE: permit: {FROM}").removesuffix(TAIL) for line in world.take_log()] == [
        "action=permit for Sender address=a@client.example ",
        "action=permit_auth_destination for Recipient address=alice@ours.example ",
        "action=ok for Recipient address=alice@ours.example from inline:{alice@=ok}",
    ]
    world = World("smtpd_log_access_permit_actions = permit\nsmtpd_client_restrictions = defer_if_permit, permit")
    await world.rcpt(stranger(), ALICE)
    assert not any("permit: " in line for line in world.take_log())
