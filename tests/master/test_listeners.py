"""From `inet` lines to bound sockets."""

import socket

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.master.listeners import Address, addresses_of, open_listeners, open_socket, port_number, split_host_port


def configuration(line: str, main: str = "inet_protocols = ipv4\n") -> Configuration:
    return Configuration.parse(main, f"{line} inet n - n - - smtpd\n")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("smtp", ("", "smtp")),
        ("127.0.0.1:25", ("127.0.0.1", "25")),
        ("[::1]:587", ("::1", "587")),
        ("mail.example:submission", ("mail.example", "submission")),
    ],
)
def test_service_names(name: str, parts: tuple[str, str]) -> None:
    assert split_host_port(name) == parts


def test_ports_by_name_and_number() -> None:
    settings = configuration("25").settings
    assert port_number("25", settings) == 25
    assert port_number("submission", settings) == 587
    assert port_number("smtps", settings) == 465
    assert port_number("domain", settings) == 53  # from the services file
    for bad in ("no-such-service", "65536", ""):
        with pytest.raises(ValueError, match="unknown port"):
            port_number(bad, settings)


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        ("inet_interfaces = all\ninet_protocols = ipv4\n", ["0.0.0.0:2500"]),
        ("inet_interfaces = loopback-only\ninet_protocols = ipv4\n", ["127.0.0.1:2500"]),
        ("inet_interfaces = 127.0.87.1, 127.0.87.2\ninet_protocols = ipv4\n", ["127.0.87.1:2500", "127.0.87.2:2500"]),
    ],
)
def test_inet_interfaces(main: str, expected: list[str]) -> None:
    made = configuration("2500", main)
    assert [str(a) for a in addresses_of(made.master[0], made.settings, "master.cf")] == expected


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".example", "a..example"])
def test_an_unknown_host_names_file_and_line(host: str) -> None:
    made = configuration(f"{host}:25")
    with pytest.raises(ConfigError, match=r"master\.cf, line 1: host not found"):
        addresses_of(made.master[0], made.settings, "master.cf")


def test_one_socket_per_slot_and_address() -> None:
    made = configuration("127.0.0.1:0")
    (listener,) = open_listeners(made.master, made.settings, 2, "master.cf")
    assert len(listener.sockets) == 2
    ports = {sock.getsockname()[1] for row in listener.sockets for sock in row}
    assert ports == {listener.addresses[0].port}
    close(listener.sockets)


def test_replies_to_who_connects_go_out_at_once() -> None:
    with open_socket(Address(socket.AF_INET, "127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()):
            accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_port_in_use_is_an_error_with_file_and_line() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        made = configuration(f"127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(
            ConfigError, match=r"master\.cf, line 1: cannot listen on 127\.0\.0\.1:\d+: Address already in use"
        ):
            open_listeners(made.master, made.settings, 1, "master.cf")


def test_reload_keeps_sockets_and_closes_those_of_lines_that_are_gone() -> None:
    made = configuration("127.0.0.1:0")
    first = open_listeners(made.master, made.settings, 1, "master.cf")
    kept = first[0].sockets[0][0]
    same = configuration(str(first[0].addresses[0]))
    second = open_listeners(same.master, same.settings, 1, "master.cf", first)
    assert second[0].sockets[0][0] is kept
    other = configuration("127.0.0.1:0")
    third = open_listeners(other.master, other.settings, 1, "master.cf", second)
    assert kept.fileno() == -1
    close(third[0].sockets)


def test_addresses_print_as_they_are_written() -> None:
    assert str(Address(socket.AF_INET6, "::1", 25)) == "[::1]:25"


def close(rows: list[list[socket.socket]]) -> None:
    for row in rows:
        for sock in row:
            sock.close()
