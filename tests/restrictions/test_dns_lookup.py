import pytest

from gatepost.dns.answers import RRType
from gatepost.dns.fake import FakeResolver
from gatepost.restrictions.dns_lookup import DnsLookup, Found, Status
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.restrictions.world import LogLines

ZONE = """
both.example        A     192.0.2.1
both.example        AAAA  2001:db8::1
four.example        A     192.0.2.4
mail.example        MX    10 both.example
mail.example        MX    20 four.example
mail.example        TXT   "text"
null.example        MX    0 .
digits.example      MX    10 192.0.2.9
bad.example         MX    10 -bad-.example
half.example        MX    10 -bad-.example
half.example        MX    20 both.example
sick.example        SERVFAIL
nothing.example     TXT   "nothing"
"""


class Hosts:
    def addresses(self, name: str) -> tuple[str, ...]:
        return ("127.0.0.1", "::1") if name == "localhost" else ()


class Asking:
    """A DnsLookup with its log."""

    def __init__(self, reply_filter: str = "", zone: str = ZONE, versions: tuple[int, ...] = (4, 6)) -> None:
        self.log = LogLines()
        self.resolver = FakeResolver(zone)
        tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=self.log.warning))
        maps = tables.maps("smtpd_dns_reply_filter", reply_filter)
        self.dns = DnsLookup(self.resolver, maps, self.log, frozenset(versions), Hosts())


def data(found: Found) -> list[str]:
    return [record.data for record in found.records]


@pytest.mark.parametrize(
    ("name", "rrtype", "status", "error"),
    [
        ("mail.example", "MX", Status.OK, ""),
        ("nosuch.example", "MX", Status.NOT_FOUND, "Host not found"),
        ("nothing.example", "MX", Status.NOT_FOUND, "Host found but no data record of requested type"),
        ("sick.example", "A", Status.RETRY, "Host not found, try again"),
        ("bad.example", "MX", Status.INVALID, "Malformed or unexpected name server reply"),
        ("null.example", "MX", Status.NULL_MX, "Domain null.example does not accept mail (nullMX)"),
        ("no..name", "A", Status.NOT_FOUND, "Host not found"),
        ("192.0.2.1", "A", Status.NOT_FOUND, "Host not found"),
    ],
)
async def test_outcomes(name: str, rrtype: RRType, status: Status, error: str) -> None:
    found = await Asking().dns.lookup(name, rrtype)
    assert (found.status, found.error) == (status, error)
    assert bool(found.records) is (status is Status.OK)


async def test_the_long_form_of_an_error() -> None:
    dns = Asking().dns
    assert (await dns.lookup("sick.example", "A")).why == (
        "Host or domain name not found. Name service error for name=sick.example type=A: Host not found, try again"
    )
    assert (await dns.lookup("bad.example", "MX")).why == (
        "Name service error for name=bad.example type=MX: Malformed or unexpected name server reply"
    )


async def test_what_cannot_be_in_dns_is_not_asked_for() -> None:
    asking = Asking()
    await asking.dns.lookup("-x.example", "A")
    assert await asking.dns.addresses("[192.0.2.1]") == ([], "Name or service not known")
    assert asking.resolver.asked == []


async def test_bad_names_in_answers_are_told_of() -> None:
    asking = Asking()
    assert data(await asking.dns.lookup("half.example", "MX")) == ["both.example"]
    assert data(await asking.dns.lookup("digits.example", "MX")) == ["192.0.2.9"]
    assert asking.log.lines == [
        "warning: valid_hostname: misplaced hyphen: -bad-.example",
        "warning: malformed domain name in resource data of MX record for half.example: -bad-.example",
        "warning: numeric domain name in resource data of MX record for digits.example: 192.0.2.9",
    ]


async def test_a_hundred_records_are_enough() -> None:
    asking = Asking(zone="\n".join(f"many.example A 192.0.2.{number}" for number in range(120)))
    assert len((await asking.dns.lookup("many.example", "A")).records) == 100
    assert asking.log.lines == [
        "warning: DNS record count limit (100) exceeded -- dropping excess record(s) after qname=many.example qtype=A"
    ]


@pytest.mark.parametrize(
    ("name", "mx_decides", "status", "asked"),
    [
        ("mail.example", True, Status.OK, "MX"),
        ("four.example", True, Status.OK, "MX A"),
        ("null.example", True, Status.NULL_MX, "MX"),
        ("null.example", False, Status.NULL_MX, "MX A AAAA"),
        ("bad.example", True, Status.INVALID, "MX"),
        ("bad.example", False, Status.INVALID, "MX A AAAA"),
        ("sick.example", True, Status.RETRY, "MX A AAAA"),
        ("nothing.example", True, Status.NOT_FOUND, "MX A AAAA"),
    ],
)
async def test_several_types(name: str, mx_decides: bool, status: Status, asked: str) -> None:
    asking = Asking()
    found = await asking.dns.first(name, ("MX", "A", "AAAA"), mx_decides=mx_decides)
    assert found.status is status
    assert [rrtype for _, rrtype in asking.resolver.asked] == asked.split()


async def test_a_filter_drops_records() -> None:
    asking = Asking("regexp:{{/^mail\\.example\\. 3600 IN MX 10 both\\.example\\.$/ Ignore it}}")
    assert data(await asking.dns.lookup("mail.example", "MX")) == ["four.example"]
    assert asking.log.lines == ["ignoring DNS RR: mail.example. 3600 IN MX 10 both.example."]


async def test_a_filter_drops_all() -> None:
    asking = Asking("static:IGNORE")
    found = await asking.dns.lookup("four.example", "A")
    assert found.status is Status.POLICY
    assert found.error == "DNS reply filter policy"
    assert found.why == "Error looking up name=four.example type=A: DNS reply filter drops all results"
    # Of MX records it decides where the question is for mail; of addresses it does not.
    assert (await asking.dns.first("mail.example", ("MX", "A"), mx_decides=True)).status is Status.POLICY
    assert (await asking.dns.first("both.example", ("A", "AAAA"), mx_decides=True)).status is Status.POLICY
    assert [name for name, _ in asking.resolver.asked] == ["four.example", "mail.example", *["both.example"] * 2]


@pytest.mark.parametrize(
    ("table", "warning"),
    [
        ("static:REJECT", 'smtpd_dns_reply_filter: unknown DNS filter action: "REJECT"'),
        ("fail:down", 'fail:down lookup error for "four.example. 3600 IN A 192.0.2.4"'),
    ],
)
async def test_a_filter_that_makes_no_sense_is_trouble(table: str, warning: str) -> None:
    asking = Asking(table)
    found = await asking.dns.lookup("four.example", "A")
    assert found.status is Status.RETRY
    assert found.why == "Error looking up name=four.example type=A: Invalid DNS reply filter syntax"
    assert asking.log.lines == [f"warning: {warning}"]


@pytest.mark.parametrize(
    ("host", "versions", "addresses", "error"),
    [
        ("both.example", (4, 6), ["192.0.2.1", "2001:db8::1"], ""),
        ("both.example", (6,), ["2001:db8::1"], ""),
        ("four.example", (6,), [], "No address associated with hostname"),
        ("nosuch.example", (4, 6), [], "Name or service not known"),
        ("sick.example", (4, 6), [], "Temporary failure in name resolution"),
        ("localhost", (4, 6), ["127.0.0.1", "::1"], ""),
        ("localhost", (4,), ["127.0.0.1"], ""),
    ],
)
async def test_addresses(host: str, versions: tuple[int, ...], addresses: list[str], error: str) -> None:
    assert await Asking("static:IGNORE", versions=versions).dns.addresses(host) == (addresses, error)


async def test_every_address_is_filtered() -> None:
    dns = Asking("regexp:{{/ IN A / IGNORE}}").dns
    assert data(await dns.every("both.example")) == ["2001:db8::1"]
    assert (await Asking("static:IGNORE").dns.every("both.example")).status is Status.POLICY
    assert (await Asking().dns.every("sick.example")).status is Status.RETRY
    assert (await Asking(versions=(6,)).dns.every("four.example")).status is Status.NOT_FOUND
