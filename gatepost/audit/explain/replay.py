"""A decision that was just made, gone through once more by a policy that takes notes.

The server's own policy is not slowed by notes. Tables and the answers of name service are those that it has had: both
are kept in memory at that moment. Policy services are not asked twice, since they may count, nor are addresses probed;
what must have come of that follows from the reply.
"""

import dataclasses
from collections.abc import Callable

import msgspec

from gatepost.audit.explain.asked import Asked
from gatepost.audit.explain.decision_files import Decision
from gatepost.audit.explain.inquiry import refusing
from gatepost.audit.explain.recorder import Event, NotedResolver, Recorder
from gatepost.audit.stand_ins import Silent, no_pause
from gatepost.mail.address_quoting import quote_822_local
from gatepost.restrictions.check import Run
from gatepost.restrictions.compile import bound
from gatepost.restrictions.context import Context
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import Effects, Pending, SessionFacts
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.verdict import DUNNO, Verdict
from gatepost.tables.noted import NotedTables

_POLICY_SERVICE = "check_policy_service"
_PROBES = ("reject_unverified_sender", "reject_unverified_recipient")
_OF_PROBES = ("unverified address", "undeliverable address")

_ASKED = "the policy service, a program of its own, has decided so"
_PROBED = "no delivery to the address has been found possible"


async def _not_asked(ctx: Context) -> Verdict:
    return DUNNO


def without_probes(entry: Restriction, argument: object, parameter: str) -> Run:
    """The restriction itself, unless it would have an address probed: that is mail to somebody."""
    return _not_asked if entry.name in _PROBES else bound(entry, argument, parameter)


def _without_effects(entry: Restriction, argument: object, parameter: str) -> Run:
    return _not_asked if entry.name == _POLICY_SERVICE else without_probes(entry, argument, parameter)


def asked_of(facts: SessionFacts) -> Asked:
    """A session's facts in the words of an inquiry."""
    sender, recipient = facts.sender, facts.recipient
    return Asked(
        facts.client,
        facts.helo_name,
        quote_822_local(sender) if sender else sender,
        quote_822_local(recipient) if recipient else recipient,
        facts.protocol,
        facts.sasl_username,
        facts.encrypted,
    )


def kept_facts(facts: SessionFacts, *, discarded: bool) -> SessionFacts:
    """A copy that the session does not change any more. `discarded`: by the decision that is to be gone through."""
    effects = facts.effects
    return msgspec.structs.replace(
        facts,
        effects=Effects(discard=effects.discard and not discarded),
        client_pending=Pending(facts.client_pending.defer_if_permit),
        helo_pending=Pending(facts.helo_pending.defer_if_permit),
        sender_pending=Pending(facts.sender_pending.defer_if_permit),
        policy_leases=None,
        dns_listings=None,
    )


class Replay:
    """Goes through decisions of one listener, one after the other."""

    def __init__(self, policy: AccessPolicy, where: Callable[[str], str], clock: Callable[[], float]) -> None:
        ports = policy.parts.ports
        tables = NotedTables.over(ports.tables)
        self._recorder = Recorder(tables, where, clock, _without_effects)
        self._policy = AccessPolicy(
            policy.params,
            dataclasses.replace(
                ports,
                tables=tables,
                dns=NotedResolver(ports.dns, self._recorder.asked_dns),
                log=Silent(),
                sleep=no_pause,
            ),
            self._recorder.bind,
        )

    async def explain(self, decision: Decision, facts: SessionFacts) -> None:
        """Add what each restriction said, and which one decided."""
        events = self._recorder.start()
        reply = await self._judge(facts)
        decision.events = events
        if reply == decision.reply or decision.verb != "reject":
            if decision.verb != "reject":
                acted = [number for number, event in enumerate(events) if _acts(event, decision.verb)]
                decision.decisive = acted[-1] if acted else -1
            else:
                decision.decisive, decision.implied = refusing(events)
            return
        probed = any(words in decision.reply for words in _OF_PROBES)
        wanted = _PROBES if probed else _POLICY_SERVICE
        asked = [number for number, event in enumerate(events) if event.restriction.startswith(wanted)]
        if asked:
            decision.decisive = asked[0]
            event = events[asked[0]]
            event.verdict, event.reply = "REJECT", decision.reply
            event.reason = _PROBED if probed else _ASKED
            del events[asked[0] + 1 :]
        else:
            decision.implied = "What was decided at that moment could not be found out any more a moment later."

    async def _judge(self, facts: SessionFacts) -> str:
        policy, stage = self._policy, facts.stage
        if stage in ("CONNECT", "XCLIENT"):
            reply = await policy.judge_client(facts)
        elif stage in ("HELO", "EHLO"):
            reply = await policy.judge_helo(facts)
        elif stage == "MAIL":
            reply = await policy.judge_sender(facts)
        elif stage in ("RCPT", "VRFY"):
            reply = await policy.rcpt(facts)
        elif stage == "ETRN":
            reply = await policy.etrn(facts)
        elif stage == "END-OF-MESSAGE":
            reply = await policy.end_of_data(facts)
        else:
            reply = await policy.data(facts)
        return "" if reply is None else reply.line()


def _acts(event: Event, verb: str) -> bool:
    return any(entry.value.lower().startswith(verb) for entry in event.entries)
