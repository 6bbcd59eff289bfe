import random
from pathlib import Path
from typing import Any

import pytest

from gatepost.delivery.smtp_addresses import AddressFinder, NoAddress, Target, balance_families, in_srv_order
from gatepost.delivery.smtp_destination import parse_destination
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.dns.answers import Record
from gatepost.dns.fake import FakeResolver
from gatepost.dns.hosts import HostsFile
from gatepost.dns.zone import parse_zone

ZONE = """
x.example MX 20 b.example
x.example MX 10 a.example
x.example MX 20 c.example
a.example A 192.0.2.1
a.example AAAA 2001:db8::1
b.example A 192.0.2.2
c.example A 192.0.2.3
sick.example SERVFAIL
lame.example MX 10 sick.example
lame.example MX 20 gone.example
half.example MX 10 sick.example
half.example MX 20 a.example
ip.example MX 10 192.0.2.9
self.example MX 10 a.example
self.example MX 20 me.example
self.example MX 30 b.example
me.example A 192.0.2.100
alias.example CNAME b.example
"""


def finder(
    warnings: list[str] | None = None, hosts: HostsFile | None = None, seed: int = 1, **options: Any
) -> AddressFinder:
    warn = (warnings if warnings is not None else []).append
    return AddressFinder(
        SmtpParams(**options), FakeResolver(ZONE), hosts, random.Random(seed), frozenset({"192.0.2.100"}), warn
    )


async def addresses(where: AddressFinder, text: str) -> list[str]:
    found = await where.find(parse_destination(text, "smtp"))
    assert not isinstance(found, NoAddress), found
    return [target.address for target in found]


async def failure(where: AddressFinder, text: str) -> NoAddress:
    found = await where.find(parse_destination(text, "smtp"))
    assert isinstance(found, NoAddress), found
    return found


async def test_preference_first_equals_in_random_order() -> None:
    orders = {tuple((await addresses(finder(seed=seed), "x.example"))[2:]) for seed in range(20)}
    assert orders == {("192.0.2.2", "192.0.2.3"), ("192.0.2.3", "192.0.2.2")}
    found = await finder().find(parse_destination("x.example:26", "smtp"))
    assert isinstance(found, list)
    assert [(t.host, t.port, t.best) for t in found[:2]] == [("a.example", 26, True)] * 2
    assert [t.best for t in found[2:]] == [False, False]


@pytest.mark.parametrize(("preference", "first"), [("ipv4", "192.0.2.1"), ("ipv6", "2001:db8::1")])
async def test_address_preference(preference: str, first: str) -> None:
    for seed in range(10):
        assert (await addresses(finder(seed=seed, address_preference=preference), "x.example"))[0] == first


async def test_protocols_in_use() -> None:
    assert await addresses(finder(inet_protocols=("ipv4",)), "[a.example]") == ["192.0.2.1"]
    assert await addresses(finder(inet_protocols=("ipv6",)), "[a.example]") == ["2001:db8::1"]


async def test_brackets_mean_no_mx() -> None:
    assert (await failure(finder(), "[x.example]")).dsn == "5.4.4"


async def test_numeric_hosts() -> None:
    assert await addresses(finder(), "[192.0.2.7]") == ["192.0.2.7"]
    assert await addresses(finder(), "[ipv6:2001:db8:0::7]:26") == ["2001:db8::7"]
    assert await addresses(finder(), "ip.example") == ["192.0.2.9"]


async def test_one_mail_host_without_address_is_no_harm() -> None:
    assert set(await addresses(finder(), "half.example")) == {"192.0.2.1", "2001:db8::1"}


async def test_no_mail_host_with_an_address() -> None:
    warnings: list[str] = []
    why = await failure(finder(warnings), "lame.example")
    assert why.dsn == "4.4.4"
    assert why.text.endswith("name=gone.example type=AAAA: Host not found")
    assert warnings == ["no MX host for lame.example has a valid address record"]


async def test_hosts_as_good_as_ourselves_are_left_out() -> None:
    assert set(await addresses(finder(), "self.example")) == {"192.0.2.1", "2001:db8::1"}
    assert "192.0.2.100" in await addresses(finder(), "self.example:26")


async def test_lookup_errors_may_be_ignored() -> None:
    assert (await failure(finder(), "sick.example")).text.endswith("type=MX: Host not found, try again")
    assert (await failure(finder(ignore_mx_lookup_error=True), "sick.example")).text.endswith(
        "type=AAAA: Host not found, try again"
    )


async def test_deferring_where_no_mail_host_has_an_address() -> None:
    why = await failure(finder(defer_if_no_mx_address_found=True, inet_protocols=("ipv6",)), "ip6.example")
    assert why.dsn == "5.4.4"  # there is no MX record at all
    zone = FakeResolver("d.example MX 10 gone.example")
    where = AddressFinder(
        SmtpParams(defer_if_no_mx_address_found=True), zone, None, random.Random(1), frozenset(), lambda text: None
    )
    assert (await failure(where, "d.example")).dsn == "4.4.4"


async def test_native_lookup(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("192.0.2.55 local.example\n2001:db8::55 local.example\n")
    hosts = HostsFile(lambda: 0.0, str(tmp_path / "hosts"))
    native = finder(hosts=hosts, host_lookup=("native",))
    assert set(await addresses(native, "[local.example]")) == {"192.0.2.55", "2001:db8::55"}
    assert await addresses(native, "[b.example]") == ["192.0.2.2"]
    assert (
        await failure(native, "[gone.example]")
    ).text == "unable to look up host gone.example: Name or service not known"
    assert (await failure(native, "[sick.example]")).dsn == "4.4.4"
    both = finder(hosts=hosts, host_lookup=("dns", "native"))
    assert set(await addresses(both, "[local.example]")) == {"192.0.2.55", "2001:db8::55"}
    assert (await failure(finder(hosts=hosts), "[local.example]")).dsn == "5.4.4"


@pytest.mark.parametrize(
    ("pattern", "limit", "kept"),
    [
        ("444466", 5, "44466"),
        ("4444666", 5, "44666"),
        ("446", 5, "446"),
        ("444444", 5, "444444"),
        ("666664", 5, "66664"),
        ("44444666", 4, "4466"),
    ],
)
def test_both_families_are_among_the_first(pattern: str, limit: int, kept: str) -> None:
    targets = [Target("h", f"192.0.2.{n}" if c == "4" else f"2001:db8::{n}", 25) for n, c in enumerate(pattern)]
    found = "".join("6" if ":" in t.address else "4" for t in balance_families(targets, limit))
    assert found == kept


@pytest.mark.parametrize(("overrides", "host"), [(False, "alias.example"), (True, "b.example")])
async def test_an_alias_may_give_way_to_the_real_name(overrides: bool, host: str) -> None:
    found = await finder(cname_overrides_servername=overrides).find(parse_destination("[alias.example]", "smtp"))
    assert not isinstance(found, NoAddress)
    assert [target.namaddr for target in found] == [f"{host}[192.0.2.2]"]


def with_services(**options: Any) -> AddressFinder:
    zone = parse_zone(ZONE + "broken.example SERVFAIL\n_submission._tcp.broken.example SERVFAIL\n")
    listed = {
        "x.example": ["10 60 587 a.example", "20 0 2525 b.example"],
        "own.example": ["5 0 25 me.example"],
        "none.example": ["0 0 0 "],
        "gone.example": ["0 0 587 nobody.example"],
    }
    for domain, lines in listed.items():
        records = []
        for line in lines:
            priority, data = line.split(" ", 1)
            records.append(Record(f"_submission._tcp.{domain}", "SRV", data, int(priority)))
        zone.records[f"_submission._tcp.{domain}"] = {"SRV": records}
    zone.records["a.example"] = {"A": [Record("a.example", "A", "192.0.2.1")]}
    params = SmtpParams(srv_services=frozenset({"submission"}), **options)
    return AddressFinder(params, FakeResolver(zone), None, random.Random(1), frozenset({"192.0.2.100"}), print)


async def services(domain: str, **options: Any) -> list[Target] | NoAddress:
    where = parse_destination(f"{domain}:submission", "smtp", srv=frozenset({"submission"}))
    return await with_services(**options).find(where)


async def test_servers_of_srv_records() -> None:
    found = await services("x.example")
    assert isinstance(found, list)
    assert [(t.host, t.port, t.best) for t in found] == [("a.example", 587, True), ("b.example", 2525, False)]


@pytest.mark.parametrize(
    ("domain", "dsn"),
    [("own.example", "5.4.6"), ("none.example", "5.1.0"), ("gone.example", "5.4.4"), ("broken.example", "4.4.3")],
)
async def test_services_that_are_of_no_use(domain: str, dsn: str) -> None:
    found = await services(domain)
    assert isinstance(found, NoAddress)
    assert found.dsn == dsn


async def test_from_srv_to_mx_records() -> None:
    found = await services("b.example")
    assert isinstance(found, NoAddress)
    assert found.dsn == "5.4.4"
    assert "name=_submission._tcp.b.example type=SRV" in found.text
    found = await services("b.example", srv_lookup_fallback=True)
    assert isinstance(found, list)
    assert [(t.address, t.port) for t in found] == [("192.0.2.2", 587)]
    assert isinstance(await services("broken.example", srv_lookup_fallback=True), NoAddress)
    found = await services("broken.example", ignore_srv_lookup_error=True)
    assert isinstance(found, NoAddress)
    assert "type=MX" in found.text


def test_weights_of_srv_records() -> None:
    records = [Record("_s", "SRV", f"{weight} 25 h{weight}.example", 1) for weight in (0, 10, 90)]
    first = [in_srv_order(records, random.Random(seed))[0][1] for seed in range(300)]
    assert first.count("h90.example") > first.count("h10.example") > first.count("h0.example")


def test_only_names_of_services_outside_of_brackets() -> None:
    srv = frozenset({"submission", "smtp"})
    assert parse_destination("[x.example]:submission", "smtp", srv=srv).service == ""
    assert parse_destination("x.example:587", "smtp", srv=srv).service == ""
    assert parse_destination("x.example", "smtp", srv=srv).service == "smtp"
