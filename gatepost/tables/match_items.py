"""The items of a match list: names, addresses, networks, tables, files, mistakes (match_ops(3), match_list(3))."""

from typing import NamedTuple

from gatepost.tables.network import Network, NetworkError, parse_address, parse_network
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure, Table

_V6_CHARS = frozenset("0123456789.abcdefABCDEF:")
_NETWORK_CHARS = _V6_CHARS | frozenset("[]/")


class Client(NamedTuple):
    """Who is asked about: name and address, folded, and the address as a number (bits 0: it is none).

    The address is empty where it has characters that no address has (`unknown`): only the name is compared then.
    """

    name: str
    address: str
    bits: int
    number: int


def client(name: str, address: str) -> Client:
    """The client, its address parsed once for all items. `name` must be folded."""
    if not _V6_CHARS.issuperset(address):
        return Client(name, "", 0, 0)
    parsed = parse_address(address)
    bits, number = parsed if parsed is not None else (0, 0)
    return Client(name, address.lower(), bits, number)


class BadItem(Exception):
    """An item that cannot be compared; the text is the warning, without the parameter's name."""


class Item:
    """One pattern. `negated`: a match means no."""

    __slots__ = ("negated", "text")

    def __init__(self, text: str, negated: bool) -> None:
        self.text = text
        self.negated = negated

    def __str__(self) -> str:
        return ("!" if self.negated else "") + self.text

    def matches_name(self, name: str, parents: bool) -> bool:
        """Is `name` (lower case) this name, or below this domain?"""
        return False

    def matches_address(self, who: Client) -> bool:
        """Is the client's address in here? Raises BadItem."""
        return False

    def problem(self) -> str:
        """What an operator must mend, or nothing."""
        return ""

    def network(self) -> Network | None:
        """The addresses that this item stands for."""
        return None

    def covers(self, other: "Item", parents: bool) -> bool:
        """Does everything that `other` matches match here, too?"""
        return self.text == other.text


class NetworkItem(Item):
    """`net/len`, `[address]` or a plain address."""

    __slots__ = ("_network", "bits", "mask", "net")

    def __init__(self, text: str, negated: bool, network: Network) -> None:
        super().__init__(text, negated)
        self._network = network
        self.bits, self.net, self.mask = network

    def matches_name(self, name: str, parents: bool) -> bool:
        return name == self.text or (parents and name.endswith("." + self.text))

    def matches_address(self, who: Client) -> bool:
        return who.bits == self.bits and who.number & self.mask == self.net

    def network(self) -> Network | None:
        return self._network

    def covers(self, other: Item, parents: bool) -> bool:
        network = other.network()
        return network is not None and self._network.contains(network)


class NameItem(Item):
    """A host or domain name, or `.domain`: also text that stands for no address whatever it was meant to be."""

    __slots__ = ()

    def matches_name(self, name: str, parents: bool) -> bool:
        text = self.text
        if name == text:
            return True
        if parents:
            return len(name) > len(text) and name.endswith(text) and name[-len(text) - 1] == "."
        return text[0] == "." and len(name) > len(text) and name.endswith(text)

    def matches_address(self, who: Client) -> bool:
        return who.address == self.text

    def covers(self, other: Item, parents: bool) -> bool:
        return isinstance(other, NameItem) and (
            self.text == other.text or self.matches_name(other.text.lstrip("."), parents)
        )


class BadNetworkItem(NameItem):
    """Looks like a network and is none: an error as soon as a client of its family comes that far."""

    __slots__ = ("reason",)

    def __init__(self, text: str, negated: bool, reason: str) -> None:
        super().__init__(text, negated)
        self.reason = reason

    def matches_address(self, who: Client) -> bool:
        if who.address == self.text or f"[{who.address}]" == self.text:
            return True
        if who.address and (":" in self.text) == (":" in who.address):
            raise BadItem(self.reason)
        return False

    def problem(self) -> str:
        return self.reason


class TableItem(Item):
    """`type:table`: a hit is a match, whatever the value."""

    __slots__ = ("reason", "table")

    def __init__(self, text: str, negated: bool, table: Table, reason: str = "") -> None:
        super().__init__(text, negated)
        self.table = table
        self.reason = reason

    async def has(self, key: str) -> bool:
        """Is `key` in the table? Raises BadItem if it cannot tell."""
        try:
            return await self.table.lookup(key) is not None
        except EmptyResult:
            return True
        except LookupTemporaryFailure:
            raise BadItem(f"{self.table.name}: table lookup problem") from None

    async def has_name(self, name: str, parents: bool) -> bool:
        """Is the name in the table, or, if it takes partial keys, a parent domain (with `.` before, unless parents)?"""
        if not name:
            return False
        if await self.has(name):
            return True
        if not self.table.fixed:
            return False
        dot = name.find(".", 1)
        while dot >= 0:
            key = name[dot + 1 :] if parents else name[dot:]
            if key and await self.has(key):
                return True
            dot = name.find(".", dot + 1)
        return False

    def problem(self) -> str:
        return self.reason


def make_item(folded: str, negated: bool) -> Item:
    """The item for a (folded) pattern that is neither table nor file."""
    if not _NETWORK_CHARS.issuperset(folded):
        return NameItem(folded, negated)
    if ":" not in folded and "/" not in folded:
        # A plain IPv4 address has one form only: Postfix compares it as text, and junk is no error but never matches.
        plain = folded[1:-1] if folded[0] == "[" and folded[-1] == "]" else folded
        address = parse_address(plain)
        return NameItem(folded, negated) if address is None else NetworkItem(folded, negated, parse_network(plain))
    try:
        return NetworkItem(folded, negated, parse_network(folded))
    except NetworkError as error:
        return BadNetworkItem(folded, negated, str(error))
