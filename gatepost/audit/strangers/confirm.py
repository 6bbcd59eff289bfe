"""A way in that was found for all strangers at once, played as a session through the real restrictions."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

import msgspec

from gatepost.audit.stand_ins import AllDeliverable, Silent, no_pause
from gatepost.audit.strangers.atoms import Atoms
from gatepost.audit.strangers.paths import Path
from gatepost.audit.strangers.session import play
from gatepost.audit.strangers.universe import HOST, NOBODY, PASSER_BY, RECIPIENT, SENDER, STRANGER
from gatepost.dns.answers import Answer, Record, RRType
from gatepost.restrictions.check import Run
from gatepost.restrictions.compile import bound
from gatepost.restrictions.context import Context
from gatepost.restrictions.dns_list import DnsList
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.facts import NAME_OK, NAME_PERMANENT, Client, SessionFacts
from gatepost.restrictions.parameters import AccessParameters
from gatepost.restrictions.ports import Ports
from gatepost.restrictions.registry import Restriction
from gatepost.restrictions.verdict import DUNNO, Verdict

_TRIES = 200
_ADDRESS = "203.0.113.25"


class Example(msgspec.Struct, frozen=True):
    """A session that gets in. `helo` None: it says none."""

    client_name: str
    client_address: str
    helo: str | None
    sender: str
    recipient: str


async def confirmed(params: AccessParameters, ports: Ports, atoms: Atoms, path: Path) -> Example | None:
    """A session of this way that the real restrictions let in; None if none of those that were tried is."""
    names = StrangersNames()
    strange = replace(ports, log=Silent(), dns=names, verifier=AllDeliverable(), hosts=None, sleep=no_pause)
    policy = AccessPolicy(params, strange, names.bind)
    for example in islice(_examples(atoms, path), _TRIES):
        if await lets_in(policy, example):
            return example
    return None


async def lets_in(policy: AccessPolicy, example: Example) -> bool:
    """Does the policy accept this session's message?"""
    client = Client(example.client_name, example.client_address, reverse_name=HOST, reverse_name_status=NAME_OK)
    client.name_status = NAME_PERMANENT if example.client_name == NOBODY else NAME_OK
    facts = SessionFacts(client, protocol="ESMTP", encrypted=True)
    return await play(policy, facts, example.helo, example.sender, example.recipient)


def _examples(atoms: Atoms, path: Path) -> Iterator[Example]:
    """Sessions of this way, the plainest first."""
    narrowed = path.narrowed
    addresses = [atoms.example(narrowed["address"]), *sorted(narrowed["address"])[:2]]
    names = _plainest_first(narrowed["name"], NOBODY)
    helos: list[str | None] = [None, *_plainest_first(narrowed["helo"], STRANGER)]
    senders = _plainest_first(narrowed["sender"], SENDER)
    recipients = _plainest_first(narrowed["recipient"], RECIPIENT)
    for recipient, sender, address, name, helo in product(recipients, senders, addresses, names, helos):
        yield Example(name, address, helo, sender, recipient)


def _plainest_first(values: frozenset[str], plainest: str) -> list[str]:
    return sorted(values, key=lambda value: (value != plainest, PASSER_BY not in value, len(value), value))[:4]


class StrangersNames:
    """Name service as a stranger may arrange it: whatever he names is there, and no list of bad clients has him.

    `bind` is for AccessPolicy: policy services have no opinion.
    """

    def __init__(self) -> None:
        self._lists: set[str] = set()

    def bind(self, entry: Restriction, argument: object, parameter: str) -> Run:
        """The real restriction, but for what would have to ask somebody else."""
        if isinstance(argument, DnsList):
            self._lists.add(argument.zone.lower())
        return _no_opinion if entry.argument == "endpoint" else bound(entry, argument, parameter)

    async def query(self, name: str, rrtype: RRType) -> Answer:
        """As Resolver.query."""
        lower = name.lower()
        if any(lower == domain or lower.endswith(f".{domain}") for domain in self._lists):
            return Answer("no_name", ttl=60, reason="Host not found")
        data = {"A": _ADDRESS, "MX": HOST, "NS": HOST, "PTR": HOST}.get(rrtype)
        if data is None:
            return Answer("no_data", ttl=60)
        return Answer("found", (Record(name, rrtype, data, 10, 60),), 60)


async def _no_opinion(ctx: Context) -> Verdict:
    return DUNNO
