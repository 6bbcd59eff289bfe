"""Host names, addresses, literals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.mail.hostname import (
    domain_to_ascii,
    hostname_gripe,
    valid_hostaddr,
    valid_hostname,
    valid_mailhost_addr,
    valid_mailhost_literal,
    valid_utf8_hostname,
)


@pytest.mark.parametrize(
    ("name", "gripe"),
    [
        ("a.example", None),
        ("a", None),
        ("_a.b-c.example", None),
        ("1.a", None),
        ("", "empty hostname"),
        ("a.", "misplaced delimiter: a."),
        (".a", "misplaced delimiter: .a"),
        ("a..b", "misplaced delimiter: a..b"),
        ("-a", "misplaced hyphen: -a"),
        ("a-.b", "misplaced hyphen: a-.b"),
        ("a-", "misplaced hyphen: a-"),
        ("a b", "invalid character 32(decimal): a b"),
        ("é", "invalid character 195(decimal): é"),
        ("1.2.3", "numeric hostname: 1.2.3"),
        ("192.0.2.1", "numeric hostname: 192.0.2.1"),
        ("a" * 64, "hostname label too long: " + "a" * 64),
        ("a." * 127 + "ab", "bad length 256 for " + "a." * 50 + "..."),
    ],
)
def test_hostname(name: str, gripe: str | None) -> None:
    said: list[str] = []
    assert valid_hostname(name, said.append) is (gripe is None)
    assert said == ([] if gripe is None else [f"valid_hostname: {gripe}"])
    assert valid_hostname(name) is (gripe is None)


def test_utf8_hostname() -> None:
    assert valid_utf8_hostname("bücher.example")
    assert domain_to_ascii("bücher.example") == "xn--bcher-kva.example"
    assert not valid_utf8_hostname("bücher.example", utf8=False)
    assert not valid_utf8_hostname("")
    assert not valid_utf8_hostname("b..ü")
    said: list[str] = []
    assert not valid_utf8_hostname("\u200d.example", warn=said.append)
    assert said == ["valid_utf8_hostname: malformed UTF-8 domain name"]


@pytest.mark.parametrize(
    ("address", "gripe"),
    [
        ("192.0.2.1", None),
        ("0.0.0.0", None),
        ("::", None),
        ("::1", None),
        ("2001:db8::1", None),
        ("1:2:3:4:5:6:7:8", None),
        ("::ffff:192.0.2.1", None),
        ("", "valid_hostaddr: empty address"),
        ("0.1.2.3", "valid_ipv4_hostaddr: bad initial octet value: 0.1.2.3"),
        ("1.2.3", "valid_ipv4_hostaddr: invalid octet count: 1.2.3"),
        ("1.2.3.4.", "valid_ipv4_hostaddr: misplaced dot: 1.2.3.4."),
        ("1.2.3.256", "valid_ipv4_hostaddr: invalid octet value: 1.2.3.256"),
        ("1.2.3.x", "valid_ipv4_hostaddr: invalid character 120(decimal): 1.2.3.x"),
        (":1", "valid_ipv6_hostaddr: bad null first field in IPv6 address: :1"),
        ("1:", "valid_ipv6_hostaddr: too few `:' in IPv6 address: 1:"),
        ("1:2:3:", "valid_ipv6_hostaddr: bad null last field in IPv6 address: 1:2:3:"),
        ("1::2::3", "valid_ipv6_hostaddr: too many `::' in IPv6 address: 1::2::3"),
        ("12345::", "valid_ipv6_hostaddr: malformed IPv6 address: 12345::"),
        ("::g", "valid_ipv6_hostaddr: invalid character 103(decimal) in IPv6 address: ::g"),
        ("1:2:3:4:5:6:7:8:9", "valid_ipv6_hostaddr: too many `:' in IPv6 address: 1:2:3:4:5:6:7:8:9"),
        ("1:1.2.3.4", "valid_ipv6_hostaddr: malformed IPv4-in-IPv6 address: 1:1.2.3.4"),
        ("::1.2.3", "valid_ipv4_hostaddr: invalid octet count: 1.2.3"),
    ],
)
def test_hostaddr(address: str, gripe: str | None) -> None:
    said: list[str] = []
    assert valid_hostaddr(address, said.append) is (gripe is None)
    assert said == ([] if gripe is None else [gripe])


def test_literals() -> None:
    assert valid_mailhost_addr("IPv6:::1") == "::1"
    assert valid_mailhost_addr("192.0.2.1") == "192.0.2.1"
    assert valid_mailhost_literal("[ipv6:2001:db8::1]")
    assert valid_mailhost_literal("[192.0.2.1]")
    for bad in ("192.0.2.1", "[192.0.2.1", "[192.0.2.1]x", "[321.1.2.3]", "[a.example]", "[]", "[" + "1" * 80 + "]"):
        assert not valid_mailhost_literal(bad), bad


@given(st.text(st.sampled_from("019azAZ._-"), max_size=12) | st.from_regex(r"[a-z0-9]{62,64}(\\.[a-z0-9]{60,62}){1,4}"))
def test_short_way_and_long_way_agree(name: str) -> None:
    assert valid_hostname(name) is (hostname_gripe(name) is None)


@given(st.text(st.sampled_from("01259af:.-_gz[] éİIPv6xn\u200d\0"), max_size=30) | st.text())
def test_nothing_raises(text: str) -> None:
    valid_hostname(text)
    valid_utf8_hostname(text)
    valid_hostaddr(text)
    valid_mailhost_addr(text)
    valid_mailhost_literal(text)
