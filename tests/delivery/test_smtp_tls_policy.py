"""Levels and policies; the words about bad ones are compared with Postfix in tests/compat/test_outgoing_tls.py."""

from typing import Any

import pytest

from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.delivery.smtp_tls_policy import BadPolicy, Level, Policies, TlsPolicy
from gatepost.tables.maps import Maps


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
    return Policies(
        SmtpTlsParams(**params), opened[0], opened[1], read or (lambda path: b""), warnings.append
    ), warnings


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
