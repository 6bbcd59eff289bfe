import pytest

from gatepost.config.host_facts import FixedHost
from gatepost.config.networks import default_mynetworks, own_interfaces

HOST = FixedHost(networks=("192.0.2.2/24", "127.0.0.1/8", "fe80::1/64", "::1/128", "10.1.2.3/20"))


@pytest.mark.parametrize(
    ("style", "interfaces", "protocols", "expected"),
    [
        ("subnet", "all", "all", "10.1.0.0/20 127.0.0.0/8 192.0.2.0/24 [::1]/128 [fe80::]/64"),
        ("host", "all", "ipv4", "10.1.2.3/32 127.0.0.1/32 192.0.2.2/32"),
        ("host", "all", "ipv6", "[::1]/128 [fe80::1]/128"),
        ("class", "all", "all", "10.0.0.0/8 127.0.0.0/8 192.0.2.0/24 [::1]/128 [fe80::]/64"),
        ("subnet", "loopback-only", "all", "127.0.0.0/8 [::1]/128"),
        ("host", "localhost, [192.0.2.2]", "all", "127.0.0.1/32 192.0.2.2/32 [::1]/128"),
        ("subnet", "127.0.87.1", "all", "127.0.0.0/8"),
        ("subnet", "", "all", ""),
    ],
)
def test_defaults(style: str, interfaces: str, protocols: str, expected: str) -> None:
    assert default_mynetworks(style, own_interfaces(interfaces, protocols, HOST)) == expected


def test_what_does_not_exist() -> None:
    with pytest.raises(ValueError, match=r"^no local interface found for 1\.2\.3\.4$"):
        own_interfaces("1.2.3.4", "all", HOST)
    with pytest.raises(ValueError, match="host not found: all"):
        own_interfaces("all, 127.0.0.1", "all", HOST)
    with pytest.raises(ValueError, match=r'^unknown inet_protocols value "foo" in "foo"$'):
        own_interfaces("all", "foo", HOST)
    with pytest.raises(ValueError, match=r'^unknown mynetworks mask style value "foo" in "foo"$'):
        default_mynetworks("foo", [])
