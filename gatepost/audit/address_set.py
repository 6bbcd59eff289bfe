"""Sets of IP addresses as sorted ranges, exact for IPv4 and IPv6: what a list of networks with exceptions comes to."""

from collections.abc import Iterable, Iterator

import msgspec

from gatepost.tables.network import Network, address_text

FAMILIES = (32, 128)
"""The lengths of addresses in bits: IPv4, IPv6."""

Ranges = tuple[tuple[int, int], ...]
"""First and last address, both included; sorted, and none touches the next."""


class AddressSet(msgspec.Struct, frozen=True):
    """A set of addresses of both families. Values are compared by what they hold."""

    v4: Ranges = ()
    v6: Ranges = ()

    @classmethod
    def of(cls, *networks: Network) -> "AddressSet":
        """All addresses of these networks."""
        ranges: dict[int, list[tuple[int, int]]] = {32: [], 128: []}
        for bits, net, mask in networks:
            ranges[bits].append((net, net | (mask ^ ((1 << bits) - 1))))
        return cls(_joined(ranges[32]), _joined(ranges[128]))

    @classmethod
    def everything(cls, *families: int) -> "AddressSet":
        """All addresses that there are, or all of these families (32, 128)."""
        return cls.of(*(Network(bits, 0, 0) for bits in families or FAMILIES))

    def ranges(self, bits: int) -> Ranges:
        """Those of one family (32 or 128)."""
        return self.v4 if bits == 32 else self.v6

    def __bool__(self) -> bool:
        return bool(self.v4 or self.v6)

    def __or__(self, other: "AddressSet") -> "AddressSet":
        return AddressSet(_joined([*self.v4, *other.v4]), _joined([*self.v6, *other.v6]))

    def __and__(self, other: "AddressSet") -> "AddressSet":
        return AddressSet(_shared(self.v4, other.v4), _shared(self.v6, other.v6))

    def __sub__(self, other: "AddressSet") -> "AddressSet":
        return AddressSet(_without(self.v4, other.v4), _without(self.v6, other.v6))

    def count(self, bits: int = 0) -> int:
        """How many addresses; of one family, if `bits` is 32 or 128."""
        families = (bits,) if bits else FAMILIES
        return sum(last - first + 1 for family in families for first, last in self.ranges(family))

    def has(self, bits: int, number: int) -> bool:
        """Is this address in the set?"""
        return any(first <= number <= last for first, last in self.ranges(bits))

    def networks(self) -> Iterator[Network]:
        """The fewest networks that make up the set, IPv4 first, in order."""
        for bits in FAMILIES:
            for first, last in self.ranges(bits):
                yield from _networks(bits, first, last)

    def in_words(self) -> list[str]:
        """Each range as `first - last`, or the one address."""
        return [
            address_text(bits, first) + ("" if first == last else f" - {address_text(bits, last)}")
            for bits in FAMILIES
            for first, last in self.ranges(bits)
        ]


NOTHING = AddressSet()


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def _shared(left: Ranges, right: Ranges) -> Ranges:
    shared = []
    here = there = 0
    while here < len(left) and there < len(right):
        first = max(left[here][0], right[there][0])
        last = min(left[here][1], right[there][1])
        if first <= last:
            shared.append((first, last))
        if left[here][1] < right[there][1]:
            here += 1
        else:
            there += 1
    return tuple(shared)


def _without(left: Ranges, right: Ranges) -> Ranges:
    rest = []
    there = 0
    for first, last in left:
        while there < len(right) and right[there][1] < first:
            there += 1
        at, start = there, first
        while at < len(right) and right[at][0] <= last:
            if right[at][0] > start:
                rest.append((start, right[at][0] - 1))
            start = right[at][1] + 1
            at += 1
        if start <= last:
            rest.append((start, last))
    return tuple(rest)


def _networks(bits: int, first: int, last: int) -> Iterator[Network]:
    everything = (1 << bits) - 1
    while first <= last:
        # As large as where it begins allows, and as what is left allows.
        size = (first & -first).bit_length() - 1 if first else bits
        size = min(size, (last - first + 1).bit_length() - 1)
        yield Network(bits, first, everything ^ ((1 << size) - 1))
        first += 1 << size
