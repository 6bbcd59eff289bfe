import pytest

from gatepost.tables.network import NetworkError, address_text, parse_address, parse_network


def test_addresses() -> None:
    assert parse_address("192.0.2.1") == (32, 0xC0000201)
    assert parse_address("::1") == (128, 1)
    for text in ("", "1.2.3", "010.0.0.1", "1.2.3.4.5", "[::1]", "fe80::1%eth0", "unknown", "1\0", "\u00e9:"):
        assert parse_address(text) is None
    assert address_text(32, 1) == "0.0.0.1"
    assert address_text(128, 1) == "::1"


def test_networks() -> None:
    assert str(parse_network("[2001:db8::]/32")) == str(parse_network("[2001:db8::/32]")) == "2001:db8::/32"
    assert parse_network("0.0.0.0/0").contains(parse_network("1.2.3.4"))
    assert not parse_network("0.0.0.0/0").contains(parse_network("::1"))
    assert not parse_network("10.0.0.0/16").contains(parse_network("10.0.0.0/8"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.1.2.3/8", 'non-null host address bits in "10.1.2.3/8", perhaps you should use "10.0.0.0/8" instead'),
        ("1.2.3.0/33", 'bad mask length in "1.2.3.0/33"'),
        ("1.2.3.0/", 'bad mask value in "1.2.3.0/"'),
        ("1.2.3/24", 'bad network value in "1.2.3/24"'),
        ("1.2.3.0/\u0664", 'bad mask value in "1.2.3.0/\u0664"'),
        ("be:be", 'bad address pattern: "be:be"'),
        ("[1.2.3.4", "missing ']' character after \"[1.2.3.4\""),
        ("[1.2.3.4]x", 'garbage after "[1.2.3.4]"'),
        ("1.2.3.0/99999999999999999999", 'bad mask length in "1.2.3.0/99999999999999999999"'),
    ],
)
def test_bad_networks(text: str, reason: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_network(text)
    assert str(caught.value) == reason
