import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatepost.audit.networks import Decision, Kind, TrustedNetworks, network_of, trusted_networks
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.match_list import MatchList
from gatepost.tables.network import address_text, parse_address
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure


def compiled(text: str) -> MatchList:
    tables = Tables(TableEnvironment(clock=time.monotonic, warn=lambda text: None))
    return MatchList.compile("mynetworks", text, tables, match_parent=True)


def trusted(text: str) -> TrustedNetworks:
    return trusted_networks(compiled(text))


def decide(networks: TrustedNetworks, address: str) -> Decision:
    parsed = parse_address(address)
    assert parsed is not None
    return networks.decide(*parsed)


def test_the_first_match_decides() -> None:
    networks = trusted("!192.168.87.1 192.168.87.0/24 !192.168.87.2 [::1]")
    assert networks.trusted.in_words() == ["192.168.87.0", "192.168.87.2 - 192.168.87.255", "::1"]
    assert networks.excluded.in_words() == ["192.168.87.1"]
    assert [entry.decides.count() for entry in networks.entries] == [1, 255, 0, 1]
    assert decide(networks, "192.168.87.1") == Decision(False, 0)
    assert decide(networks, "192.168.87.2") == Decision(True, 1)
    assert decide(networks, "10.0.0.1") == Decision(False)
    assert not networks.perhaps and not networks.perhaps_not


def test_an_error_answers_451_to_its_family() -> None:
    networks = trusted("127.0.0.0/8 192.168.1.1/24 10.0.0.0/8 [::1]")
    assert networks.trusted.in_words() == ["127.0.0.0 - 127.255.255.255", "::1"]
    assert networks.failing.count(32) == (1 << 32) - (1 << 24)
    assert decide(networks, "10.0.0.1") == Decision(False, 1, failing=True)
    assert decide(networks, "::1") == Decision(True, 3)


def test_names_may_match_any_client() -> None:
    networks = trusted("127.0.0.0/8 !guests.example 10.0.0.0/8 .office.example")
    assert (networks.trusted - networks.perhaps_not).in_words() == ["127.0.0.0 - 127.255.255.255"]
    assert (networks.trusted | networks.perhaps).count(32) == 1 << 32
    assert decide(networks, "127.0.0.1") == Decision(True, 0)
    assert decide(networks, "10.0.0.1") == Decision(None, 2, doubts=(1,))
    assert decide(networks, "192.0.2.1") == Decision(None, -1, doubts=(1, 3))
    assert networks.entries[1].kind is Kind.NAME


def test_names_that_can_only_leave_out() -> None:
    networks = trusted("127.0.0.0/8 !guests.example")
    assert decide(networks, "192.0.2.1") == Decision(False, -1, doubts=(1,))
    assert (networks.trusted | networks.perhaps).in_words() == ["127.0.0.0 - 127.255.255.255"]


def test_tables_that_can_be_listed(tmp_path: Path) -> None:
    (tmp_path / "clients").write_text("192.168.1.1 x\n192.168.2.0/24 x\n10.1 x\n2001:db8:0::1 x\n2001:db8::2 x\n")
    (tmp_path / "nets").write_text("if 10.0.0.0/8\n!10.1.0.0/16 x\nendif\n192.168.5.0/24 x\n")
    networks = trusted(f"hash:{tmp_path}/clients cidr:{tmp_path}/nets inline:{{192.0.2.7=x,host.example=x}}")
    hashed, cidr, inline = networks.entries
    assert hashed.addresses.in_words() == ["192.168.1.1", "2001:db8::2"]
    assert hashed.open  # `10.1` could be a name
    assert cidr.addresses.in_words() == [
        "10.0.0.0 - 10.0.255.255",
        "10.2.0.0 - 10.255.255.255",
        "192.168.5.0 - 192.168.5.255",
    ]
    assert not cidr.open
    assert inline.addresses.in_words() == ["192.0.2.7"]
    assert inline.open
    assert all(entry.listed for entry in networks.entries)


def test_static_is_everybody() -> None:
    networks = trusted("!192.0.2.1 static:yes")
    assert networks.trusted.count(32) == (1 << 32) - 1
    assert networks.trusted.count(128) == 1 << 128


def test_tables_that_cannot_be_listed_or_read(tmp_path: Path) -> None:
    (tmp_path / "pattern").write_text("/^10/ x\n")
    networks = trusted(f"regexp:{tmp_path}/pattern 10.0.0.0/8")
    assert networks.entries[0].open
    assert (networks.trusted - networks.perhaps_not).in_words() == ["10.0.0.0 - 10.255.255.255"]
    assert (networks.trusted | networks.perhaps).count(128) == 1 << 128
    for missing in ("hash", "cidr"):
        networks = trusted(f"127.0.0.0/8 {missing}:{tmp_path}/missing 10.0.0.0/8")
        assert networks.entries[1].kind is Kind.ERROR
        assert "No such file" in networks.entries[1].problem
        assert networks.trusted.in_words() == ["127.0.0.0 - 127.255.255.255"]


def test_files_stand_in_place(tmp_path: Path) -> None:
    (tmp_path / "more").write_text(f"192.168.1.0/24\n{tmp_path}/still\n")
    (tmp_path / "still").write_text("!192.168.2.1\n192.168.2.0/24\n")
    networks = trusted(f"127.0.0.1 !{tmp_path}/more 192.168.0.0/16")
    assert [(entry.text, entry.negated, Path(entry.path).name) for entry in networks.entries] == [
        ("127.0.0.1", False, ""),
        ("192.168.1.0/24", True, "more"),
        ("192.168.2.1", False, "still"),
        ("192.168.2.0/24", True, "still"),
        ("192.168.0.0/16", False, ""),
    ]
    assert networks.trusted.count() == 1 + 65536 - 512 + 1


ITEMS = st.sampled_from(
    (
        "10.0.0.0/30",
        "10.0.0.1",
        "10.0.0.2/31",
        "10.0.0.0/29",
        "[2001:db8::]/126",
        "[2001:db8::1]",
        "0.0.0.0/0",
        "[::]/0",
        "10.0.0.1/30",
        "[2001:db8::1]/126",
        "cidr:{{10.0.0.0/31 x},{!10.0.0.0/30 x}}",
        "cidr:{{if 10.0.0.0/30},{10.0.0.3 x},{2001:db8::2 x},{endif}}",
        "inline:{10.0.0.2=x,2001:db8::3=x}",
        "static:x",
        "fail:x",
    )
)
PROBES = [f"10.0.0.{number}" for number in range(9)] + [f"2001:db8::{number}" for number in range(6)] + ["192.0.2.1"]


@given(st.lists(st.tuples(st.booleans(), ITEMS), max_size=5))
def test_it_agrees_with_the_list_that_the_server_asks(items: list[tuple[bool, str]]) -> None:
    matches = compiled(" ".join(f"{'!' * negated}{text}" for negated, text in items))
    networks = trusted_networks(matches)
    for probe in PROBES:
        decision = decide(networks, probe)
        try:
            answer = asyncio.run(matches.match_host("unknown", probe))
        except LookupTemporaryFailure:
            assert decision.failing
            continue
        assert decision.trusted is answer
        bits, number = parse_address(probe) or (0, 0)
        assert networks.trusted.has(bits, number) is answer
        if decision.position >= 0:
            assert networks.entries[decision.position].negated is not answer


@pytest.mark.parametrize("text", ["10.0.0.1", "[2001:db8::1]", "10.0.0.0/8"])
def test_what_people_type(text: str) -> None:
    network = network_of(text)
    assert network is not None
    assert address_text(network.bits, network.net) in text
    assert network_of("printer") is None
