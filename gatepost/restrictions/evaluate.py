"""The access policy of one listener: which lists are evaluated when, and what their verdicts come to (smtpd_check(3)).

At RCPT, with smtpd_delay_reject (the default): client, HELO and sender list, then relay and recipient list, then a
pending defer_if_permit, then the implicit reject_unlisted_recipient; all of it again for every recipient.
"""

from typing import Literal

from gatepost.config.settings import Settings
from gatepost.mail.probe_sender import ProbeSender
from gatepost.mail.reply import Reply
from gatepost.restrictions.check import CheckList
from gatepost.restrictions.compile import Bind, Compiler, bound, require_relay_protection
from gatepost.restrictions.context import Context
from gatepost.restrictions.facts import Effects, SessionFacts
from gatepost.restrictions.header_context import HeaderContext
from gatepost.restrictions.lists import judge, judge_one, refuse
from gatepost.restrictions.parameters import AccessParameters, access_parameters
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.ports import Ports
from gatepost.restrictions.reply import (
    CLIENT_HOST,
    DATA_COMMAND,
    END_OF_DATA,
    ETRN_COMMAND,
    HELO_COMMAND,
    RECIPIENT_ADDRESS,
    SENDER_ADDRESS,
)
from gatepost.restrictions.unlisted import check_recipient_listed, check_sender_listed
from gatepost.restrictions.verdict import DUNNO, Refused, Reject, Verdict

_SIMULATED_RELAY = "permit_mynetworks permit_sasl_authenticated permit_auth_destination"


class AccessPolicy:
    """Judges the commands of SMTP clients by the restriction lists of main.cf.

    Each coroutine answers None if the command is permitted, else the reply for the client; it has been logged. Code 421
    or 521: the server closes the connection after it; `facts.effects.hangup`: without it. Nothing is raised.
    """

    def __init__(self, params: AccessParameters, ports: Ports, bind: Bind = bound) -> None:
        self.params = params
        self.parts = PolicyParts(params, ports)
        compiler = Compiler(self.parts, bind)
        compiler.define_classes()
        self._compiler = compiler
        self._client_list = self._list("smtpd_client_restrictions", "check_client_access")
        self._helo_list = self._list("smtpd_helo_restrictions", "check_helo_access")
        self._sender_list = self._list("smtpd_sender_restrictions", "check_sender_access")
        # Without these nothing is judged, and nothing deferred, before the recipient is.
        self._judges_others = bool(
            self._client_list or self._helo_list or self._sender_list or params.smtpd_reject_unlisted_sender
        )
        self._simulate_relay = "smtpd_relay_restrictions" in params.unset
        if self._simulate_relay:
            self._relay_list = compiler.parameter_list(
                "smtpd_relay_restrictions", _SIMULATED_RELAY, "check_recipient_access"
            )
        else:
            self._relay_list = self._list("smtpd_relay_restrictions", "check_recipient_access")
        self._recipient_list = self._list("smtpd_recipient_restrictions", "check_recipient_access")
        self._data_list = self._list("smtpd_data_restrictions", "")
        self._end_of_data_list = self._list("smtpd_end_of_data_restrictions", "")
        self._etrn_list = self._list("smtpd_etrn_restrictions", "check_etrn_access")
        self._probe_sender = ProbeSender(
            params.address_verify_sender, params.address_verify_sender_ttl, ports.rewriter.rewrite_internal
        )
        self._probe_address = self._probe_sender.at(0).lower()
        self._header_context = HeaderContext(self.parts)

    @classmethod
    def compile(cls, settings: Settings, ports: Ports) -> "AccessPolicy":
        """Compile the lists of a service. Raises ConfigError: bad values, a class without a definition, relay
        and recipient list that protect nobody."""
        policy = cls(access_parameters(settings), ports)
        require_relay_protection(policy.parts)
        return policy

    def _list(self, parameter: str, default_access: str) -> CheckList:
        return self._compiler.parameter_list(parameter, getattr(self.params, parameter), default_access)

    @property
    def asks_policy_services(self) -> bool:
        """Does any list name a policy service?"""
        return self.parts.policy_services > 0

    def problems(self) -> list[tuple[str, str]]:
        """What is wrong with the lists: unknown names, items that are never reached. (parameter, text)."""
        return list(dict.fromkeys(self._compiler.problems))

    # The commands, as the server sees them.

    async def client(self, facts: SessionFacts) -> Reply | None:
        """A client has connected."""
        return None if self.params.smtpd_delay_reject else await self.judge_client(facts)

    async def helo(self, facts: SessionFacts) -> Reply | None:
        """HELO or EHLO."""
        return None if self.params.smtpd_delay_reject else await self.judge_helo(facts)

    async def mail(self, facts: SessionFacts) -> Reply | None:
        """MAIL FROM. A refusal takes the effects of the transaction with it."""
        if self.params.smtpd_delay_reject or self._is_probe(facts.sender):
            return None
        reply = await self.judge_sender(facts)
        if reply is not None and not facts.effects.hangup:
            facts.effects = Effects()
        return reply

    async def rcpt(self, facts: SessionFacts) -> Reply | None:
        """RCPT TO, for `facts.recipient`."""
        recipient = facts.recipient
        # RFC 5321 4.5.1: mail to postmaster without a domain is accepted, whatever the lists say.
        if recipient is None or (len(recipient) == 10 and recipient.lower() == "postmaster"):
            return None
        if self._probe_address and self._is_probe(recipient):
            return None
        ctx = Context(self.parts, facts)
        if self._judges_others and self.params.smtpd_delay_reject:
            verdict = await self._client(ctx)
            if not isinstance(verdict, Refused):
                verdict = await self._helo(ctx)
            if not isinstance(verdict, Refused):
                verdict = await self._sender(ctx)
            if isinstance(verdict, Refused):
                return verdict.reply
        return _reply(await self._recipient(ctx, recipient))

    async def vrfy(self, facts: SessionFacts) -> Reply | None:
        """VRFY: as RCPT, for `facts.recipient`."""
        return await self.rcpt(facts)

    async def data(self, facts: SessionFacts) -> Reply | None:
        """DATA, or the first BDAT."""
        return await self._message(facts, self._data_list, "DATA", DATA_COMMAND) if self._data_list else None

    async def end_of_data(self, facts: SessionFacts) -> Reply | None:
        """All of the message is here; nothing has been promised yet."""
        if not self._end_of_data_list:
            return None
        return await self._message(facts, self._end_of_data_list, "END-OF-MESSAGE", END_OF_DATA)

    async def etrn(self, facts: SessionFacts) -> Reply | None:
        """ETRN, for `facts.etrn_name`."""
        ctx = Context(self.parts, facts)
        if self.params.smtpd_delay_reject:
            verdict = await self._client(ctx)
            if not isinstance(verdict, Refused):
                verdict = await self._helo(ctx)
            if isinstance(verdict, Refused):
                return verdict.reply
        ctx.defer_if_permit = facts.client_pending.defer_if_permit or facts.helo_pending.defer_if_permit
        ctx.begin(facts.etrn_name or "", ETRN_COMMAND, "check_etrn_access")
        verdict = await judge(ctx, self._etrn_list) if self._etrn_list else DUNNO
        return _reply(_deferred(ctx, verdict))

    async def header_context(self, facts: SessionFacts, address: str) -> Literal["local", "remote"] | Reply:
        """How message headers are completed for the client connected from `address`; or a reply: cannot tell now."""
        return await self._header_context.of(facts, address)

    # The same without regard to smtpd_delay_reject.

    async def judge_client(self, facts: SessionFacts) -> Reply | None:
        """The client list alone, now."""
        return _reply(await self._client(Context(self.parts, facts)))

    async def judge_helo(self, facts: SessionFacts) -> Reply | None:
        """The HELO list alone, now."""
        return _reply(await self._helo(Context(self.parts, facts)))

    async def judge_sender(self, facts: SessionFacts) -> Reply | None:
        """The sender list alone, now."""
        return _reply(await self._sender(Context(self.parts, facts)))

    # The lists.

    async def _client(self, ctx: Context) -> Verdict:
        ctx.defer_if_permit = None
        verdict = DUNNO
        if self._client_list:
            ctx.begin(ctx.client.namaddr, CLIENT_HOST, "check_client_access")
            verdict = await judge(ctx, self._client_list)
        ctx.facts.client_pending.defer_if_permit = ctx.defer_if_permit
        return verdict

    async def _helo(self, ctx: Context) -> Verdict:
        facts = ctx.facts
        if ctx.helo_name is None:
            return DUNNO
        ctx.defer_if_permit = facts.client_pending.defer_if_permit
        verdict = DUNNO
        if self._helo_list:
            ctx.begin(ctx.helo_name, HELO_COMMAND, "check_helo_access")
            verdict = await judge(ctx, self._helo_list)
        facts.helo_pending.defer_if_permit = ctx.defer_if_permit
        return verdict

    async def _sender(self, ctx: Context) -> Verdict:
        facts, sender = ctx.facts, ctx.sender
        if sender is None:
            # VRFY without MAIL: a deferral that the last sender has left counts, as in Postfix, in the latest words.
            left = facts.sender_pending
            if left.defer_if_permit is not None:
                latest = facts.client_pending.defer_if_permit or facts.helo_pending.defer_if_permit
                left.defer_if_permit = latest or left.defer_if_permit
            return DUNNO
        ctx.defer_if_permit = facts.client_pending.defer_if_permit or facts.helo_pending.defer_if_permit
        verdict = DUNNO
        if self._sender_list:
            ctx.begin(sender, SENDER_ADDRESS, "check_sender_access")
            verdict = await judge(ctx, self._sender_list)
        facts.sender_pending.defer_if_permit = ctx.defer_if_permit
        if (
            self.params.smtpd_reject_unlisted_sender
            and sender
            and not ctx.sender_checked
            and not facts.effects.discard
            and not isinstance(verdict, Refused)
        ):
            if not self._sender_list:
                ctx.begin(sender, SENDER_ADDRESS, "check_sender_access")
            return await judge_one(ctx, check_sender_listed(ctx, sender))
        return verdict

    async def _recipient(self, ctx: Context, recipient: str) -> Verdict:
        facts, params = ctx.facts, self.params
        ctx.defer_if_permit = facts.sender_pending.defer_if_permit
        ctx.begin(recipient, RECIPIENT_ADDRESS, "check_recipient_access")
        # A defer_if_reject of the first of the two lists holds in the second as well.
        if params.smtpd_relay_before_recipient_restrictions:
            verdict = await (self._relay(ctx) if self._simulate_relay else judge(ctx, self._relay_list))
            if self._recipient_list and not isinstance(verdict, Refused):
                verdict = await judge(ctx, self._recipient_list)
        else:
            verdict = await judge(ctx, self._recipient_list) if self._recipient_list else DUNNO
            if not isinstance(verdict, Refused):
                verdict = await self._relay(ctx)
            elif "smtpd_relay_before_recipient_restrictions" in params.unset:
                ctx.ports.log.info(
                    "using backwards-compatible default setting smtpd_relay_before_recipient_restrictions=no "
                    f'to reject recipient "{recipient}" from client "{ctx.client.namaddr}"'
                )
        if ctx.defer_if_permit is not None:
            verdict = _deferred(ctx, verdict)
        if (
            params.smtpd_reject_unlisted_recipient
            and not ctx.recipient_checked
            and not facts.effects.discard
            and not isinstance(verdict, Refused)
        ):
            return await judge_one(ctx, check_recipient_listed(ctx, recipient))
        return verdict

    async def _relay(self, ctx: Context) -> Verdict:
        verdict = await judge(ctx, self._relay_list) if self._relay_list else DUNNO
        if self._simulate_relay and verdict is DUNNO:
            # compatibility_level < 1: the list is empty; say what today's default would have refused.
            ctx.ports.log.info(
                'using backwards-compatible default setting "smtpd_relay_restrictions = (empty)" to avoid '
                f'"Relay access denied" error for recipient "{ctx.recipient}" from client "{ctx.client.namaddr}"'
            )
        return verdict

    async def _message(self, facts: SessionFacts, checks: CheckList, name: str, reply_class: str) -> Reply | None:
        ctx = Context(self.parts, facts)
        if facts.recipient_count > 1:
            ctx.recipient = None  # it would speak for all of them
        ctx.begin(name, reply_class, "")
        return _reply(_deferred(ctx, await judge(ctx, checks)))

    def _is_probe(self, address: str | None) -> bool:
        """Our own probes' sender is not judged: two hosts that probe each other would never come to an end."""
        if not address or not self._probe_address:
            return False
        if self.params.address_verify_sender_ttl > 0:
            return self._probe_sender.is_valid(address, self.parts.ports.clock())
        return address.lower() == self._probe_address


def _deferred(ctx: Context, verdict: Verdict) -> Verdict:
    """Something that could not be looked up might have refused what is about to be permitted."""
    if ctx.defer_if_permit is not None and not isinstance(verdict, Refused):
        return refuse(ctx, Reject(ctx.defer_if_permit))
    return verdict


def _reply(verdict: Verdict) -> Reply | None:
    return verdict.reply if isinstance(verdict, Refused) else None
