from hypothesis import given
from hypothesis import strategies as st

from gatepost.audit.address_set import NOTHING, AddressSet
from gatepost.tables.network import Network, parse_network

EVERYTHING = AddressSet.everything()


def a_set(*texts: str) -> AddressSet:
    return AddressSet.of(*map(parse_network, texts))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Few distinct ones, so that they overlap and touch."""
    bits = draw(st.sampled_from((32, 128)))
    length = bits - draw(st.integers(0, 4))
    mask = ((1 << length) - 1) << (bits - length)
    edge = draw(st.sampled_from((0, (1 << bits) - 16)))
    return Network(bits, (edge + draw(st.integers(0, 15))) & mask, mask)


SETS = st.lists(networks(), max_size=5).map(lambda found: AddressSet.of(*found))
PROBES = [(bits, edge + offset) for bits in (32, 128) for edge in (0, (1 << bits) - 16) for offset in range(16)]


def test_networks_come_to_ranges() -> None:
    together = a_set("192.168.87.0/25", "192.168.87.128/25", "10.0.0.1", "::1")
    assert together.in_words() == ["10.0.0.1", "192.168.87.0 - 192.168.87.255", "::1"]
    assert together.count() == 258
    assert together.count(32) == 257
    assert [str(network) for network in together.networks()] == ["10.0.0.1/32", "192.168.87.0/24", "::1/128"]


def test_an_exception() -> None:
    rest = a_set("192.168.87.0/24") - a_set("192.168.87.1")
    assert rest.count() == 255
    assert rest.in_words() == ["192.168.87.0", "192.168.87.2 - 192.168.87.255"]
    assert not rest.has(*parse_network("192.168.87.1")[:2])


def test_all_and_nothing() -> None:
    assert EVERYTHING.count(32) == 1 << 32
    assert EVERYTHING.count(128) == 1 << 128
    assert EVERYTHING - EVERYTHING == NOTHING
    assert not NOTHING
    assert [str(network) for network in EVERYTHING.networks()] == ["0.0.0.0/0", "::/0"]
    assert AddressSet.everything(32).in_words() == ["0.0.0.0 - 255.255.255.255"]


@given(SETS, SETS)
def test_operations_hold_for_each_address(left: AddressSet, right: AddressSet) -> None:
    for probe in PROBES:
        assert (left | right).has(*probe) == (left.has(*probe) or right.has(*probe))
        assert (left & right).has(*probe) == (left.has(*probe) and right.has(*probe))
        assert (left - right).has(*probe) == (left.has(*probe) and not right.has(*probe))
    assert (left | right).count() == left.count() + right.count() - (left & right).count()
    assert (left - right) | (left & right) == left


@given(SETS)
def test_networks_make_up_the_set(addresses: AddressSet) -> None:
    assert AddressSet.of(*addresses.networks()) == addresses
    assert EVERYTHING - (EVERYTHING - addresses) == addresses
