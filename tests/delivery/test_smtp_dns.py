import random

import pytest

from gatepost.delivery.smtp_addresses import AddressFinder, NoAddress
from gatepost.delivery.smtp_destination import parse_destination
from gatepost.delivery.smtp_dns import FilteredResolver
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.fake import FakeResolver
from tests.tables.surroundings import Surroundings

ZONE = """\
x.example MX 10 a.example
x.example MX 20 b.example
a.example A 192.0.2.1
a.example AAAA 2001:db8::1
b.example A 192.0.2.2
"""
WHY = "Error looking up name=x.example type=MX: "


async def found(rules: str, lines: list[str], name: str = "x.example") -> list[str] | NoAddress:
    maps = Surroundings().tables.maps("smtp_dns_reply_filter", f"pcre:{{ {rules} }}" if rules else "fail:all")
    resolver = FilteredResolver(FakeResolver(ZONE), maps, lines.append, lines.append)
    finder = AddressFinder(SmtpParams(), resolver, None, random.Random(1), frozenset(), lines.append)
    targets = await finder.find(parse_destination(name, "25"))
    return targets if isinstance(targets, NoAddress) else sorted(target.address for target in targets)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("{/ AAAA / IGNORE}", ["192.0.2.1", "192.0.2.2"]),
        ("{/ MX 10 / ignore}", ["192.0.2.2"]),
        ("{/^a.example.* AA?A?A? / IGNORE}", ["192.0.2.2"]),
        ("{/ MX / IGNORE}", NoAddress("4.7.0", f"{WHY}DNS reply filter drops all results")),
        ("{/ MX / REJECT}", NoAddress("4.4.3", f"{WHY}Invalid DNS reply filter syntax")),
        ("", NoAddress("4.4.3", f"{WHY}Invalid DNS reply filter syntax")),
    ],
)  # fmt: skip
async def test_records_are_left_out(rules: str, expected: object) -> None:
    assert await found(rules, []) == expected


async def test_lines() -> None:
    lines: list[str] = []
    await found("{/ MX 10 / IGNORE}", lines)
    assert [line for line in lines if line.startswith("ignoring DNS RR: x.example. ")]
    lines.clear()
    await found("{/ MX 10 / DROP it}", lines)
    assert lines == ['smtp_dns_reply_filter: unknown DNS filter action: "DROP it"']


async def test_a_host_without_any_address_left() -> None:
    answer = await found("{/^b/ IGNORE}", [], "b.example")
    assert isinstance(answer, NoAddress)
    assert answer.dsn == "4.7.0"
