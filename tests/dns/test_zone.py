import os
from pathlib import Path

import pytest

from gatepost.dns.fake import FakeResolver
from gatepost.dns.zone import ZoneError, parse_zone


def test_wildcards_and_names_in_between() -> None:
    zone = parse_zone('*.x.example A 192.0.2.1\nsub.x.example TXT "t"\n')
    assert zone.find("a.b.x.example") == "*.x.example"
    assert zone.find("sub.x.example") == "sub.x.example"
    assert zone.find("a.sub.x.example") is None
    assert zone.find("x.example") is None


@pytest.mark.parametrize("text", ["lonely", "a NOSUCHTYPE x", "a MX ten b", "a A", "a DELAY soon"])
def test_bad_lines_are_named(text: str) -> None:
    with pytest.raises(ZoneError, match="line 2"):
        parse_zone(f"# first\n{text}\n")


async def test_the_conformance_zone() -> None:
    path = Path(os.environ.get("GATEPOST_CONFORMANCE", "../shared/conformance")) / "zone.txt"
    if not path.exists():
        pytest.skip("no conformance cases here")
    resolver = FakeResolver.from_file(path)
    answer = await resolver.query("3.0.0.127.dnsbltest.porcupine.org", "TXT")
    assert [r.data for r in answer.records] == ["DNS blocklist test"]
