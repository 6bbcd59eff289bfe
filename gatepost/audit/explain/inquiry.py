"""A session, played through the code that serves SMTP, and what each restriction said on its way.

Beside the restrictions, everything else that a server answers is in it: HELO that is required, addresses that no mail
can be sent to, footers, soft bounces. What it leaves out is told in docs/explain.md.
"""

import dataclasses
from typing import Any, Literal

import msgspec

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.hints import hints
from gatepost.audit.explain.outside import outside
from gatepost.audit.explain.recorder import Event, Recorder
from gatepost.mail.reply import Reply
from gatepost.protocol.smtp_server import Command, SmtpServerProtocol
from gatepost.restrictions.facts import SessionFacts
from gatepost.smtpd.commands import execute
from gatepost.smtpd.environment import AccessPolicy, ServerEnvironment
from gatepost.smtpd.session import Session

Stage = Literal["CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE"]
STAGES: tuple[Stage, ...] = ("CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE")


class Explained(msgspec.Struct):
    """What came of a session. `reply` is empty if all of it is accepted; `stage` is where the refusal comes.

    `decisive`: the number in `events` of the restriction that refused; -1 if none in the lists did, then `implied` says
    what else. `log`: what the server would have logged. `effects`: what access tables want done with the message.
    """

    stage: str
    reply: str
    events: list[Event]
    decisive: int = -1
    implied: str = ""
    hints: list[str] = msgspec.field(default_factory=list)
    effects: list[str] = msgspec.field(default_factory=list)
    log: list[str] = msgspec.field(default_factory=list)


class _Watched:
    """A policy whose last refusal is known. What else a client is answered, the server itself has found."""

    def __init__(self, policy: AccessPolicy) -> None:
        self._policy = policy
        self.refusal: Reply | None = None
        self.effects: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._policy, name)

    async def client(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.client(facts))

    async def helo(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.helo(facts))

    async def mail(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.mail(facts))

    async def rcpt(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.rcpt(facts))

    async def data(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.data(facts))

    async def end_of_data(self, facts: SessionFacts) -> Reply | None:
        return self._noted(facts, await self._policy.end_of_data(facts))

    def _noted(self, facts: SessionFacts, reply: Reply | None) -> Reply | None:
        self.refusal = reply
        effects = facts.effects
        named: dict[str, bool | str] = {
            "HOLD": effects.hold,
            "DISCARD": effects.discard,
            "FILTER": effects.filter,
            "REDIRECT": effects.redirect,
        }
        found = [f"{name} {value}" if isinstance(value, str) else name for name, value in named.items() if value]
        found += [f"BCC {address}" for address in effects.bcc] + [f"PREPEND {text}" for text in effects.prepend]
        self.effects = found or self.effects
        return reply


async def explain(env: ServerEnvironment, recorder: Recorder, asked: Asked, until: Stage) -> Explained:
    """Play the session up to a stage. `env` serves nobody else; its policy is one that `recorder` watches."""
    policy = _Watched(env.policy)
    env = dataclasses.replace(env, policy=policy)
    played = _Played(env, asked)
    stage: Stage = "CONNECT"
    reply = ""
    for stage in STAGES[: STAGES.index(until) + 1]:
        reply = await played.play(stage)
        if played.hung_up:
            reply = "(the connection is closed without a word)"
        if reply:
            break
    told = Explained(stage, reply, recorder.events, effects=policy.effects)
    if reply:
        _find_reason(told, policy.refusal, played.hung_up, asked)
    return told


def _find_reason(told: Explained, refusal: Reply | None, hung_up: bool, asked: Asked) -> None:
    events = told.events
    if hung_up:
        told.decisive = len(events) - 1
    elif refusal is None:
        told.implied = outside(told.reply)
    else:
        told.decisive, told.implied = refusing(events)
    decisive = events[told.decisive] if told.decisive >= 0 else None
    told.hints = list(hints(decisive, asked, told.reply, events))


def refusing(events: list[Event]) -> tuple[int, str]:
    """Of a refusal by the lists: the restriction that refused, -1 if none did; and what the events do not tell."""
    counting = [(number, event.verdict) for number, event in enumerate(events) if not event.warning]
    refused = [number for number, verdict in counting if verdict in ("REJECT", "ERROR")]
    put_off = [number for number, verdict in counting if verdict == "DEFER_IF_PERMIT"]
    if refused:
        return innermost(events, refused[-1]), ""
    if put_off:
        return put_off[0], "It was put off until something permitted the mail; then something did."
    return -1, "The address is in no table of users (smtpd_reject_unlisted_recipient, or _sender)."


def innermost(events: list[Event], number: int) -> int:
    """Of a restriction and those that it has led to, the last one: the others say what it has said."""
    while number + 1 < len(events) and events[number + 1].depth > events[number].depth:
        number += 1
    return number


class _Played:
    """The session under way."""

    def __init__(self, env: ServerEnvironment, asked: Asked) -> None:
        self._asked = asked
        self._protocol = SmtpServerProtocol(env.parameters.line_length_limit)
        facts = SessionFacts(asked.client, encrypted=asked.encrypted)
        self._session = Session(env, self._protocol, env.parameters, facts)
        self._session.set_client(asked.client)

    @property
    def hung_up(self) -> bool:
        """Has an access table had the connection closed?"""
        return self._session.facts.effects.hangup

    async def play(self, stage: Stage) -> str:
        """The refusal at this stage; empty if the client may go on."""
        asked, session = self._asked, self._session
        if stage == "CONNECT":
            await session.greet()
            return self._refusal()
        if stage == "HELO" and asked.helo is not None:
            refusal = await self._command("EHLO" if asked.protocol == "ESMTP" else "HELO", asked.helo)
            if asked.sasl_username:
                session.facts.sasl_method, session.facts.sasl_username = "PLAIN", asked.sasl_username
            return refusal
        if stage == "MAIL" and asked.sender is not None:
            addresses = asked.sender + (asked.recipient or "")
            utf8 = "" if addresses.isascii() or asked.protocol != "ESMTP" else " SMTPUTF8"
            return await self._command("MAIL", f"FROM:<{asked.sender}>{utf8}")
        if asked.recipient is None:
            return ""
        if stage == "RCPT":
            return await self._command("RCPT", f"TO:<{asked.recipient}>")
        if stage == "DATA":
            return await self._command("DATA", "")
        if stage == "END-OF-MESSAGE":
            session.facts.stage = stage
            reply = await session.env.policy.end_of_data(session.facts)
            if reply is not None and not self.hung_up:
                await session.answer(reply)
        return self._refusal()

    async def _command(self, verb: str, argument: str) -> str:
        """As a client's line; it is taken as text, so that no name or address can be taken for another command."""
        await execute(self._session, Command(verb, argument, f"{verb} {argument}"))
        return self._refusal()

    def _refusal(self) -> str:
        """What waits to be sent, if it is a refusal; lines without their CRLF."""
        said = self._protocol.data_to_send().decode("utf-8", "replace").removesuffix("\r\n").replace("\r\n", "\n")
        return said if said[:1] in ("4", "5") else ""
