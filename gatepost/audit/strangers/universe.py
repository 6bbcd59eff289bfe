"""Who there is to be tried: for each property of a session a value for every way in which the lists may see it.

Names and addresses that stand in a table or list are tried as they are, below them (host.example.com for an entry
example.com), and beside ones that stand nowhere.
"""

from collections.abc import Iterable

from gatepost.audit.strangers.atoms import LOOPBACK, Atoms
from gatepost.audit.strangers.keys import Content, network_of_key
from gatepost.audit.strangers.paths import Values
from gatepost.mail.hostname import valid_hostname
from gatepost.restrictions.policy_parts import PolicyParts
from gatepost.restrictions.ports import FINAL_CLASSES
from gatepost.rewrite.address_classes import AddressClass
from gatepost.tables.match_items import NameItem, TableItem
from gatepost.tables.match_list import MatchList
from gatepost.tables.network import Network, parse_network
from gatepost.tables.table import LookupTemporaryFailure

NOBODY = "unknown"
"""The name of a client whose address leads to none that leads back."""
STRANGER = "stranger.invalid"
HOST = f"mail.{STRANGER}"
"""The verified name of a client that nobody has heard of."""
ELSEWHERE = "elsewhere.invalid"
SENDER = f"someone@{STRANGER}"
RECIPIENT = f"somebody@{ELSEWHERE}"
_HELO_LITERAL = "[203.0.113.7]"
PASSER_BY = "passer-by"
"""Begins the name of whom no table names, whatever stands in it: even the strangers above may be listed."""


class Keys:
    """The keys that each property of a session is looked up by."""

    def __init__(self) -> None:
        self.client = Content()
        self.helo = Content()
        self.sender = Content()
        self.recipient = Content()

    def add_list(self, matches: MatchList) -> None:
        """Items that a client's name and address are compared with."""
        for item, _ in matches.items():
            network = item.network()
            if network is not None:
                self.client.networks.append(network)
            elif isinstance(item, TableItem):
                self.client.add(item.table)
            elif isinstance(item, NameItem):
                self.client.keys.add(item.text)


class Universe:
    """`start`: all values of each property: client addresses (names of `atoms`), names, HELO, sender, recipient."""

    def __init__(self, keys: Keys, recipients: Iterable[str], own_addresses: Iterable[str]) -> None:
        networks: list[Network] = [*keys.client.networks, *keys.client.networks_of_keys(), *LOOPBACK.networks()]
        networks += [parse_network(address.partition("%")[0]) for address in own_addresses]
        self.atoms = Atoms(networks)
        self.start: dict[str, Values] = {
            "address": frozenset(self.atoms.ranges),
            "name": frozenset([NOBODY, HOST, unlisted(keys.client.keys)[1], *_names(keys.client.keys)]),
            "helo": frozenset(
                [
                    STRANGER,
                    _HELO_LITERAL,
                    unlisted(keys.helo.keys)[1],
                    *_names(keys.helo.keys),
                    *_literals(keys.helo.keys),
                ]
            ),
            "sender": frozenset(["", SENDER, "@".join(unlisted(keys.sender.keys)), *_addresses(keys.sender.keys)]),
            "recipient": frozenset(recipients),
        }


def unlisted(keys: Iterable[str]) -> tuple[str, str]:
    """A local part and a domain that no key is found for, nor for a domain above it."""
    taken = {key.lstrip(".").lower() for key in keys}
    taken |= {key.rpartition("@")[2].lstrip(".") for key in taken}
    number = 0
    while True:
        local, top = f"{PASSER_BY}{number}", f"x{number}"
        if not taken & {f"{local}@", local, f"{local}.{top}", top}:
            return local, f"{local}.{top}"
        number += 1


def is_anybody(name: str) -> bool:
    """Is this verified name one that no table can mean by itself?"""
    return name in (NOBODY, HOST) or name.startswith(PASSER_BY)


def _names(keys: Iterable[str]) -> Iterable[str]:
    for key in keys:
        name = key.lstrip(".")
        if network_of_key(key) is None and valid_hostname(name):
            yield name
            yield f"host.{name}"


def _literals(keys: Iterable[str]) -> Iterable[str]:
    return (key for key in keys if network_of_key(key) is not None or key.startswith("["))


def _addresses(keys: Iterable[str]) -> Iterable[str]:
    """Mail addresses that the keys of an access table are found for."""
    for key in keys:
        local, at, domain = key.rpartition("@")
        if at and domain and local:
            yield key
        elif at and local:
            yield f"{local}@{STRANGER}"
        elif key and key != "<>":
            domain = key.lstrip(".@")
            yield f"someone@{domain}"
            yield f"someone@host.{domain}"


async def foreign_recipients(
    keys: Content, lists: dict[str, MatchList], parts: PolicyParts, untrusted_routing: bool
) -> tuple[set[str], list[str]]:
    """Recipients that are not ours, and what could not be told of them. Forms that hide one in another are tried, too.

    Ours is what the lists of domains name; a domain that stands nowhere is a stranger's, even if a list has it.
    """
    found = {RECIPIENT}
    stranger = "@".join(unlisted({*keys.keys, *(key for matches in lists.values() for key in _written(matches))}))
    doubts: list[str] = []
    own = [domain for matches in lists.values() for domain in _one_of(matches)]
    forms = [form for domain in own for form in wrapped(RECIPIENT, domain)]
    for address in (stranger, *_addresses(keys.keys), *forms):
        try:
            if await is_foreign(address, parts, untrusted_routing):
                found.add(address)
        except LookupTemporaryFailure as failure:
            doubts.append(f"{failure.table} could not be asked about {address}")
    return found, doubts


async def is_foreign(address: str, parts: PolicyParts, untrusted_routing: bool) -> bool:
    """Does mail for this address leave for a host that is not ours? Raises LookupTemporaryFailure."""
    ports = parts.ports
    resolved = await ports.resolver.resolve("", ports.rewriter.rewrite_internal(address))
    if resolved.error or "@" not in resolved.recipient:
        return False
    if resolved.recipient.endswith(f".{ELSEWHERE}") or resolved.recipient.endswith(f"@{ELSEWHERE}"):
        return True
    if resolved.address_class in FINAL_CLASSES:
        return False
    if resolved.address_class is AddressClass.RELAY:
        # The host that it is relayed to may well send it on to where its local part says.
        return resolved.routed and untrusted_routing
    return True


def _written(matches: MatchList) -> Iterable[str]:
    return (item.text for item, _ in matches.items())


def _one_of(matches: MatchList) -> Iterable[str]:
    """Domains of a list: enough of them to try forms of addresses with."""
    for item, _ in matches.items():
        if isinstance(item, NameItem) and not item.negated and valid_hostname(item.text.lstrip(".")):
            yield item.text.lstrip(".")
            return
    content = Content()
    for item, _ in matches.items():
        if isinstance(item, TableItem):
            content.add(item.table)
    for key in sorted(content.keys):
        if valid_hostname(key.lstrip(".")):
            yield key.lstrip(".")
            return


def wrapped(address: str, domain: str) -> Iterable[str]:
    """The ways in which one address can be put into another (RFC 5321 appendix C, UUCP, the percent hack)."""
    local, _, foreign = address.partition("@")
    yield f"{local}%{foreign}@{domain}"
    yield f"{local}@{foreign}@{domain}"
    yield f"{foreign}!{local}@{domain}"
    yield f"@{domain}:{address}"
    yield f"{domain}!{address}"
