"""Which addresses a list such as mynetworks trusts: as exact sets, item by item, and for one address.

Items are tried in order and the first that matches decides (postconf(5), mynetworks). What an item decides is all that
it matches and no item before it has taken. Tables that can be listed are listed, as they are now; all others, and
names, may match any client: then there are two answers, what is trusted in any case and what may be trusted.
"""

import enum
from collections.abc import Iterable

import msgspec

from gatepost.audit.address_set import NOTHING, AddressSet
from gatepost.tables.cidr import CidrTable
from gatepost.tables.literal import FailTable, InlineTable, StaticTable
from gatepost.tables.match_items import BadNetworkItem, Item, NameItem, TableItem
from gatepost.tables.match_list import MatchList
from gatepost.tables.network import Network, address_text, parse_address, parse_network
from gatepost.tables.table import LookupTemporaryFailure
from gatepost.tables.text_tables import TextTable

EVERY_ADDRESS = AddressSet.everything()


class Kind(enum.Enum):
    """What an item is."""

    NETWORK = "network"
    NAME = "name"
    TABLE = "table"
    ERROR = "error"


class Entry(msgspec.Struct, frozen=True):
    """One item of the list and what it comes to.

    addresses: what it matches. decides: of these, what no item before it has taken. open: it may match any client
    besides (by its name, or because nobody can list the table). listed: a table, and its content counts as it is now.
    path: the file that it stands in; empty: the parameter's value. problem: why clients that come so far are answered
    451; then `decides` are those clients.
    """

    text: str
    negated: bool
    kind: Kind
    addresses: AddressSet
    decides: AddressSet
    open: bool = False
    listed: bool = False
    path: str = ""
    problem: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What becomes of one address. `trusted` None: it cannot be told, because of `doubts` before the deciding item.

    position: the number (from 0) of the item that decides; -1: none does. failing: it is answered 451.
    """

    trusted: bool | None
    position: int = -1
    failing: bool = False
    doubts: tuple[int, ...] = ()


class TrustedNetworks(msgspec.Struct, frozen=True):
    """A whole list.

    trusted: addresses that an item takes in, unless an open item before it says no. perhaps: addresses that open items
    may take in. perhaps_not: that open `!` items may leave out. failing: answered 451.
    """

    entries: tuple[Entry, ...] = ()
    trusted: AddressSet = NOTHING
    excluded: AddressSet = NOTHING
    perhaps: AddressSet = NOTHING
    perhaps_not: AddressSet = NOTHING
    failing: AddressSet = NOTHING

    def decide(self, bits: int, number: int) -> Decision:
        """What becomes of this address, of 32 or 128 bits."""
        doubts: list[int] = []
        for position, entry in enumerate(self.entries):
            if entry.decides.has(bits, number):
                if entry.problem:
                    return Decision(None if doubts else False, position, True, tuple(doubts))
                against = [each for each in doubts if self.entries[each].negated != entry.negated]
                return Decision(None if against else not entry.negated, position, False, tuple(doubts))
            if entry.open:
                doubts.append(position)
        possible = any(not self.entries[each].negated for each in doubts)
        return Decision(None if possible else False, -1, False, tuple(doubts))


def trusted_networks(matches: MatchList) -> TrustedNetworks:
    """What a compiled list trusts. Reads tables that can be listed; asks no others."""
    rest = EVERY_ADDRESS
    entries: list[Entry] = []
    trusted = excluded = perhaps = perhaps_not = failing = NOTHING
    for item, path in matches.items():
        entry = _entry(item, path, rest)
        entries.append(entry)
        rest -= entry.decides
        if entry.problem:
            failing |= entry.decides
            continue
        if entry.negated:
            excluded |= entry.decides
            perhaps_not |= rest if entry.open else NOTHING
        else:
            trusted |= entry.decides
            perhaps |= rest if entry.open else NOTHING
    return TrustedNetworks(tuple(entries), trusted, excluded, perhaps, perhaps_not, failing)


def _entry(item: Item, path: str, rest: AddressSet) -> Entry:
    network = item.network()
    if network is not None:
        addresses = AddressSet.of(network)
        return Entry(item.text, item.negated, Kind.NETWORK, addresses, addresses & rest, path=path)
    if isinstance(item, TableItem):
        return _table_entry(item, path, rest)
    if isinstance(item, BadNetworkItem):
        # An error for all clients of its family; the other family passes by.
        family = AddressSet.everything(128 if ":" in item.text else 32)
        return Entry(item.text, item.negated, Kind.ERROR, NOTHING, family & rest, path=path, problem=item.reason)
    assert isinstance(item, NameItem)
    return Entry(item.text, item.negated, Kind.NAME, NOTHING, NOTHING, open=True, path=path)


def _table_entry(item: TableItem, path: str, rest: AddressSet) -> Entry:
    table = item.table
    try:
        if isinstance(table, FailTable):
            return _failing(item, path, rest, table.reason or "it always fails")
        if isinstance(table, StaticTable):
            return _listed(item, path, rest, EVERY_ADDRESS, names=False)
        if isinstance(table, CidrTable):
            return _listed(item, path, rest, _of_cidr(table), names=False)
        if isinstance(table, TextTable | InlineTable):
            addresses, names = _of_keys(table.entries)
            return _listed(item, path, rest, addresses, names=names)
    except LookupTemporaryFailure as failure:
        return _failing(item, path, rest, failure.reason or "table lookup problem")
    return Entry(item.text, item.negated, Kind.TABLE, NOTHING, NOTHING, open=True, path=path)


def _listed(item: TableItem, path: str, rest: AddressSet, addresses: AddressSet, *, names: bool) -> Entry:
    taken = addresses & rest
    return Entry(item.text, item.negated, Kind.TABLE, addresses, taken, open=names, listed=True, path=path)


def _failing(item: TableItem, path: str, rest: AddressSet, reason: str) -> Entry:
    return Entry(item.text, item.negated, Kind.ERROR, NOTHING, rest, path=path, problem=reason)


def _of_cidr(table: CidrTable) -> AddressSet:
    """All addresses for which the table has a result, whatever it is. Raises LookupTemporaryFailure."""
    _, rules = table.source
    if rules is None:
        problems = table.problems
        raise LookupTemporaryFailure(table.name, "", problems[0].text if problems else "")
    found = NOTHING
    conditions: list[tuple[int, AddressSet]] = []
    for number, rule in enumerate(rules.rules):
        while conditions and conditions[-1][0] <= number and conditions[-1][0] >= 0:
            conditions.pop()
        addresses = AddressSet.of(rule.network)
        if rule.negated:
            addresses = AddressSet.everything(rule.network.bits) - addresses
        for _, condition in conditions:
            addresses &= condition
        if rule.result is None:
            conditions.append((rule.end, addresses))
        else:
            found |= addresses
    return found


def _of_keys(keys: Iterable[str]) -> tuple[AddressSet, bool]:
    """The addresses among the keys of an indexed table, and whether there are others, which may be clients' names.

    A client's address is looked up in its one usual form; a key in another form is never found.
    """
    networks, names = [], False
    for key in keys:
        parsed = parse_address(key)
        if parsed is None:
            # Blanks and slashes are in no host name: such a key matches nobody.
            names = names or not set(key) & set("/ [],")
        elif address_text(*parsed) == key:
            networks.append(parse_network(key))
    return AddressSet.of(*networks), names


def network_of(text: str) -> Network | None:
    """The network or address that somebody has typed, brackets or not; None if it is none."""
    try:
        return parse_network(text)
    except ValueError:
        return None
