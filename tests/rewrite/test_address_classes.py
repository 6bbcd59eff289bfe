"""Which domains are ours."""

import pytest

from gatepost.rewrite.address_classes import AddressClass, LocalDomains
from gatepost.tables.match_list import MatchList
from tests.rewrite.services import Services


@pytest.mark.parametrize(
    ("domain", "local"),
    [
        ("mail.ours.example", True),
        ("MAIL.ours.example", True),
        ("mail.ours.example.", True),
        ("mail.ours.example..", False),
        ("sub.mail.ours.example", False),
        ("localhost", True),
        ("a.example", False),
        ("", False),
        (".", False),
        ("[192.0.2.25]", True),
        ("[192.0.2.26]", False),
        ("192.0.2.25", False),
        ("[IPv6:::1]", True),
        ("[ipv6:0:0:0:0:0:0:0:1]", True),
        ("[::1]", False),
        ("[IPv6:1:2:3]", False),
        ("[", False),
        ("[]", False),
    ],
)
async def test_local_domains(domain: str, local: bool) -> None:
    assert await Services().all.local_domains.is_local_domain(domain) is local
    assert await Services().all.resolver.is_local_domain(domain) is local


async def test_origin() -> None:
    services = Services(myorigin="Ours.example")
    assert await services.all.local_domains.is_local_or_origin("ours.example")
    assert not await services.all.local_domains.is_local_domain("ours.example")


def test_own_addresses_may_have_a_zone() -> None:
    tables = Services().tables
    LocalDomains(MatchList.compile("mydestination", "", tables, match_parent=False), ("fe80::1%eth0",), "a")
    with pytest.raises(ValueError, match="example"):
        LocalDomains(MatchList.compile("mydestination", "", tables, match_parent=False), ("a.example",), "a")


async def test_classes() -> None:
    services = Services(
        virtual_alias_domains="va.example", virtual_mailbox_domains="vm.example", relay_domains="rel.example"
    )
    found = {
        domain: await services.all.classes.classify(domain)
        for domain in ("va.example", "sub.va.example", "vm.example", "rel.example", "sub.rel.example", "a.example")
    }
    assert list(found.values()) == [
        AddressClass.VIRTUAL_ALIAS,
        AddressClass.DEFAULT,
        AddressClass.VIRTUAL_MAILBOX,
        AddressClass.RELAY,
        AddressClass.RELAY,
        AddressClass.DEFAULT,
    ]
