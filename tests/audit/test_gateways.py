"""A trusted gateway, behind which every stranger looks local."""

import ipaddress

from gatepost.audit.gateways import TrustedGateway, trusted_gateways
from gatepost.audit.networks import trusted_networks
from gatepost.config.gateways import Surroundings
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables

HOME = Surroundings((ipaddress.ip_address("192.168.87.1"), ipaddress.ip_address("fd00::1")))
CONTAINER = Surroundings((ipaddress.ip_address("172.17.0.1"),), container=True)


def told(around: Surroundings, mynetworks: str, *allowed: str) -> list[TrustedGateway]:
    matches = MatchList.compile(
        "mynetworks",
        mynetworks,
        Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None)),
        match_parent=False,
    )
    return list(trusted_gateways(around, trusted_networks(matches), allowed))


def test_the_router_at_home_is_a_remark_with_its_remedy() -> None:
    (found,) = told(HOME, "127.0.0.0/8, 192.168.87.0/24")
    assert not found.grave
    assert found.text.startswith("192.168.87.1 is the router of this network and may relay")
    assert "put !192.168.87.1 before the networks in mynetworks" in found.text


def test_ipv6_in_brackets() -> None:
    (found,) = told(HOME, "[fd00::]/64")
    assert "put ![fd00::1] before" in found.text


def test_the_gateway_of_a_container_is_grave() -> None:
    (found,) = told(CONTAINER, "172.16.0.0/12")
    assert found.grave
    assert "gatepost_trusted_gateways" in found.text


def test_an_exception_before_the_range() -> None:
    assert told(CONTAINER, "!172.17.0.1, 172.16.0.0/12") == []
    assert len(told(CONTAINER, "172.16.0.0/12, !172.17.0.1")) == 1


def test_named_by_the_operator() -> None:
    assert told(CONTAINER, "172.16.0.0/12", "172.17.0.1") == []


def test_not_trusted() -> None:
    assert told(CONTAINER, "127.0.0.0/8") == []
