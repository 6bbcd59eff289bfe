"""A session as the restrictions see it, from its connection to the end of its message."""

from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import SessionFacts


async def play(policy: AccessPolicy, facts: SessionFacts, helo: str | None, sender: str, recipient: str) -> bool:
    """A whole session, one recipient after another: is its message accepted, and sent to where it is addressed?"""
    if await policy.client(facts) is not None:
        return False
    if helo is not None:
        facts.stage, facts.helo_name = "EHLO", helo
        if await policy.helo(facts) is not None:
            return False
    facts.stage, facts.sender = "MAIL", sender
    if await policy.mail(facts) is not None:
        return False
    facts.stage, facts.recipient = "RCPT", recipient
    if await policy.rcpt(facts) is not None:
        return False
    facts.stage, facts.recipient_count = "DATA", 2
    if await policy.data(facts) is not None:
        return False
    facts.stage = "END-OF-MESSAGE"
    if await policy.end_of_data(facts) is not None:
        return False
    effects = facts.effects
    return not (effects.discard or effects.redirect or effects.hangup)
