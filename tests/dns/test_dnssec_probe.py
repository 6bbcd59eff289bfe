import pytest

from gatepost.config.errors import ConfigError
from gatepost.dns.dnssec_probe import ProbingResolver
from gatepost.dns.fake import FakeResolver

ZONE = """
. NS a.root.example
signed.example A 192.0.2.1
plain.example A 192.0.2.2
plain.example INSECURE
sick.example SERVFAIL
"""
UNAVAILABLE = "DNSSEC validation may be unavailable"


async def told(probe: str, *names: str, authentic: bool = False) -> tuple[list[tuple[str, str]], list[str]]:
    """What was asked beside `names`, and the warnings."""
    fake, warnings = FakeResolver(ZONE, authentic=authentic), list[str]()
    resolver = ProbingResolver(fake, probe, warnings.append)
    for name in names:
        await resolver.query(name, "A")
    return [asked for asked in fake.asked if asked[0] not in names], warnings


async def test_nothing_is_authentic() -> None:
    why = "reason: dnssec_probe 'ns:.' received a response that is not DNSSEC validated"
    assert await told("ns:.", "plain.example", "signed.example") == ([(".", "NS")], [UNAVAILABLE, why])


async def test_some_answers_are_authentic() -> None:
    assert await told("ns:.", "signed.example", "plain.example", authentic=True) == ([], [])
    assert await told("ns:.", "plain.example", "plain.example", authentic=True) == ([(".", "NS")], [])


async def test_a_probe_of_ones_own() -> None:
    asked, warnings = await told("a:sick.example", "plain.example", authentic=True)
    assert asked == [("sick.example", "A")]
    why = "Host or domain name not found. Name service error for name=sick.example type=A: Host not found, try again"
    assert warnings == [UNAVAILABLE, f"reason: dnssec_probe 'a:sick.example' received no response: {why}"]


async def test_no_probe() -> None:
    assert await told("", "plain.example") == ([], [])


@pytest.mark.parametrize("probe", ["foo", "ns", "ns:", ":.", "nosuch:example.org"])
def test_bad_probes(probe: str) -> None:
    with pytest.raises(ConfigError, match="format is qtype:qname"):
        ProbingResolver(FakeResolver(), probe, print)
