import os
from pathlib import Path

import pytest

from gatepost.config.errors import ConfigError
from gatepost.dns.servers import ResolvConf, Server, parse_resolv_conf, parse_servers


def test_resolv_conf() -> None:
    settings = parse_resolv_conf(
        "# comment\nnameserver 192.0.2.53\nnameserver ::1\nnameserver nonsense\ndomain example.net\n"
        "search example.org. Corp.example\n"
        "options timeout:2 attempts:3 rotate ndots:2\nnameserver 127.0.0.53\nnameserver 192.0.2.54\n"
    )
    assert settings.servers == (Server("192.0.2.53"), Server("::1"), Server("127.0.0.53"))
    assert (settings.timeout, settings.attempts, settings.rotate) == (2.0, 3, True)
    assert (settings.search, settings.ndots) == (("example.org", "corp.example"), 2)


def test_no_servers_means_this_host() -> None:
    assert parse_resolv_conf("").servers == (Server("127.0.0.1"),)


def test_resolv_conf_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    now = [0.0]
    source = ResolvConf(lambda: now[0], str(path))
    assert source.settings().servers[0].address == "127.0.0.1"
    path.write_text("nameserver 192.0.2.1\n")
    assert source.settings().servers[0].address == "127.0.0.1"  # not looked at again within the second
    now[0] = 1.0
    assert source.settings().servers[0].address == "192.0.2.1"
    path.write_text("nameserver 192.0.2.22\n")
    os.utime(path, ns=(1, 1))
    now[0] = 2.0
    assert source.settings().servers[0].address == "192.0.2.22"


def test_server_list() -> None:
    assert parse_servers("127.0.0.1:5353, [::1]:54 ::1 192.0.2.1 [2001:db8::1]").servers == (
        Server("127.0.0.1", 5353),
        Server("::1", 54),
        Server("::1", 53),
        Server("192.0.2.1", 53),
        Server("2001:db8::1", 53),
    )


@pytest.mark.parametrize(
    "text", ["", "host.example:53", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:99999", "[::1", "[::1]x"]
)
def test_bad_server_lists(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_servers(text)
