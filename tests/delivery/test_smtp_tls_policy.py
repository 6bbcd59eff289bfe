"""Levels and policies; the words about bad ones are compared with Postfix in tests/compat/test_outgoing_tls.py."""

from typing import Any

import pytest

from gatepost.delivery.smtp_addresses import Origin, Target
from gatepost.delivery.smtp_tls_dane import Dane
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.delivery.smtp_tls_policy import BadPolicy, Level, Policies, TlsPolicy
from gatepost.dns.fake import FakeResolver
from gatepost.tables.maps import Maps

SIGNED, PLAIN = "3 1 1 " + "ab" * 32, "1 1 1 " + "ab" * 32
ZONE = f"""
_25._tcp.signed.example TLSA {SIGNED}
_25._tcp.useless.example TLSA {PLAIN}
_25._tcp.sick.example SERVFAIL
"""


class Noting:
    """A table that keeps what it was asked."""

    name = "noting:"
    fixed = True

    def __init__(self, **entries: str) -> None:
        self.entries = entries
        self.asked: list[str] = []

    async def lookup(self, key: str) -> str | None:
        self.asked.append(key)
        return self.entries.get(key)


def policies(
    maps: Noting | None = None, per_site: Noting | None = None, read: Any = None, **params: Any
) -> tuple[Policies, list[str]]:
    warnings: list[str] = []
    opened = [None if table is None else Maps("smtp_tls_x", [table], warnings.append) for table in (maps, per_site)]
    given = SmtpTlsParams(**params)
    dane = Dane(given, FakeResolver(ZONE, authentic=True), warnings.append)
    return Policies(given, opened[0], opened[1], read or (lambda path: b""), warnings.append, dane), warnings


@pytest.mark.parametrize(
    ("nexthop", "asked"),
    [
        ("mail.example.com", ["mail.example.com", ".example.com", ".com"]),
        ("[mail.example.com]", ["[mail.example.com]"]),
        ("[mail.example.com]:587", ["[mail.example.com]:587"]),
        ("mail.example.com:587", ["mail.example.com:587"]),
        ("[192.0.2.1]", ["[192.0.2.1]"]),
        ("/var/run/lmtp.sock", ["/var/run/lmtp.sock"]),
    ],
)
async def test_keys(nexthop: str, asked: list[str]) -> None:
    table = Noting()
    found, _ = policies(table)
    assert (await found.find(nexthop, "mx.example.com")).level is Level.NONE
    assert table.asked == asked


async def test_a_subdomain_has_its_parents_policy() -> None:
    found, _ = policies(Noting(**{".example.com": "secure", "a.example.com": "none"}), security_level="may")
    assert (await found.find("b.example.com", "x")).level is Level.SECURE
    assert (await found.find("a.example.com", "x")).level is Level.NONE
    assert (await found.find("example.com", "x")).level is Level.MAY
    assert (await found.find("b.example.com:25", "x")).level is Level.MAY


@pytest.mark.parametrize(
    ("params", "level"),
    [
        ({}, "none"),
        ({"use_tls": True}, "may"),
        ({"enforce_tls": True}, "verify"),
        ({"enforce_tls": True, "enforce_peername": False}, "encrypt"),
        ({"security_level": "encrypt", "use_tls": False, "enforce_tls": True}, "encrypt"),
        ({"security_level": "none", "enforce_tls": True}, "none"),
    ],
)
async def test_the_level_of_main_cf(params: dict[str, Any], level: str) -> None:
    found, _ = policies(**params)
    assert (await found.find("example.com", "mx")).level.word == level


@pytest.mark.parametrize(
    ("nexthop", "host", "usual", "level"),
    [
        ("NONE", "MAY", "verify", "none"),
        ("MAY", "NONE", "verify", "none"),
        ("MAY", "", "verify", "verify"),
        ("MAY", "MAY", "none", "may"),
        ("NONE", "MUST", "may", "verify"),
        ("MUST", "NONE", "may", "verify"),
        ("MUST", "MUST_NOPEERMATCH", "may", "verify"),
        ("MUST_NOPEERMATCH", "", "secure", "encrypt"),
        ("", "", "encrypt", "encrypt"),
    ],
)
async def test_two_per_site_policies(nexthop: str, host: str, usual: str, level: str) -> None:
    entries = {name: value for name, value in (("d.example", nexthop), ("mx.example", host)) if value}
    found, _ = policies(per_site=Noting(**entries), security_level=usual)
    assert found.by_host
    assert (await found.find("d.example", "mx.example")).level.word == level


async def test_what_a_policy_leaves_open() -> None:
    found, _ = policies(
        Noting(a="may", b="encrypt", c="secure exclude=x protocols=TLSv1.2 ciphers=high match=n servername=s"),
        ciphers="low", exclude_ciphers="e1", mandatory_exclude_ciphers="e2, e3", mandatory_protocols="TLSv1.3",
    )  # fmt: skip
    may, encrypt, secure = [await found.find(name, "mx") for name in ("a", "b", "c")]
    assert may == TlsPolicy(level=Level.MAY, ciphers="low", exclude="e1", protocols=">=TLSv1")
    assert encrypt == TlsPolicy(level=Level.ENCRYPT, ciphers="medium", exclude="e1 e2 e3 eNULL", protocols="TLSv1.3")
    assert secure == TlsPolicy(
        level=Level.SECURE, ciphers="high", exclude="x aNULL", protocols="TLSv1.2", match=("n",), servername="s"
    )
    assert len({may.key, encrypt.key, secure.key}) == 3


async def test_trust_anchors_that_cannot_be_read() -> None:
    def read(path: str) -> bytes:
        raise PermissionError(13, "Permission denied", path)

    found, warnings = policies(read=read, security_level="secure", trust_anchor_file="/a, /b")
    with pytest.raises(BadPolicy, match="client TLS configuration problem"):
        await found.find("example.com", "mx")
    assert warnings == ["error opening trust anchor file: /a: Permission denied"]


def server(host: str, *, forgeable: bool = False, authentic: bool = True) -> Target:
    return Target(host, "192.0.2.1", 25, origin=Origin(host, host, authentic, "a.example", "a.example", forgeable))


async def told(found: Policies, target: Target) -> str:
    """The level, or why there is none."""
    try:
        return (await found.find("a.example", target.host, target)).level.word
    except BadPolicy as bad:
        return bad.failure.text


UNKNOWN = "TLSA lookup error for sick.example:25"


@pytest.mark.parametrize(
    ("host", "dane", "only"),
    [
        ("signed.example", "dane", "dane-only"),
        ("unsigned.example", "may", "no TLSA records found"),
        ("useless.example", "encrypt", "TLSA records unusable"),
        ("sick.example", UNKNOWN, UNKNOWN),
    ],
)
async def test_what_dane_comes_to(host: str, dane: str, only: str) -> None:
    for level, outcome in (("dane", dane), ("dane-only", only)):
        found, _ = policies(security_level=level, dns_support_level="dnssec")
        assert await told(found, server(host)) == outcome
        found, _ = policies(Noting(**{"a.example": level}), dns_support_level="dnssec")
        assert await told(found, server(host)) == outcome
        found, _ = policies(per_site=Noting(**{"a.example": "MAY"}), security_level=level, dns_support_level="dnssec")
        assert await told(found, server(host)) == outcome


@pytest.mark.parametrize(
    ("insecure", "signed", "unsigned", "useless"),
    [
        ("may", "may", "may", "may"),
        ("encrypt", "encrypt", "may", "encrypt"),
        ("dane", "half-dane", "may", "encrypt"),
    ],
)
async def test_servers_whose_names_may_be_forged(insecure: str, signed: str, unsigned: str, useless: str) -> None:
    found, _ = policies(security_level="dane", dns_support_level="dnssec", dane_insecure_mx_policy=insecure)
    hosts = ("signed.example", "unsigned.example", "useless.example")
    assert [await told(found, server(host, forgeable=True)) for host in hosts] == [signed, unsigned, useless]
    found, _ = policies(security_level="dane-only", dns_support_level="dnssec", dane_insecure_mx_policy=insecure)
    assert await told(found, server("signed.example", forgeable=True)) == "non DNSSEC destination"


async def test_what_dane_asks_of_a_connection() -> None:
    found, _ = policies(
        security_level="dane", dns_support_level="dnssec", exclude_ciphers="X", mandatory_ciphers="high",
        protocols=">=TLSv1.1", mandatory_protocols=">=TLSv1.2", servername="other.example",
    )  # fmt: skip
    general = await found.find("a.example", "")
    assert general.by_server
    policy = await found.find("a.example", "signed.example", server("signed.example"))
    assert not policy.by_server and policy.required and policy.verified
    assert [str(record) for record in policy.tlsa] == [SIGNED[:6] + "AB" * 32]
    assert (policy.servername, policy.ciphers, policy.protocols) == ("signed.example", "high", ">=TLSv1.2")
    assert policy.exclude == "X aNULL"
    fallback = await found.find("a.example", "unsigned.example", server("unsigned.example"))
    assert (fallback.protocols, fallback.exclude, fallback.tlsa) == (">=TLSv1.1", "X", ())
    assert len({policy.key, fallback.key, general.key}) == 3


@pytest.mark.parametrize(
    "broken",
    [
        {"dns_support_level": ""}, {"dns_support_level": "enabled"}, {"host_lookup": ("native",)},
        {"ignore_mx_lookup_error": True}, {"dns_resolver_options": "res_defnames"},
    ],
)  # fmt: skip
async def test_configurations_that_dane_cannot_do_with(broken: dict[str, Any]) -> None:
    for level, outcome in (("dane", "may"), ("dane-only", "client TLS configuration problem")):
        given = {"security_level": level, "dns_support_level": "dnssec", **broken}
        found, warnings = policies(**given)
        assert await told(found, server("signed.example")) == outcome
        assert len(warnings) == 1 and warnings[0].startswith("a.example: ")
        await told(found, server("signed.example"))
        assert warnings[1:] == warnings[:1], "as Postfix, which says so for each delivery"


async def test_no_dane_over_unix_sockets() -> None:
    found, warnings = policies(security_level="dane", dns_support_level="dnssec")
    assert await told(found, Target("me.example", "/run/lmtp", 0)) == "client TLS configuration problem"
    text = 'a.example: the "dane" security level is invalid for delivery via unix-domain sockets'
    assert warnings == [text]
