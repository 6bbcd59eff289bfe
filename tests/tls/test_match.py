import msgspec
import pytest

from gatepost.tls.certificate import Certificate
from gatepost.tls.match import expected_names, matching_name


def certificate(*names: str, cn: str = "", has: bool | None = None) -> Certificate:
    return Certificate(cn, "", names, bool(names) if has is None else has, "", "")


def test_strategies() -> None:
    words = ("nexthop", "Dot-Nexthop", "hostname", "mx.Example.org", ".example.net")
    expected = ("example.com", ".example.com", "mx1.example.com", "mx.example.org", ".example.net")
    assert expected_names(words, nexthop="Example.com", hostname="MX1.example.com") == expected


@pytest.mark.parametrize(
    ("name", "wanted", "one", "many"),
    [
        ("mail.example", "mail.example", True, True),
        ("MAIL.example", "mail.EXAMPLE", True, True),
        ("mail.example", "other.example", False, False),
        ("*.example.com", "mail.example.com", True, True),
        ("*.example.com", "a.mail.example.com", False, True),
        ("*.example.com", "example.com", False, False),
        ("*.example.com", ".example.com", True, True),
        ("mail.example.com", ".example.com", True, True),
        ("a.b.example.com", ".example.com", True, True),
        ("example.com", ".example.com", False, False),
        (".example.com", ".example.com", False, False),
        ("badexample.com", ".example.com", False, False),
        ("*.", "mail.example", False, False),
        ("*", "mail", False, False),
        ("*.com", "example.com", False, False),
        ("m*.example.com", "mail.example.com", False, False),
        ("*.*.com", "a.b.com", False, False),
        ("*.example.com", "mail", False, False),
        ("", "", False, False),
    ],
)
def test_names(name: str, wanted: str, one: bool, many: bool) -> None:
    for multiple, matches in ((False, one), (True, many)):
        assert matching_name(certificate(name), [wanted], multiple_labels=multiple) == (name if matches else "")


def test_any_name_against_any() -> None:
    found = certificate("a.example", "b.example", "c.example")
    assert matching_name(found, ["x.example", "b.example"], multiple_labels=True) == "b.example"
    assert matching_name(found, [], multiple_labels=True) == ""


def test_the_common_name_counts_only_alone() -> None:
    wanted = ["mail.example"]
    assert matching_name(certificate(cn="mail.example"), wanted, multiple_labels=True) == "mail.example"
    assert matching_name(certificate("x.example", cn="mail.example"), wanted, multiple_labels=True) == ""
    assert matching_name(certificate(cn="mail.example", has=True), wanted, multiple_labels=True) == ""


def test_an_address_is_matched_by_addresses_alone() -> None:
    named = msgspec.structs.replace(certificate("192.0.2.1", cn="192.0.2.1"), ip_addresses=("192.0.2.7", "2001:db8::1"))
    assert matching_name(named, ["192.0.2.1"], multiple_labels=True) == ""
    assert matching_name(named, ["192.0.2.7"], multiple_labels=True) == "192.0.2.7"
    assert matching_name(named, ["2001:DB8:0::1"], multiple_labels=True) == "2001:db8::1"
    assert matching_name(named, ["192.0.2.7", ".192.0.2.7"], multiple_labels=True) == ""
    assert matching_name(named, ["192.0.2.7", "2001:db8::2"], multiple_labels=True) == ""
