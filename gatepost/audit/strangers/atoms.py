"""All client addresses, cut where lists and tables speak of them: those within an atom are all treated alike."""

from collections.abc import Iterable

from gatepost.audit.address_set import AddressSet
from gatepost.tables.network import Network, address_text, parse_network

# Addresses that no client from the Internet has (RFC 6890 and its updates).
_NOT_PUBLIC = AddressSet.of(
    *map(
        parse_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
            "224.0.0.0/3", "::/3", "4000::/2", "8000::/1",
        ),
    )
)  # fmt: skip
LOOPBACK = AddressSet.of(parse_network("127.0.0.0/8"), parse_network("::1"))
_MANY_V4 = 1 << 24
_MANY_V6 = 1 << 96
# A stranger's address in an example is one that is kept for examples, where it can be (RFC 5737, RFC 3849).
_EXAMPLES = ((32, 0xCB007107), (128, 0x20010DB8 << 96 | 7))


class Atoms:
    """`ranges` is (bits, first, last) of each atom, by its name: its first address as text."""

    def __init__(self, networks: Iterable[Network]) -> None:
        cuts: dict[int, set[int]] = {32: {0}, 128: {0}}
        for bits, net, mask in networks:
            every = (1 << bits) - 1
            cuts[bits].add(net)
            if (net | (mask ^ every)) < every:
                cuts[bits].add((net | (mask ^ every)) + 1)
        self.ranges: dict[str, tuple[int, int, int]] = {}
        for bits, found in cuts.items():
            starts = sorted(found)
            ends = [*(start - 1 for start in starts[1:]), (1 << bits) - 1]
            for first, last in zip(starts, ends, strict=True):
                self.ranges[address_text(bits, first)] = (bits, first, last)

    def within(self, addresses: AddressSet) -> frozenset[str]:
        """The atoms that begin in the set. (What it is made of must have been cut out.)"""
        return frozenset(name for name, (bits, first, _) in self.ranges.items() if addresses.has(bits, first))

    def set_of(self, names: Iterable[str]) -> AddressSet:
        """All addresses of these atoms."""
        found = [self.ranges[name] for name in names]
        v4 = sorted((first, last) for bits, first, last in found if bits == 32)
        v6 = sorted((first, last) for bits, first, last in found if bits == 128)
        return AddressSet() | AddressSet(tuple(v4), tuple(v6))

    def example(self, names: frozenset[str]) -> str:
        """An address of these atoms for people to look at."""
        addresses = self.set_of(names)
        for bits, address in _EXAMPLES:
            if addresses.has(bits, address):
                return address_text(bits, address)
        bits, first, last = max(
            map(self.ranges.__getitem__, names), key=lambda atom: (atom[0] == 32, atom[2] - atom[1])
        )
        return address_text(bits, first + min(7, last - first))


def public(addresses: AddressSet) -> AddressSet:
    """Those that clients on the Internet may have."""
    return addresses - _NOT_PUBLIC


def anybody(addresses: AddressSet) -> bool:
    """So many public addresses that whoever has one of them may be anybody."""
    outside = public(addresses)
    return outside.count(32) > _MANY_V4 or outside.count(128) >= _MANY_V6
