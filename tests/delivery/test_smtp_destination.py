import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.delivery.smtp_destination import (
    BadDestination,
    Destination,
    domain_of,
    host_and_port,
    known_ports,
    parse_destination,
    split_destinations,
)


@pytest.mark.parametrize(
    ("text", "domain", "port", "use_mx"),
    [
        ("x.example", "x.example", 25, True),
        ("x.example:587", "x.example", 587, True),
        ("x.example:submission", "x.example", 587, True),
        ("[x.example]", "x.example", 25, False),
        ("[x.example]:2525", "x.example", 2525, False),
        ("[192.0.2.1]", "192.0.2.1", 25, False),
        ("[2001:db8::1]:26", "2001:db8::1", 26, False),
        ("[IPv6:2001:db8::1]", "2001:db8::1", 25, False),
        ("[localhost]", "localhost", 25, False),
    ],
)
def test_forms(text: str, domain: str, port: int, use_mx: bool) -> None:
    assert parse_destination(text, "smtp") == Destination(text, domain, port, use_mx)


def test_without_dns_everything_is_a_host() -> None:
    assert not parse_destination("x.example", "25", disable_dns_lookups=True).use_mx


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "[x.example", "[x.example]25", "x.example:", "x.example:0", ":25", "a..b"]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(BadDestination):
        parse_destination(text, "smtp")


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_destination(text, "smtp")
    except BadDestination:
        pass


def test_lists() -> None:
    assert split_destinations("a.example, [b.example]:26 c.example") == ("a.example", "[b.example]:26", "c.example")
    assert split_destinations("a.example") == ("a.example",)
    assert split_destinations("") == ()


def test_known_ports() -> None:
    ports = known_ports("lmtp=24, a = b=2525, bad, worse=x")
    assert ports == (("lmtp", 24), ("a", 2525), ("b", 2525))
    assert parse_destination("x.example:b", "smtp", known_ports=ports).port == 2525


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("x.example", "x.example"),
        ("x.example:587", "x.example"),
        ("[x.example]:submission", "x.example"),
        ("[::1]:25", "::1"),
        ("::1", "::1"),
        ("[IPv6:2001:db8::1]", "2001:db8::1"),
        ("/run/lmtp:1", "/run/lmtp:1"),
        ("unix:/run/lmtp", "unix:/run/lmtp"),
        ("[x.example", "x.example"),
        ("", ""),
    ],
)
def test_the_domain_of_a_destination(text: str, domain: str) -> None:
    assert domain_of(text) == domain


def test_the_port_of_a_destination() -> None:
    texts = ("x.example", "x.example:587", "[x.example]:submission", "[::1]:25", "[::1]", "::1", "unix:/run/lmtp")
    assert [host_and_port(text)[1] for text in texts] == ["", "587", "submission", "25", "", "", ""]
