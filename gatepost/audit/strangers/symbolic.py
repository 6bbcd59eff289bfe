"""The restrictions, asked about all strangers at once.

The real lists are compiled and evaluated; only what a single restriction answers is worked out here: for which of the
values that are left it permits, for which it has no opinion. A refusal leads nowhere, so it is not followed, unless
warn_if_reject makes it a warning.

What can only refuse (reject_*, most check_*_mx_access) is taken to let the stranger pass: what he says is his choice,
and so is much of what a name server says. `confirm` plays what comes of it through the real restrictions.
"""

from collections.abc import Iterable
from typing import NamedTuple

from gatepost.audit.strangers.entries import (
    Find,
    by_meaning,
    in_domain,
    meaning_of,
    of_address,
    of_recipient,
    of_sender,
)
from gatepost.audit.strangers.keys import Content, Unknown, content_of
from gatepost.audit.strangers.paths import Path, Step, Values
from gatepost.audit.strangers.universe import NOBODY, Keys, Universe
from gatepost.restrictions.access import apply_result
from gatepost.restrictions.check import Run
from gatepost.restrictions.context import Context
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.reply import CLIENT_HOST, HELO_COMMAND, RECIPIENT_ADDRESS, SENDER_ADDRESS
from gatepost.restrictions.verdict import DUNNO, PERMIT, CannotTell, Verdict
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.match_items import NameItem, TableItem
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import LookupTemporaryFailure

# Restrictions of no argument whose answer is their own, whoever asks.
_AS_THEY_ARE = frozenset(("reject", "defer", "defer_if_permit", "defer_if_reject", "sleep"))
_BY_RECIPIENT = frozenset(("permit_auth_destination", "reject_unauth_destination", "defer_unauth_destination"))
_CERTIFICATES = frozenset(("permit_tls_clientcerts", "permit_tls_all_clientcerts"))
_FIRST_LISTS = frozenset(("smtpd_client_restrictions", "smtpd_helo_restrictions", "smtpd_sender_restrictions"))


class Turn(NamedTuple):
    """One way in which a restriction may turn out: for these values, under this assumption, for whom is trusted so."""

    verdict: Verdict | str
    narrowed: dict[str, Values]
    why: str = ""
    assumption: str = ""
    trusted_as: str = ""


class Symbolic:
    """`bind` is for AccessPolicy. Set `universe`, then `path` before each evaluation.

    `ask`: tables whose keys cannot be listed are asked about single values, too.
    """

    def __init__(self, *, ask: bool = True) -> None:
        self.ask = ask
        self.named: list[tuple[Restriction, object]] = []
        self.universe: Universe
        self.path: Path
        self._answers: dict[object, dict[object, Verdict | None]] = {}
        self._entries: dict[object, dict[str, Hit | None]] = {}
        self._unknown: dict[Maps, list[Unknown]] = {}

    def bind(self, entry: Restriction, argument: object, parameter: str) -> Run:
        """The check that stands for all that the restriction may answer."""
        self.named.append((entry, argument))
        asked = _Asked(self, entry, argument, parameter)
        return asked.run

    def keys(self, parts: PolicyParts) -> Keys:
        """What the lists that were compiled look up."""
        keys = Keys()
        keys.add_list(parts.mynetworks)
        for entry, argument in self.named:
            if isinstance(argument, Maps) and entry.name in _CONTENT:
                content: Content = getattr(keys, _CONTENT[entry.name])
                for table in argument.tables:
                    content.add(table)
        return keys

    def answers(self, of: object) -> dict[object, Verdict | None]:
        """What a restriction or list said of single values, once for all paths."""
        return self._answers.setdefault(of, {})

    def entries(self, maps: Maps, find: object) -> dict[str, Hit | None]:
        """What tables have for single values, once for all paths."""
        return self._entries.setdefault((maps, find), {})

    def unknown(self, maps: Maps) -> list[Unknown]:
        """The tables of a list whose keys nobody can list."""
        if maps not in self._unknown:
            self._unknown[maps] = content_of(maps).unknown
        return self._unknown[maps]


_CONTENT = {
    "check_client_access": "client",
    "check_helo_access": "helo",
    "check_sender_access": "sender",
    "check_recipient_access": "recipient",
}


class _Asked:
    """One restriction where it stands in a list."""

    def __init__(self, prover: Symbolic, entry: Restriction, argument: object, parameter: str) -> None:
        self._prover = prover
        self._entry = entry
        self._argument = argument
        self._parameter = parameter
        self._text = entry.name
        if isinstance(argument, Maps):
            self._text = f"{entry.name} {argument.parameter}"

    async def run(self, ctx: Context) -> Verdict:
        name = self._entry.name
        if name == "permit":
            return await self._take(ctx, [Turn(PERMIT, {}, "it permits everybody")])
        if name in _AS_THEY_ARE:
            return await self._real(ctx)
        if name in _BY_RECIPIENT:
            return DUNNO if ctx.recipient is None else await self._take(ctx, await self._by_recipient(ctx))
        turns = await self._turns(ctx, name)
        return DUNNO if turns is None else await self._take(ctx, turns)

    async def _real(self, ctx: Context) -> Verdict:
        function = self._entry.function
        verdict: Verdict = await (function(ctx, self._argument) if self._entry.argument else function(ctx))
        return verdict

    async def _turns(self, ctx: Context, name: str) -> list[Turn] | None:
        """How it may turn out; None: it has no opinion, or can only refuse."""
        if name == "permit_mynetworks":
            return await self._by_networks(ctx)
        if name == "permit_inet_interfaces":
            return await self._by_interface(ctx)
        if name == "permit_sasl_authenticated":
            return _whom("clients that have authenticated") if ctx.params.smtpd_sasl_auth_enable else None
        if name == "check_sasl_access":
            return _whom(f"logins that {self._argument_text} permits") if ctx.params.smtpd_sasl_auth_enable else None
        if name in _CERTIFICATES or name == "check_ccert_access":
            return self._by_certificate(ctx, name)
        if name == "permit_mx_backup":
            return await self._as_backup(ctx)
        if name == "check_policy_service":
            service = getattr(self._argument, "text", "")
            return _if(f"the policy service {service} answers OK", f"{self._text} {service}")
        if name in ("permit_dnswl_client", "permit_rhswl_client"):
            # They permit no relaying; in the lists before they only spare the client what follows.
            listed = f"the list of {name} has the client"
            return _if(listed, name) if self._parameter in _FIRST_LISTS else None
        if name in _CONTENT and isinstance(self._argument, Maps):
            return await self._by_table(ctx, name, self._argument)
        return None

    @property
    def _argument_text(self) -> str:
        return self._argument.parameter if isinstance(self._argument, Maps) else ""

    async def _take(self, ctx: Context, turns: list[Turn]) -> Verdict:
        """One of the ways that are open; raises DeadEnd if none is."""
        path = self._prover.path
        left = [(turn, narrowed) for turn in turns if (narrowed := _left(path, turn)) is not None]
        turn, narrowed = left[path.pick(len(left))]
        path.narrowed.update(narrowed)
        if turn.assumption:
            path.assumptions.append(turn.assumption)
        if turn.trusted_as:
            path.trusted_as.append(turn.trusted_as)
        verdict = turn.verdict
        if isinstance(verdict, str):
            value = verdict
            name, reply_class = _ABOUT.get(self._entry.name, ("client", CLIENT_HOST))
            path.steps.append(Step(self._text, self._parameter, turn.why))
            return await apply_result(ctx, value, self._argument_text, name, name, reply_class)
        if verdict is PERMIT:
            path.steps.append(Step(self._text, self._parameter, turn.why))
        return verdict

    # What a client is.

    async def _by_networks(self, ctx: Context) -> list[Turn]:
        matches = ctx.parts.mynetworks
        left = self._prover.path.narrowed
        plain = not any(isinstance(item, NameItem | TableItem) for item, _ in matches.items())
        groups: dict[Values, set[str]] = {}
        for name in [NOBODY] if plain else left["name"]:
            inside = [address for address in left["address"] if await self._is_in(matches, name, address)]
            groups.setdefault(frozenset(inside), set()).add(name)
        turns = []
        for inside_of, alike in groups.items():
            names = left["name"] if plain else frozenset(alike)
            turns.append(Turn(PERMIT, {"name": names, "address": inside_of}, "mynetworks"))
            turns.append(Turn(DUNNO, {"name": names, "address": left["address"] - inside_of}))
        return turns

    async def _is_in(self, matches: MatchList, name: str, address: str) -> bool:
        answers = self._prover.answers(matches)
        key = (name, address)
        if key not in answers:
            try:
                answers[key] = PERMIT if await matches.match_host(name, address) else None
            except LookupTemporaryFailure:
                answers[key] = None  # 451: nobody is let in
        return answers[key] is PERMIT

    async def _by_interface(self, ctx: Context) -> list[Turn]:
        every, own = self._prover.path.narrowed["address"], ctx.ports.own_addresses
        return [
            Turn(PERMIT, {"address": every & own}, "this host's own addresses"),
            Turn(DUNNO, {"address": every - own}),
        ]

    def _by_certificate(self, ctx: Context, name: str) -> list[Turn] | None:
        if name == "permit_tls_all_clientcerts":
            return _whom("clients with any certificate that can be verified")
        if name == "permit_tls_clientcerts":
            return _whom("clients whose certificate is in relay_clientcerts") if ctx.params.relay_clientcerts else None
        return _whom("clients whose certificate check_ccert_access permits")

    # Where the mail goes.

    async def _by_recipient(self, ctx: Context) -> list[Turn]:
        groups: dict[str, set[str]] = {}
        answers = self._prover.answers(self._entry.function)
        verdicts: dict[str, Verdict] = {}
        for recipient in self._prover.path.narrowed["recipient"]:
            if recipient not in answers:
                answers[recipient] = await self._verdict_for(ctx, recipient)
            verdict = answers[recipient]
            if verdict is None:
                continue
            kind = "permit" if verdict is PERMIT else "dunno" if verdict is DUNNO else "refuse"
            groups.setdefault(kind, set()).add(recipient)
            verdicts[kind] = verdict
        if not ctx.warning:
            groups.pop("refuse", None)
        why = "the destination counts as our own"
        return [Turn(verdicts[kind], {"recipient": frozenset(who)}, why) for kind, who in sorted(groups.items())]

    async def _verdict_for(self, ctx: Context, recipient: str) -> Verdict | None:
        """What is said of one recipient; None if it cannot be told, which is 451."""
        facts = SessionFacts(Client(NOBODY, "203.0.113.7"), stage="RCPT", sender="", recipient=recipient)
        try:
            verdict: Verdict = await self._entry.function(Context(ctx.parts, facts))
        except (CannotTell, LookupTemporaryFailure):
            return None
        return verdict

    async def _as_backup(self, ctx: Context) -> list[Turn] | None:
        if ctx.recipient is None:
            return None
        limit = " from permit_mx_backup_networks" if ctx.params.permit_mx_backup_networks else ""
        return _if(f"a foreign domain names this host{limit} as its mail exchanger", self._text)

    # Tables.

    async def _by_table(self, ctx: Context, name: str, maps: Maps) -> list[Turn] | None:
        if name == "check_client_access":
            turns = await self._by_client_table(ctx, maps)
        elif name == "check_helo_access":
            if ctx.helo_name is None:
                return None
            turns = await self._by_one(ctx, maps, "helo", in_domain)
        elif name == "check_sender_access":
            if ctx.sender is None:
                return None
            turns = await self._by_one(ctx, maps, "sender", of_sender)
        else:
            if ctx.recipient is None:
                return None
            turns = await self._by_one(ctx, maps, "recipient", of_recipient)
        unlisted = list(self._unlisted(maps))
        if self._prover.unknown(maps) and not any(turn.verdict is DUNNO for turn in (*turns, *unlisted)):
            # All that was tried is in it; there may be something that is not.
            unlisted.append(Turn(DUNNO, {}, "", f"{maps.parameter} has nothing for some stranger"))
        return [*turns, *unlisted]

    async def _by_client_table(self, ctx: Context, maps: Maps) -> list[Turn]:
        left = self._prover.path.narrowed
        by_name = await self._found(ctx, maps, left["name"], in_domain)
        turns = [
            Turn(verdict, {"name": names}, why)
            for verdict, names, why in by_meaning(by_name, warning=ctx.warning)
            if verdict is not None
        ]
        nameless = frozenset(name for name, hit in by_name.items() if hit is None)
        by_address = await self._found(ctx, maps, left["address"], of_address)
        for verdict, addresses, why in by_meaning(by_address, warning=ctx.warning):
            turns.append(Turn(verdict or DUNNO, {"name": nameless, "address": addresses}, why))
        return turns

    async def _by_one(self, ctx: Context, maps: Maps, what: str, find: Find) -> list[Turn]:
        found = await self._found(ctx, maps, self._prover.path.narrowed[what], find)
        return [
            Turn(verdict or DUNNO, {what: values}, why)
            for verdict, values, why in by_meaning(found, warning=ctx.warning)
        ]

    async def _found(self, ctx: Context, maps: Maps, values: Values, find: Find) -> dict[str, Hit | None]:
        """The entries for these values; those for which the table fails (451) are not in it."""
        if not self._prover.ask and any(table.values is None for table in self._prover.unknown(maps)):
            return dict.fromkeys(values)
        answers = self._prover.entries(maps, find)
        found: dict[str, Hit | None] = {}
        for value in values:
            if value not in answers:
                try:
                    answers[value] = await find(ctx, maps, value)
                except (CannotTell, LookupTemporaryFailure):
                    continue
            found[value] = answers[value]
        return found

    def _unlisted(self, maps: Maps) -> Iterable[Turn]:
        """What tables may answer whose keys nobody can list."""
        for table in self._prover.unknown(maps):
            if table.values is None:
                yield Turn(PERMIT, {}, table.table, f"{table.table} answers OK")
                yield Turn(DUNNO, {})
                continue
            for text, place in table.values:
                meaning = meaning_of(text, warning=False)
                if meaning is not None and meaning is not DUNNO:
                    yield Turn(meaning, {}, place, f"{place} ({text}) matches")


_ABOUT = {
    "check_helo_access": ("helo", HELO_COMMAND),
    "check_sender_access": ("sender", SENDER_ADDRESS),
    "check_recipient_access": ("recipient", RECIPIENT_ADDRESS),
}


def _left(path: Path, turn: Turn) -> dict[str, Values] | None:
    """What is left of each property this way; None if nothing is of one."""
    narrowed = {what: path.narrowed[what] & values for what, values in turn.narrowed.items()}
    return narrowed if all(narrowed.values()) else None


def _whom(trusted_as: str) -> list[Turn]:
    return [Turn(PERMIT, {}, trusted_as, trusted_as=trusted_as), Turn(DUNNO, {})]


def _if(assumption: str, why: str) -> list[Turn]:
    return [Turn(PERMIT, {}, why, assumption=assumption), Turn(DUNNO, {})]
