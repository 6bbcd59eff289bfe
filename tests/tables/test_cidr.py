import ipaddress
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from gatepost.tables.cidr import Rules, parse_rules
from gatepost.tables.source import Remarks
from tests.tables.surroundings import Surroundings

Write = Callable[..., str]

NETWORKS = st.one_of(
    st.builds(lambda n, p: ipaddress.ip_network((n << 24, p), strict=False), st.integers(0, 3), st.integers(0, 32)),
    st.builds(lambda n, p: ipaddress.ip_network((n << 120, p), strict=False), st.integers(0, 3), st.integers(0, 128)),
)
ADDRESSES = st.one_of(
    st.builds(lambda n, m: str(ipaddress.IPv4Address((n << 24) + m)), st.integers(0, 4), st.integers(0, 3)),
    st.builds(lambda n, m: str(ipaddress.IPv6Address((n << 120) + m)), st.integers(0, 4), st.integers(0, 3)),
)


def parsed(*lines: str) -> Rules:
    return parse_rules(enumerate(lines, 1), Remarks("cidr map test"))


@settings(deadline=None)
@given(networks=st.lists(NETWORKS, max_size=12), address=ADDRESSES)
def test_index_agrees_with_a_walk(networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], address: str) -> None:
    wanted = next((str(net) for net in networks if ipaddress.ip_address(address) in net), None)
    lines = [f"{net} {net}" for net in networks]
    assert parsed(*lines).find(address) == wanted
    # An IF that holds for no address here takes the table out of the index.
    assert parsed(*lines, "if 203.0.113.9", "endif").find(address) == wanted


async def test_inline_and_file(world: Surroundings, write: Write) -> None:
    inline = world.tables.open("cidr:{{10.0.0.0/8 ten}, {10.1.2.3/8 bad}}")
    assert await inline.lookup("10.1.1.1") == "ten"
    assert await inline.lookup("unknown") is None
    assert not inline.fixed
    (warning,) = world.take_warnings()
    assert warning.startswith("cidr map {") and ", line 2: non-null host address bits" in warning
    path = write("nets", "10.0.0.0/8 a\n")
    table = world.tables.open(f"cidr:{path}")
    assert await table.lookup("10.0.0.1") == "a"
    write("nets", "10.0.0.0/8 b\n10.0.0.1/8 c\n")  # an edit with a mistake
    for _ in range(3):
        world.later()
        assert await table.lookup("10.0.0.1") == "a"
