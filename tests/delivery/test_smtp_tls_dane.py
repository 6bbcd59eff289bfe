"""Which TLSA records a server has; what comes of them is in test_smtp_tls_policy.py and tests/compat/test_dane.py."""

from typing import Any

import pytest

from gatepost.delivery.smtp_addresses import Origin, Target
from gatepost.delivery.smtp_tls_dane import Dane, NotSigned, Signed
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.dns.fake import FakeResolver

EE, TA, PKIX = "3 1 1 " + "ab" * 32, "2 0 1 " + "cd" * 32, "0 0 1 " + "ef" * 32


async def found(zone: str, origin: Origin, port: int = 25, **params: Any) -> tuple[Signed | NotSigned, list[str]]:
    """What is found for a server, and warnings."""
    warnings: list[str] = []
    given = SmtpTlsParams(dns_support_level="dnssec", dane_insecure_mx_policy="dane", **params)
    dane = Dane(given, FakeResolver(zone, authentic=True), warnings.append)
    return await dane.find("dane", "a.example", Target("mx.example", "192.0.2.1", port, origin=origin)), warnings


DIRECT = Origin("mx.example", "mx.example", True)
ALIAS = Origin("mx.example", "real.example", True)
ASTRAY = Origin("mx.example", "real.example", False)
NONE = NotSigned("destination", "no TLSA records found")
ERROR = NotSigned("unknown", "TLSA lookup error for mx.example:25")
OF_ALIAS, OF_REAL = f"_25._tcp.mx.example TLSA {EE}\n", f"_25._tcp.real.example TLSA {EE}\n"
LINK = "mx.example CNAME real.example\n"


@pytest.mark.parametrize(
    ("zone", "origin", "base"),
    [
        (OF_ALIAS, DIRECT, "mx.example"),
        (OF_ALIAS, Origin("mx.example", "mx.example", False), NONE),
        (OF_ALIAS + "_25._tcp.mx.example INSECURE", DIRECT, NONE),
        (OF_REAL, ALIAS, "real.example"),
        (OF_REAL + OF_ALIAS, ALIAS, "real.example"),
        (OF_ALIAS, ALIAS, "mx.example"),
        (OF_ALIAS + "_25._tcp.real.example SERVFAIL", ALIAS, ERROR),
        (OF_ALIAS + "_25._tcp.real.example GARBAGE", ALIAS, ERROR),
        (OF_REAL + OF_ALIAS + LINK, ASTRAY, "mx.example"),
        (OF_REAL + LINK, ASTRAY, NONE),
        (OF_REAL + OF_ALIAS + LINK + "mx.example INSECURE", ASTRAY, NONE),
        (OF_REAL + OF_ALIAS + "mx.example SERVFAIL", ASTRAY, ERROR),
        ("_25._tcp.mx.example SERVFAIL", DIRECT, ERROR),
        ("", DIRECT, NONE),
    ],
)
async def test_the_base_domain(zone: str, origin: Origin, base: str | NotSigned) -> None:
    """RFC 7672 2.2.2. What cannot be known is never taken for what is not there."""
    signed, warnings = await found(zone, origin)
    assert (signed.base if isinstance(signed, Signed) else signed) == base
    assert bool(warnings) == (base == ERROR)


async def test_the_port_counts() -> None:
    signed, _ = await found(f"_587._tcp.mx.example TLSA {EE}\n_25._tcp.mx.example TLSA {TA}", DIRECT, 587)
    assert isinstance(signed, Signed)
    assert [record.usage for record in signed.records] == [3]


async def test_names() -> None:
    """RFC 7672 3.2.2: the server's, the destination's, and where the destination's aliases end."""
    origin = Origin("mx.example", "mx.example", True, "a.example", "b.example")
    signed, _ = await found(OF_ALIAS + f"_25._tcp.mx.example TLSA {TA}", origin)
    assert isinstance(signed, Signed) and signed.names == ("mx.example", "b.example", "a.example")
    signed, _ = await found(f"_25._tcp.mx.example TLSA {TA}", Origin("mx.example", "mx.example", True, "a.b", "a.b"))
    assert isinstance(signed, Signed) and signed.names == ("mx.example", "a.b")


async def test_usages_of_public_authorities_do_not_count() -> None:
    signed, warnings = await found(f"_25._tcp.mx.example TLSA {PKIX}", DIRECT)
    assert signed == NotSigned("records", "TLSA records unusable")
    line = f"_25._tcp.mx.example unsupported TLSA certificate usage: 0 0 1 {'EF' * 32}"
    assert warnings == [line]
    signed, warnings = await found(f"_25._tcp.mx.example TLSA {PKIX}\n{OF_ALIAS}", DIRECT)
    assert isinstance(signed, Signed) and len(signed.records) == 1
    assert warnings == [line]


async def test_the_order_of_records_makes_no_difference() -> None:
    records = [f"_25._tcp.mx.example TLSA {record}\n" for record in (EE, TA, "3 1 1 " + "00" * 32)]
    first, _ = await found("".join(records), DIRECT)
    then, _ = await found("".join(reversed(records)), DIRECT)
    assert isinstance(first, Signed) and first == then


async def test_hosts_that_are_not_signed_may_be_asked_about_anyway() -> None:
    insecure = Origin("mx.example", "mx.example", False)
    signed, _ = await found(OF_ALIAS, insecure, force_insecure_host_tlsa_lookup=True)
    assert isinstance(signed, Signed)


async def test_an_address_that_dns_has_not_told() -> None:
    given = SmtpTlsParams(dns_support_level="dnssec")
    dane = Dane(given, FakeResolver("", authentic=True), print)
    assert await dane.find("dane", "[192.0.2.1]", Target("192.0.2.1", "192.0.2.1", 25)) == NONE


async def test_names_that_may_be_forged() -> None:
    forgeable = Origin("mx.example", "mx.example", True, "a.example", "a.example", True)
    signed, _ = await found(OF_ALIAS, forgeable)
    assert isinstance(signed, Signed) and signed.forgeable
    given = SmtpTlsParams(dns_support_level="dnssec")
    resolver = FakeResolver(OF_ALIAS, authentic=True)
    dane = Dane(given, resolver, print)
    for level, insecure in (("dane", "may"), ("dane-only", "dane")):
        dane = Dane(SmtpTlsParams(dns_support_level="dnssec", dane_insecure_mx_policy=insecure), resolver, print)
        unsigned = await dane.find(level, "a.example", Target("mx.example", "192.0.2.1", 25, origin=forgeable))
        assert unsigned == NotSigned("destination", "non DNSSEC destination")
    assert resolver.asked == []
