"""A session, judged by the real restrictions of a listener, and what each of them said."""

from typing import Literal

import msgspec

from gatepost.audit.explain.hints import hints
from gatepost.audit.explain.recorder import Event, Recorder
from gatepost.mail.reply import Reply
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import SessionFacts

Stage = Literal["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]
STAGES: tuple[Stage, ...] = ("CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE")


class Explained(msgspec.Struct):
    """What came of a session. `reply` is empty if all of it is accepted; `stage` is where the refusal comes.

    `decisive`: the number in `events` of the restriction that refused; -1 if none in the lists did. `log`: what the
    server would have logged. `effects`: what access tables want done with the message.
    """

    stage: str
    reply: str
    events: list[Event]
    decisive: int = -1
    implied: str = ""
    hints: list[str] = msgspec.field(default_factory=list)
    effects: list[str] = msgspec.field(default_factory=list)
    log: list[str] = msgspec.field(default_factory=list)


async def explain(policy: AccessPolicy, recorder: Recorder, facts: SessionFacts, until: Stage) -> Explained:
    """Play the session that `facts` describe (helo_name, sender, recipient as far as they are known) up to a stage."""
    helo, sender, recipient = facts.helo_name, facts.sender, facts.recipient
    facts.helo_name = facts.sender = facts.recipient = None
    reply: Reply | None = None
    stage: Stage = "CONNECT"
    for stage in STAGES[: STAGES.index(until) + 1]:
        facts.stage = "EHLO" if stage == "HELO" and facts.protocol == "ESMTP" else stage
        if stage == "CONNECT":
            reply = await policy.client(facts)
        elif stage == "HELO" and helo is not None:
            facts.helo_name = helo
            reply = await policy.helo(facts)
        elif stage == "MAIL" and sender is not None:
            facts.sender = sender
            reply = await policy.mail(facts)
        elif stage == "RCPT" and recipient is not None:
            facts.recipient = recipient
            reply = await policy.rcpt(facts)
        elif stage == "DATA" and recipient is not None:
            facts.recipient_count = 1
            reply = await policy.data(facts)
        elif stage == "END-OF-MESSAGE" and recipient is not None:
            reply = await policy.end_of_data(facts)
        if reply is not None or facts.effects.hangup:
            break
    facts.recipient = recipient
    return _explained(stage, reply, recorder.events, facts)


def _explained(stage: str, reply: Reply | None, events: list[Event], facts: SessionFacts) -> Explained:
    effects = facts.effects
    told = Explained(stage, "" if reply is None else reply.line(), events)
    if effects.hangup:
        told.reply = "(the connection is closed without a word)"
    named = {"HOLD": effects.hold, "DISCARD": effects.discard, "FILTER": effects.filter, "REDIRECT": effects.redirect}
    told.effects = [f"{name} {value}" if isinstance(value, str) else name for name, value in named.items() if value]
    told.effects += [f"BCC {address}" for address in effects.bcc] + [f"PREPEND {text}" for text in effects.prepend]
    if reply is None:
        return told
    deciding = [
        number for number, event in enumerate(events) if event.verdict in ("REJECT", "ERROR") and not event.warning
    ]
    if deciding:
        told.decisive = deciding[-1]
    else:
        put_off = [number for number, event in enumerate(events) if event.verdict == "DEFER_IF_PERMIT"]
        if put_off:
            told.decisive = put_off[0]
            told.implied = "it was put off until something permitted the mail; now something has"
        else:
            told.implied = "smtpd_reject_unlisted_recipient (or _sender): the address is in no table of users"
    decisive = events[told.decisive] if told.decisive >= 0 else None
    told.hints = list(hints(decisive, facts, told.reply))
    return told
