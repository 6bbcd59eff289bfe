"""transport(5): entries, and the search for them."""

import re

import pytest

from gatepost.rewrite.transport import Route, TransportMaps, overridden, with_nexthop
from tests.rewrite.services import Services
from tests.tables.surroundings import conformance


async def test_conformance() -> None:
    script = conformance("units/transport.in").read_text()
    groups = re.findall(r"/transport '([^']*)' +<<'EOF'\n(.*?)EOF\n", script, flags=re.S)
    assert len(groups) == 6
    for spec, lines in groups:
        services = Services()
        maps = TransportMaps(services.tables.maps("transport_maps", spec), parents_match=False, recipient_delimiter="+")
        for line in lines.splitlines():
            recipient, transport, nexthop = [*line.split(":"), "", ""][:3]
            entry = await maps.find(recipient)
            if not transport:
                assert entry is None, line
                continue
            assert entry is not None, line
            domain = recipient.rpartition("@")[2]
            assert overridden(entry, Route("DEFAULT", domain), domain) == (transport, nexthop), line


@pytest.mark.parametrize(
    ("entry", "route"),
    [
        (":", ("smtp", "relay")),
        (":[h]:25", ("smtp", "[h]:25")),
        ("slow", ("slow", "a.example")),
        ("slow:", ("slow", "a.example")),
        ("slow:[h]:25", ("slow", "[h]:25")),
        ("error", ("error", "Address is undeliverable")),
        ("retry:", ("retry", "Address is undeliverable")),
        ("error:5.1.2 gone: for good", ("error", "5.1.2 gone: for good")),
    ],
)
def test_entries(entry: str, route: tuple[str, str]) -> None:
    assert overridden(entry, Route("smtp", "relay"), "a.example") == route


def test_parameter_values() -> None:
    assert with_nexthop("smtp", "a.example") == ("smtp", "a.example")
    assert with_nexthop("local:mail.ours.example", "ours.example") == ("local", "mail.ours.example")
    assert with_nexthop("lmtp:unix:/socket", "a.example") == ("lmtp", "unix:/socket")


async def test_parents() -> None:
    tables = Services().tables
    for text, parents_match, found in (
        ("inline:{a.example=x}", True, "x"),
        ("inline:{a.example=x}", False, None),
        ("inline:{.a.example=x}", False, "x"),
        ("static:x", False, "x"),
        ("regexp:{ {/^[*]$/ x} }", False, None),
    ):
        maps = TransportMaps(tables.maps("transport_maps", text), parents_match=parents_match, recipient_delimiter="")
        assert await maps.find("joe@b.a.example") == found, (text, parents_match)
