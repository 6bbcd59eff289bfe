"""What a real Postfix 3.7 finds with the same zone and `search corp.test second.test`."""

import pytest

from gatepost.config.errors import ConfigError
from gatepost.dns.fake import FakeResolver
from gatepost.dns.search import SearchingResolver, search_options
from gatepost.dns.servers import ServerSettings

ZONE = """
one.corp.test A 192.0.2.1
sub.x.corp.test A 192.0.2.2
three.second.test A 192.0.2.3
whole A 192.0.2.4
nomx.far.test TXT x
nomx.far.test.corp.test MX 10 one.corp.test
busy.corp.test SERVFAIL
none.corp.test TXT x
four.own.test A 192.0.2.5
"""
NAMES = ("one", "three", "whole", "sub.x", "nowhere", "a.b")


def resolver(options: str, settings: ServerSettings) -> tuple[SearchingResolver, FakeResolver]:
    fake = FakeResolver(ZONE)
    return SearchingResolver(fake, search_options(options, "x"), lambda: settings, "own.test"), fake


LISTED = ServerSettings((), search=("corp.test", "second.test"))


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("res_defnames", {"one", "whole"}),
        ("res_dnsrch", {"whole", "sub.x"}),
        ("RES_DEFNAMES res_dnsrch", {"one", "three", "whole", "sub.x"}),
    ],
)
async def test_what_is_found(options: str, found: set[str]) -> None:
    searching, _ = resolver(options, LISTED)
    assert {name for name in NAMES if (await searching.query(name, "A")).outcome == "found"} == found


async def test_only_addresses_are_searched_for() -> None:
    searching, fake = resolver("res_defnames, res_dnsrch", LISTED)
    assert (await searching.query("nomx.far.test", "MX")).outcome == "no_data"
    assert fake.asked == [("nomx.far.test", "MX")]


async def test_the_order() -> None:
    searching, fake = resolver("res_defnames, res_dnsrch", LISTED)
    await searching.query("a.b", "A")
    assert [name for name, _ in fake.asked] == ["a.b", "a.b.corp.test", "a.b.second.test"]
    fake.asked.clear()
    await searching.query("nowhere", "A")
    assert [name for name, _ in fake.asked] == ["nowhere.corp.test", "nowhere.second.test", "nowhere"]
    fake.asked.clear()
    searching, fake = resolver("res_dnsrch", ServerSettings((), search=("corp.test",), ndots=2))
    await searching.query("a.b", "A")
    assert [name for name, _ in fake.asked] == ["a.b.corp.test", "a.b"]


@pytest.mark.parametrize(("name", "outcome"), [("busy", "try_again"), ("none", "no_data"), ("nowhere", "no_name")])
async def test_failures(name: str, outcome: str) -> None:
    searching, _ = resolver("res_defnames res_dnsrch", LISTED)
    assert (await searching.query(name, "A")).outcome == outcome


async def test_the_failure_of_the_name_itself_counts() -> None:
    searching, _ = resolver("res_dnsrch", LISTED)
    assert (await searching.query("nomx.far.test", "A")).outcome == "no_data"


async def test_without_a_list_the_domain_of_this_host_counts() -> None:
    searching, _ = resolver("res_defnames", ServerSettings(()))
    assert (await searching.query("four", "A")).outcome == "found"


def test_what_is_no_option() -> None:
    with pytest.raises(ConfigError, match='unknown value "res_aaonly" in "res_dnsrch res_aaonly"'):
        search_options("res_dnsrch res_aaonly", "smtp_dns_resolver_options")
