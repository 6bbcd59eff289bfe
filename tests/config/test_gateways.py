"""Gateways from the kernel's tables."""

import ipaddress
import struct
import sys

import pytest

from gatepost.config.gateways import Surroundings, parse_ipv4_routes, parse_ipv6_routes, surroundings

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
NONE = "0" * 32


def number(address: str) -> str:
    return f"{struct.unpack('=L', ipaddress.IPv4Address(address).packed)[0]:08X}"


def ipv4(destination: str, gateway: str, flags: int, mask: str) -> str:
    return f"eth0\t{number(destination)}\t{number(gateway)}\t{flags:04X}\t0\t0\t0\t{number(mask)}\t0\t0\t0\n"


def test_the_default_route() -> None:
    text = HEAD + ipv4("0.0.0.0", "172.17.0.1", 3, "0.0.0.0") + ipv4("172.17.0.0", "0.0.0.0", 1, "255.255.0.0")
    assert parse_ipv4_routes(text) == [ipaddress.ip_address("172.17.0.1")]


@pytest.mark.skipif(sys.byteorder != "little", reason="the example is of a little-endian machine")
def test_as_the_kernel_writes_it() -> None:
    line = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    assert parse_ipv4_routes(HEAD + line) == [ipaddress.ip_address("172.17.0.1")]


@pytest.mark.parametrize(
    "line",
    [
        ipv4("10.0.0.0", "172.17.0.1", 3, "255.0.0.0"),
        ipv4("0.0.0.0", "172.17.0.1", 3, "128.0.0.0"),
        ipv4("0.0.0.0", "0.0.0.0", 1, "0.0.0.0"),
        "nonsense\n",
        "",
    ],
)
def test_other_routes(line: str) -> None:
    assert parse_ipv4_routes(HEAD + line) == []


def test_ipv6() -> None:
    gateway = f"fd00{'0' * 27}1"
    tail = "00000400 00000003 00000000 00000003     eth0\n"
    text = f"{NONE} 00 {NONE} 00 {gateway} {tail}{NONE} 00 {NONE} 00 {NONE} ffffffff 00000001 00000000 00200200 lo\n"
    text += f"fd00{'0' * 28} 40 {NONE} 00 {gateway} {tail}"
    assert parse_ipv6_routes(text) == [ipaddress.ip_address("fd00::1")]


def test_without_proc() -> None:
    def read(path: str) -> str:
        raise FileNotFoundError(path)

    assert surroundings(read, lambda path: False) == Surroundings()


@pytest.mark.parametrize("mark", ["/.dockerenv", "/run/.containerenv"])
def test_a_container(mark: str) -> None:
    text = {"/proc/net/route": HEAD + ipv4("0.0.0.0", "10.88.0.1", 3, "0.0.0.0"), "/proc/net/ipv6_route": ""}
    found = surroundings(text.__getitem__, lambda path: path == mark)
    assert found == Surroundings((ipaddress.ip_address("10.88.0.1"),), container=True)


def test_this_host() -> None:
    assert isinstance(surroundings(), Surroundings)
