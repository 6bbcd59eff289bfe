import pytest

from gatepost.dns.answers import RRType
from gatepost.dns.hostname import acceptable_target, query_name


@pytest.mark.parametrize(
    ("name", "rrtype", "asked"),
    [
        ("Mail.Example.", "A", "mail.example"),
        ("_25._tcp.mail.example", "A", "_25._tcp.mail.example"),
        ("grün.example", "MX", "xn--grn-ioa.example"),
        ("GRÜN.example", "MX", "xn--grn-ioa.example"),
        ("0/25.2.0.192.in-addr.arpa", "PTR", "0/25.2.0.192.in-addr.arpa"),
        ("0/25.2.0.192.in-addr.arpa", "A", None),
        ("", "A", None),
        (".", "MX", None),
        ("192.0.2.1", "A", None),
        ("a..b", "A", None),
        ("-a.example", "A", None),
        ("a-.example", "A", None),
        ("a b.example", "A", None),
        ("x" * 63 + ".example", "A", "x" * 63 + ".example"),
        ("x" * 64 + ".example", "A", None),
        ("x." * 127 + "y", "A", "x." * 127 + "y"),
        ("x." * 128 + "y", "A", None),
    ],
)
def test_what_may_be_asked(name: str, rrtype: RRType, asked: str | None) -> None:
    assert query_name(name, rrtype) == asked


@pytest.mark.parametrize(
    ("name", "acceptable"),
    [("", True), ("mail.example", True), ("192.0.2.1", True), ("192.0.2.256", False), ("a b", False), ("1.2.3", False)],
)
def test_what_may_stand_in_an_answer(name: str, acceptable: bool) -> None:
    assert acceptable_target(name) is acceptable
