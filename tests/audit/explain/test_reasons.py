"""Every restriction has words for each of its answers."""

import pytest

import gatepost.restrictions.compile  # noqa: F401  registers them
from gatepost.audit.explain.reasons import reason
from gatepost.mail.reply import Reply
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_list import DnsList
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.restrictions.registry import Restriction, registered
from gatepost.restrictions.verdict import DUNNO, PERMIT, Reject, Verdict
from tests.smtpd.world import World

REFUSED = Reject(Reply(554, "5.7.1", "no"))
NO_OPINION_IMPOSSIBLE = ("permit", "reject", "defer", "defer_if_permit", "defer_if_reject")
NO_DECISION = ("sleep",)


def _context(facts: SessionFacts) -> Context:
    policy = World().env.policy
    assert isinstance(policy, AccessPolicy)
    return Context(policy.parts, facts)


def _facts() -> SessionFacts:
    facts = SessionFacts(Client("c.example", "192.0.2.7"))
    facts.helo_name, facts.sender, facts.recipient = "h.example", "a@s.example", "b@r.example"
    facts.sasl_username, facts.fingerprints = "jane", ("AA", "BB")
    return facts


def _argument(entry: Restriction) -> object:
    return {"domain": DnsList("list.example", "list.example"), "number": 3}.get(entry.argument)


def _is_a_sentence(text: str) -> bool:
    return len(text) > 8 and not text.endswith(".") and "None" not in text


@pytest.mark.parametrize("entry", registered(), ids=lambda entry: entry.name)
async def test_every_answer_has_a_reason(entry: Restriction) -> None:
    decision: Verdict = PERMIT if entry.name.startswith("permit") else REFUSED
    for facts in (_facts(), SessionFacts(Client("unknown", "192.0.2.7"))):
        ctx = _context(facts)
        if entry.name not in NO_OPINION_IMPOSSIBLE:
            assert _is_a_sentence(reason(entry, _argument(entry), ctx, DUNNO, str)), entry.name
    if entry.name not in NO_DECISION:
        assert _is_a_sentence(reason(entry, _argument(entry), _context(_facts()), decision, str)), entry.name


async def test_who_has_not_said_anything_is_told_of() -> None:
    entry = next(entry for entry in registered() if entry.name == "check_helo_access")
    ctx = _context(SessionFacts(Client("unknown", "192.0.2.7")))
    assert reason(entry, None, ctx, DUNNO, str) == "the client has not said HELO"
