"""What the outcome of a probe leads to; texts and codes as in Postfix 3.7's smtpd(8)."""

from dataclasses import replace
from typing import Literal

import msgspec
import pytest

from gatepost.config.errors import ConfigError
from gatepost.restrictions.evaluate import AccessPolicy
from tests.restrictions.world import ALICE, World, line, stranger

Outcome = Literal["ok", "bad", "unknown", "trouble"]


class Found(msgspec.Struct, frozen=True):
    outcome: Outcome
    reason: str = "because"


class Verifier:
    def __init__(self, outcome: Outcome, reason: str = "because") -> None:
        self.found = Found(outcome, reason)
        self.asked: list[str] = []

    async def verify(self, address: str) -> Found:
        self.asked.append(address)
        return self.found


def world(main_cf: str, verifier: Verifier | None) -> World:
    made = World(main_cf)
    made.ports = replace(made.ports, verifier=verifier)
    made.policy = AccessPolicy(made.policy.params, made.ports)
    return made


async def of_recipient(main_cf: str, verifier: Verifier | None) -> str:
    made = world(f"smtpd_recipient_restrictions = reject_unverified_recipient\n{main_cf}", verifier)
    return await made.rcpt(stranger(), ALICE)


START = f"<{ALICE}>: Recipient address rejected:"


@pytest.mark.parametrize(
    ("outcome", "main_cf", "reply"),
    [
        ("ok", "", "OK"),
        ("bad", "", f"450 4.1.1 {START} unverified address: because"),
        ("unknown", "", f"450 4.1.1 {START} unverified address: because"),
        ("bad", "unverified_recipient_reject_code = 550", f"550 5.1.1 {START} undeliverable address: because"),
        ("unknown", "unverified_recipient_reject_code = 550", f"450 4.1.1 {START} unverified address: because"),
        ("unknown", "unverified_recipient_defer_code = 451", f"451 4.1.1 {START} unverified address: because"),
        ("unknown", "unverified_recipient_defer_code = 250", "OK"),
        ("bad", "unverified_recipient_defer_code = 250", f"450 4.1.1 {START} unverified address: because"),
        ("bad", "unverified_recipient_reject_code = 250", "OK"),
        ("bad", "unverified_recipient_reject_reason = No", f"450 4.1.1 {START} unverified address: No"),
        ("ok", "unverified_recipient_reject_reason = No", "OK"),
        ("trouble", "unverified_recipient_defer_code = 250", f"450 4.1.1 {START} address verification problem"),
    ],
)
async def test_replies(outcome: Outcome, main_cf: str, reply: str) -> None:
    assert await of_recipient(main_cf + "\n", Verifier(outcome)) == reply


async def test_senders_have_a_status_of_their_own() -> None:
    verifier = Verifier("bad")
    made = world(
        "smtpd_sender_restrictions = reject_unverified_sender\nunverified_sender_reject_code = 550\n", verifier
    )
    assert await made.rcpt(stranger(sender="a@x.example"), ALICE) == (
        "550 5.1.7 <a@x.example>: Sender address rejected: undeliverable address: because"
    )
    assert await made.rcpt(stranger(sender=""), ALICE) == "OK"
    assert await made.rcpt(stranger(sender=None), ALICE) == "OK"
    assert verifier.asked == ["a@x.example"]


async def test_without_a_service_it_is_a_problem() -> None:
    made = world("smtpd_recipient_restrictions = reject_unverified_recipient\n", None)
    assert await made.rcpt(stranger(), ALICE) == f"450 4.1.1 {START} address verification problem"
    assert "warning: verify service failure" in made.take_log()


async def test_a_deferral_waits_for_a_refusal_unless_told_otherwise() -> None:
    later = "smtpd_recipient_restrictions = reject_unverified_recipient, reject\n"
    assert (await world(later, Verifier("unknown")).rcpt(stranger(), ALICE)).startswith("554 5.7.1")
    at_once = later + "unverified_recipient_tempfail_action = defer\n"
    assert (await world(at_once, Verifier("unknown")).rcpt(stranger(), ALICE)).startswith("450 4.1.1")


@pytest.mark.parametrize("whose", ["sender", "recipient"])
def test_another_tempfail_action_is_a_mistake(whose: str) -> None:
    with pytest.raises(ConfigError, match="specify defer or defer_if_permit"):
        World(f"unverified_{whose}_tempfail_action = accept\n")


async def test_reasons_are_cut_in_temporary_refusals() -> None:
    assert (await of_recipient("", Verifier("bad", "x" * 600))).endswith(" " + "x" * 250)


async def test_the_sender_of_our_own_probes_is_not_judged() -> None:
    verifier = Verifier("bad")
    made = world("smtpd_recipient_restrictions = reject_unverified_recipient\n", verifier)
    facts = stranger()
    facts.recipient = "double-bounce@mail.ours.example"
    assert line(await made.policy.rcpt(facts)) == "OK"
    changing = "address_verify_sender = v@ours.example\naddress_verify_sender_ttl = 1000s\n"
    made = World(changing + "smtpd_recipient_restrictions = reject\n")
    made.ports = replace(made.ports, clock=lambda: 1_000_000.0)
    made.policy = AccessPolicy(made.policy.params, made.ports)
    assert await made.rcpt(facts, "V118@ours.example") == "OK"
    assert await made.rcpt(facts, "v117@ours.example") == "OK"
    assert (await made.rcpt(facts, "v116@ours.example")).startswith("554 ")
    assert (await made.rcpt(facts, "v@ours.example")).startswith("554 ")
