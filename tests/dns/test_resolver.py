"""The resolver contract over the real resolver (against a real server) and its double; then the real one alone."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gatepost.dns.answers import Answer, Resolver
from gatepost.dns.fake import FakeResolver
from gatepost.dns.resolver import DnsResolver
from gatepost.dns.servers import FixedServers, Server, ServerSettings, parse_servers
from tests.dns_server import DnsServer, running_dns_server

ZONE = """
example.org           MX    20 mail2.example.org
example.org           MX    10 mail1.example.org
example.org           TXT   "v=spf1 -all"
mail1.example.org     A     192.0.2.1
mail1.example.org     A     192.0.2.2
mail1.example.org     AAAA  2001:db8::1
null.example.org      MX    0 .
digits.example.org    MX    10 192.0.2.9
bad.example.org       MX    10 under-.example.org
half.example.org      MX    10 under-.example.org
half.example.org      MX    20 mail1.example.org
alias.example.org     CNAME mail1.example.org
chain.example.org     CNAME alias.example.org
dangling.example.org  CNAME nowhere.example.org
noaddress.example.org CNAME example.org
loop1.example.org     CNAME loop2.example.org
loop2.example.org     CNAME loop1.example.org
sick.example.org      SERVFAIL
*.wild.example.org    A     192.0.2.7
big.example.org       TRUNCATE
big.example.org       A     192.0.2.8
rubbish.example.org   GARBAGE
1.2.0.192.in-addr.arpa PTR  mail1.example.org
xn--bcher-kva.example A     192.0.2.4
_25._tcp.example.org  TXT   "underscores are fine"
example.org           SRV   5 25 mail1.example.org.
"""


def settings_of(server: DnsServer, limit: float = 5.0) -> ServerSettings:
    return ServerSettings((Server(server.host, server.port),), limit, 2)


@pytest.fixture(params=["fake", "real"])
async def resolver(request: pytest.FixtureRequest) -> AsyncIterator[Resolver]:
    zone = "\n".join(line for line in ZONE.splitlines() if " SRV " not in line)
    if request.param == "fake":
        yield FakeResolver(zone)
        return
    async with running_dns_server(zone) as server:
        real = DnsResolver(FixedServers(settings_of(server)), time.monotonic)
        yield real
        await real.close()


def data(answer: Answer) -> list[str]:
    assert answer.outcome == "found", answer
    return sorted(record.data for record in answer.records)


async def test_addresses(resolver: Resolver) -> None:
    answer = await resolver.query("mail1.example.org", "A")
    assert data(answer) == ["192.0.2.1", "192.0.2.2"]
    assert answer.ttl == 3600
    assert data(await resolver.query("mail1.example.org", "AAAA")) == ["2001:db8::1"]


async def test_names_may_come_in_any_case_and_with_a_final_dot(resolver: Resolver) -> None:
    assert data(await resolver.query("MAIL1.Example.ORG.", "AAAA")) == ["2001:db8::1"]


async def test_mx_with_preferences(resolver: Resolver) -> None:
    answer = await resolver.query("example.org", "MX")
    assert sorted((r.preference, r.data) for r in answer.records) == [
        (10, "mail1.example.org"),
        (20, "mail2.example.org"),
    ]


async def test_null_mx_has_empty_data(resolver: Resolver) -> None:
    assert data(await resolver.query("null.example.org", "MX")) == [""]


async def test_an_address_as_mx_passes_other_malformed_names_do_not(resolver: Resolver) -> None:
    assert data(await resolver.query("digits.example.org", "MX")) == ["192.0.2.9"]
    bad = await resolver.query("bad.example.org", "MX")
    assert (bad.outcome, bad.malformed) == ("invalid", ("under-.example.org",))
    half = await resolver.query("half.example.org", "MX")
    assert (data(half), half.malformed) == (["mail1.example.org"], ("under-.example.org",))


async def test_text_and_reverse(resolver: Resolver) -> None:
    assert data(await resolver.query("example.org", "TXT")) == ["v=spf1 -all"]
    assert data(await resolver.query("1.2.0.192.in-addr.arpa", "PTR")) == ["mail1.example.org"]
    assert data(await resolver.query("_25._tcp.example.org", "TXT")) == ["underscores are fine"]


async def test_names_in_other_scripts(resolver: Resolver) -> None:
    assert data(await resolver.query("Bücher.example", "A")) == ["192.0.2.4"]


@pytest.mark.parametrize("name", ["alias.example.org", "chain.example.org"])
async def test_aliases_are_followed_and_records_carry_the_final_name(resolver: Resolver, name: str) -> None:
    answer = await resolver.query(name, "A")
    assert data(answer) == ["192.0.2.1", "192.0.2.2"]
    assert {r.name for r in answer.records} == {"mail1.example.org"}
    assert data(await resolver.query("alias.example.org", "CNAME")) == ["mail1.example.org"]


@pytest.mark.parametrize(
    ("name", "rrtype", "outcome"),
    [
        ("nowhere.example.org", "A", "no_name"),
        ("mail1.example.org", "MX", "no_data"),
        ("dangling.example.org", "A", "no_name"),
        ("noaddress.example.org", "A", "no_data"),
        ("loop1.example.org", "A", "no_data"),
        ("sick.example.org", "A", "try_again"),
        ("rubbish.example.org", "A", "try_again"),
        ("", "A", "invalid"),
        (".", "MX", "invalid"),
        ("a..b", "A", "invalid"),
        ("-x.example.org", "A", "invalid"),
        ("has blank.example.org", "A", "invalid"),
        ("12.34", "A", "invalid"),
        ("x" * 64 + ".example.org", "A", "invalid"),
        ("\x00", "A", "invalid"),
        ("xn--\u00fc\u200d.example", "A", "invalid"),
    ],
)
async def test_other_outcomes(resolver: Resolver, name: str, rrtype: str, outcome: str) -> None:
    answer = await resolver.query(name, rrtype)  # type: ignore[arg-type]
    assert answer.outcome == outcome
    assert answer.records == ()
    assert answer.reason


async def test_wildcards(resolver: Resolver) -> None:
    answer = await resolver.query("any.thing.wild.example.org", "A")
    assert data(answer) == ["192.0.2.7"]
    assert answer.records[0].name == "any.thing.wild.example.org"


async def test_long_answers(resolver: Resolver) -> None:
    assert data(await resolver.query("big.example.org", "A")) == ["192.0.2.8"]


# The real one only.

Make = Callable[..., Awaitable[tuple[DnsServer, DnsResolver, list[float]]]]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    started: list[tuple[DnsServer, DnsResolver]] = []

    async def start(
        zone: str = ZONE, limit: float = 5.0, **options: bool
    ) -> tuple[DnsServer, DnsResolver, list[float]]:
        server = DnsServer("\n".join(x for x in zone.splitlines() if " SRV " not in x), **options)
        await server.start()
        clock = [0.0]
        resolver = DnsResolver(FixedServers(settings_of(server, limit)), lambda: clock[0])
        started.append((server, resolver))
        return server, resolver, clock

    yield start
    for server, resolver in started:
        await resolver.close()
        await server.stop()


def step(resolver: Resolver, name: str) -> Answer | None:
    """Step a query once without a task; None if it suspends."""
    coroutine = resolver.query(name, "A")
    try:
        coroutine.send(None)
    except StopIteration as stop:
        assert isinstance(stop.value, Answer)
        return stop.value
    coroutine.close()
    return None


async def test_truncated_replies_come_again_by_tcp(make: Make) -> None:
    server, resolver, _ = await make()
    await resolver.query("big.example.org", "A")
    assert [q[0] for q in server.queries] == ["udp", "tcp"]


async def test_cached_answers_do_not_suspend_and_expire(make: Make) -> None:
    server, resolver, clock = await make()
    assert step(resolver, "mail1.example.org") is None  # asked without a task; the work goes on by itself
    await resolver.query("mail1.example.org", "A")
    assert step(resolver, "mail1.example.org") is not None
    assert step(resolver, "Mail1.example.org") is not None
    await resolver.query("nowhere.example.org", "A")
    assert step(resolver, "nowhere.example.org") is not None
    clock[0] = 61.0  # negative answers live as long as the SOA says
    assert step(resolver, "nowhere.example.org") is None
    assert step(resolver, "mail1.example.org") is not None
    clock[0] = 3601.0
    assert step(resolver, "mail1.example.org") is None
    assert len(server.queries) >= 2


async def test_failures_are_not_cached(make: Make) -> None:
    server, resolver, _ = await make()
    assert (await resolver.query("sick.example.org", "A")).outcome == "try_again"
    await resolver.query("sick.example.org", "A")
    assert len(server.queries) == 2


async def test_equal_questions_are_asked_once(make: Make) -> None:
    server, resolver, _ = await make()
    answers = await asyncio.gather(*(resolver.query("mail1.example.org", "A") for _ in range(50)))
    assert len(server.queries) == 1
    assert len(set(map(id, answers))) == 1


async def test_a_cancelled_waiter_does_not_take_the_answer_from_others(make: Make) -> None:
    _, resolver, _ = await make()
    first = asyncio.create_task(resolver.query("mail1.example.org", "A"))
    second = asyncio.create_task(resolver.query("mail1.example.org", "A"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).outcome == "found"


async def test_silence_is_try_again(make: Make) -> None:
    server, resolver, _ = await make("quiet.example DROP", limit=0.02)
    assert (await resolver.query("quiet.example", "A")).outcome == "try_again"
    assert len(server.queries) == 2


async def test_the_next_server_is_asked(make: Make) -> None:
    sick, _, _ = await make("mail1.example.org SERVFAIL")
    good, _, _ = await make()
    source = FixedServers(parse_servers(f"{sick.text}, {good.text}"))
    resolver = DnsResolver(source, time.monotonic)
    assert (await resolver.query("mail1.example.org", "A")).outcome == "found"
    await resolver.close()


async def test_a_dead_server_is_try_again(make: Make) -> None:
    server, resolver, _ = await make()
    await server.stop()
    assert (await resolver.query("mail1.example.org", "A")).outcome == "try_again"


async def test_servers_without_edns(make: Make) -> None:
    server, resolver, _ = await make(edns=False)
    assert (await resolver.query("mail1.example.org", "A")).outcome == "found"
    assert len(server.queries) == 2


SIGNED = """
mx.example      A     192.0.2.1
alias.example   CNAME mx.example
astray.example  CNAME plain.example
plain.example   A     192.0.2.2
plain.example   INSECURE
outside.example CNAME mx.example
outside.example INSECURE
"""


@pytest.mark.parametrize(
    ("name", "authentic"),
    [
        ("mx.example", True), ("alias.example", True), ("none.example", True),
        ("plain.example", False), ("astray.example", False), ("outside.example", False),
    ],
)  # fmt: skip
async def test_who_asks_for_dnssec_learns_what_is_authentic(name: str, authentic: bool) -> None:
    async with running_dns_server(SIGNED, authentic=True) as server:
        for dnssec in (True, False):
            resolver = DnsResolver(FixedServers(settings_of(server)), time.monotonic, dnssec=dnssec)
            asked = [await resolver.query(name, "A") for _ in range(2)]  # the second one from the cache
            assert [answer.authentic for answer in asked] == [authentic and dnssec] * 2
            await resolver.close()
    assert (await FakeResolver(SIGNED, authentic=True).query(name, "A")).authentic is authentic


async def test_the_servers_of_the_root_may_be_asked_for(make: Make) -> None:
    server, resolver, _ = await make()
    assert (await resolver.query(".", "NS")).outcome == "no_name"
    assert server.queries == [("udp", ".", "NS")]
    assert (await resolver.query(".", "A")).outcome == "invalid"


async def test_data_of_a_server_that_does_not_validate_is_not_authentic() -> None:
    async with running_dns_server(SIGNED) as server:
        resolver = DnsResolver(FixedServers(settings_of(server)), time.monotonic, dnssec=True)
        assert not (await resolver.query("mx.example", "A")).authentic
        await resolver.close()


async def test_closing_answers_what_is_open(make: Make) -> None:
    _, resolver, _ = await make("quiet.example DROP")
    waiting = asyncio.create_task(resolver.query("quiet.example", "A"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await resolver.close()
    assert (await waiting).outcome == "try_again"
    assert (await resolver.query("mail1.example.org", "A")).outcome == "try_again"


async def test_many_questions_at_once(make: Make) -> None:
    _, resolver, _ = await make()
    answers = await asyncio.gather(*(resolver.query(f"n{i}.wild.example.org", "A") for i in range(800)))
    assert {a.outcome for a in answers} == {"found"}
