"""Can a stranger relay through this listener? And who can?

A stranger is whoever is not authenticated, shows no certificate and comes from an address, or has a verified name, that
nothing trusts. What he says (HELO, sender, recipient) he chooses. Trust in so many public addresses that whoever has
one of them may be anybody is no trust.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from gatepost.audit.address_set import NOTHING, AddressSet
from gatepost.audit.networks import trusted_networks
from gatepost.audit.stand_ins import Silent, no_pause
from gatepost.audit.strangers.atoms import LOOPBACK, anybody
from gatepost.audit.strangers.confirm import Example, confirmed
from gatepost.audit.strangers.keys import Content
from gatepost.audit.strangers.paths import DeadEnd, Path, Step, TooManyPaths, all_paths
from gatepost.audit.strangers.session import play
from gatepost.audit.strangers.symbolic import Symbolic
from gatepost.audit.strangers.universe import NOBODY, Universe, foreign_recipients, is_anybody
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import Client, SessionFacts
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.ports import Ports
from gatepost.tables.match_items import TableItem
from gatepost.tables.match_list import MatchList

Outcome = Literal["proved", "refuted", "depends"]
PATH_LIMIT = 2000
"""Ways that are followed; what people write has a few dozens. Some milliseconds each: a start waits for the answer."""
_SHOWN = 4
_DEFAULT_ACCESS = ("check_client_access", "check_helo_access", "check_sender_access", "check_recipient_access", "")
_STRANGERS = "so many addresses that whoever has one may be anybody"


class Listener(msgspec.Struct, frozen=True):
    """What is asked about: parameters and ports as the server has them; the lists of domains by parameter.

    helo_required: smtpd_helo_required. local_only: it listens on loopback addresses only. xclient: hosts that may say
    that they are others (smtpd_authorized_xclient_hosts).
    """

    name: str
    params: AccessParameters
    ports: Ports
    domains: dict[str, MatchList]
    xclient: MatchList
    helo_required: bool = False
    local_only: bool = False


@dataclass(slots=True)
class Way:
    """A way in: its steps, what it is open for, what must be so."""

    steps: tuple[Step, ...]
    addresses: AddressSet
    names: tuple[str, ...]  # empty: any, also none
    assumptions: tuple[str, ...] = ()
    trusted_as: tuple[str, ...] = ()


@dataclass(slots=True)
class Answer:
    """What came out.

    refuted: `example` is a session that was accepted, `way` how. depends: on `conditions`. Who else can relay:
    `addresses`, clients with a verified name in `names`, and those that are trusted as `others` say; under conditions
    that these name, `perhaps`. `notes` are assumptions of the proof.
    """

    outcome: Outcome
    way: Way | None = None
    example: Example | None = None
    conditions: list[str] = field(default_factory=list)
    addresses: AddressSet = NOTHING
    perhaps: AddressSet = NOTHING
    names: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    xclient: AddressSet = NOTHING
    notes: list[str] = field(default_factory=list)
    paths: int = 0


def inquire_now(listener: Listener) -> Answer | None:
    """The answer that can be had without asking anybody; None if something cannot be looked up without waiting."""
    question = _inquire(listener, ask=False)
    try:
        question.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    except RuntimeError:  # it would ask a server, and there is no event loop
        return None
    question.close()
    return None


async def inquire(listener: Listener) -> Answer:
    """The answer for one listener. Raises ConfigError for lists that cannot be compiled."""
    return await _inquire(listener, ask=True)


async def _inquire(listener: Listener, *, ask: bool) -> Answer:
    inquiry = _Inquiry(listener, ask=ask)
    await inquiry.prepare()
    try:
        await inquiry.follow()
    except TooManyPaths:
        inquiry.conditions.append(f"more than {PATH_LIMIT} ways lead through the lists: not all were followed")
    return await inquiry.answer()


class _Inquiry:
    def __init__(self, listener: Listener, *, ask: bool) -> None:
        self._listener = listener
        self._symbolic = Symbolic(ask=ask)
        # These can only refuse; strangers choose what they say.
        params = msgspec.structs.replace(
            listener.params, smtpd_reject_unlisted_recipient=False, smtpd_reject_unlisted_sender=False
        )
        ports = replace(listener.ports, log=Silent(), sleep=no_pause)
        self._policy = AccessPolicy(params, ports, self._symbolic.bind)
        self._universe: Universe
        self.open: list[tuple[Way, Path]] = []
        self.conditions: list[str] = []
        self.notes: list[str] = []
        self.trusted: list[Way] = []
        self.paths = 0

    async def prepare(self) -> None:
        listener, parts = self._listener, self._policy.parts
        for name in listener.params.classes:
            # Tables may name classes that no list names, and what those look up counts as well.
            for default_access in _DEFAULT_ACCESS:
                parts.compile_result(name, default_access)
        keys = self._symbolic.keys(parts)
        untrusted = listener.params.allow_untrusted_routing
        recipients, doubts = await foreign_recipients(keys.recipient, listener.domains, parts, untrusted)
        self.notes += doubts
        for parameter, matches in listener.domains.items():
            self.notes += _unlisted(parameter, matches)
        self._universe = self._symbolic.universe = Universe(keys, recipients, parts.own_or_proxied)

    async def follow(self) -> None:
        start = dict(self._universe.start)
        if self._listener.local_only:
            start["address"] = self._universe.atoms.within(LOOPBACK)
        for with_helo in (True,) if self._listener.helo_required else (False, True):
            for path in all_paths(start, PATH_LIMIT):
                self.paths += 1
                self._symbolic.path = path
                if await self._accepted(with_helo):
                    self._note(path)

    async def _accepted(self, with_helo: bool) -> bool:
        """Does this way end in the acceptance of a recipient that is not ours, in a message that goes there?"""
        facts = SessionFacts(Client(NOBODY, "203.0.113.7"), protocol="ESMTP", encrypted=True, queue_id="")
        try:
            return await play(self._policy, facts, "stranger" if with_helo else None, "stranger", "stranger")
        except DeadEnd:
            return False

    def _note(self, path: Path) -> None:
        """Sort a way in by what it asks of the client."""
        names = path.narrowed["name"]
        way = Way(
            tuple(path.steps),
            self._universe.atoms.set_of(path.narrowed["address"]),
            () if any(map(is_anybody, names)) else tuple(sorted(names)),
            tuple(dict.fromkeys(path.assumptions)),
            tuple(dict.fromkeys(path.trusted_as)),
        )
        if way.trusted_as or way.names or not anybody(way.addresses):
            if way not in self.trusted:
                self.trusted.append(way)
        else:
            self.open.append((way, path))

    async def answer(self) -> Answer:
        answer = Answer("proved", notes=list(dict.fromkeys(self.notes)), paths=self.paths)
        self._who_else(answer)
        await self._strangers(answer)
        self._by_xclient(answer)
        answer.conditions += self.conditions
        if answer.outcome == "proved" and answer.conditions:
            answer.outcome = "depends"
        return answer

    def _who_else(self, answer: Answer) -> None:
        for way in self.trusted:
            if way.trusted_as:
                answer.others.append(" and ".join(way.trusted_as))
            elif way.assumptions and not way.names:
                answer.perhaps |= way.addresses
                answer.others.append(f"{_some(way.addresses)}, if {' and '.join(way.assumptions)}")
            elif way.names:
                answer.names += way.names
            else:
                answer.addresses |= way.addresses
        answer.others = list(dict.fromkeys(answer.others))
        answer.names = sorted(set(answer.names))
        if anybody(answer.addresses | answer.perhaps) and not anybody(answer.addresses):
            self.conditions.append("whether so many addresses are trusted that whoever has one may be anybody")
        if answer.outcome == "proved" and anybody(answer.addresses):
            answer.outcome = "refuted"
            widest = max(self.trusted, key=lambda way: way.addresses.count(32) if not way.trusted_as else -1)
            answer.way = widest

    async def _strangers(self, answer: Answer) -> None:
        """The ways that are open to strangers: the surest first."""
        for way, path in sorted(self.open, key=lambda found: len(found[0].assumptions)):
            if way.assumptions:
                answer.conditions += [f"whether {text}" for text in way.assumptions]
                continue
            example = await confirmed(self._listener.params, self._listener.ports, self._universe.atoms, path)
            if example is not None:
                answer.outcome, answer.way, answer.example = "refuted", way, example
                return
            answer.conditions.append(f"what {_steps(way)} comes to: no session was found that gets in this way")
        answer.conditions = list(dict.fromkeys(answer.conditions))

    def _by_xclient(self, answer: Answer) -> None:
        hosts = trusted_networks(self._listener.xclient)
        answer.xclient = hosts.trusted
        if anybody(hosts.trusted) and not self._listener.local_only:
            answer.outcome = "refuted"
            step = Step("XCLIENT", "smtpd_authorized_xclient_hosts", _STRANGERS)
            answer.way = Way((step,), hosts.trusted, ())


def _unlisted(parameter: str, matches: MatchList) -> Iterable[str]:
    """Assumptions about domains that nobody can list."""
    content = Content()
    for item, _ in matches.items():
        if isinstance(item, TableItem):
            content.add(item.table)
    return [f"{unknown.table} ({parameter}) has no domain of a stranger" for unknown in content.unknown]


def _some(addresses: AddressSet) -> str:
    """These addresses, for people: the first few of them."""
    words = addresses.in_words()
    return f"clients in {', '.join(words[:_SHOWN])}{', ...' if len(words) > _SHOWN else ''}"


def _steps(way: Way) -> str:
    return ", ".join(step.restriction for step in way.steps) or "nothing in the lists"
