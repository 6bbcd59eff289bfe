import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatepost.cli.program import run
from tests.audit.lint.configurations import MASTER_CF


class Server:
    """A configuration folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, main_cf: str, master_cf: str = MASTER_CF) -> None:
        main_cf = main_cf.replace("DIR", str(self.path))
        (self.path / "main.cf").write_text(f"{main_cf}compatibility_level = 3.6\nmyhostname = mail.example.com\n")
        (self.path / "master.cf").write_text(master_cf)

    def networks(self, *arguments: str) -> int:
        return run("gatepost", ["-c", str(self.path), "networks", *arguments])


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


Captured = pytest.CaptureFixture[str]


def test_ranges_numbers_and_exceptions(server: Server, capsys: Captured) -> None:
    server.write("mynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24 [::1]/128 [2001:db8::]/32\n")
    assert server.networks() == 0
    assert capsys.readouterr().out == f"""\
mynetworks ({server.path}/main.cf:1)

  127.0.0.0/8         127.0.0.0 - 127.255.255.255
                      16,777,216 addresses trusted: this host itself
  !192.168.87.1       192.168.87.1
                      1 address left out
  192.168.87.0/24     192.168.87.0 - 192.168.87.255
                      255 of 256 addresses trusted, without 192.168.87.1
  [::1]/128           ::1
                      1 IPv6 address trusted: this host itself
  [2001:db8::]/32     2001:db8:: - 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff
                      2^96 IPv6 addresses trusted

Trusted: 16,777,471 addresses and more than 2^96 IPv6 addresses.
"""


def test_what_has_no_effect_and_what_is_an_error(server: Server, capsys: Captured) -> None:
    server.write("mynetworks = 192.168.87.0/24 !192.168.87.1 127.0.0.0/8 10.0.0.1/8\n")
    assert server.networks() == 0
    assert capsys.readouterr().out == f"""\
mynetworks ({server.path}/main.cf:1)

  192.168.87.0/24     192.168.87.0 - 192.168.87.255
                      256 addresses trusted: private
  !192.168.87.1       192.168.87.1
                      no effect: 192.168.87.0/24 before it
  127.0.0.0/8         127.0.0.0 - 127.255.255.255
                      16,777,216 addresses trusted: this host itself
  10.0.0.1/8          an error: non-null host address bits in "10.0.0.1/8",
                      perhaps you should use "10.0.0.0/8" instead. Clients that
                      come so far are answered 451

Trusted: 16,777,472 addresses. IPv4 clients that come as far as an error are
answered 451.

10.0.0.1/8: bits are set behind the mask (network-host-bits): write 10.0.0.0/8
"!192.168.87.1" has no effect: "192.168.87.0/24" before it matches first
  (exception-too-late): put the exception before the range
"""


def test_addresses(server: Server, capsys: Captured) -> None:
    server.write("mynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24\n")
    assert server.networks("192.168.87.2", "::ffff:127.0.0.1") == 0
    assert server.networks("192.168.87.1", "2001:db8::1") == 1
    assert capsys.readouterr().out == """\
192.168.87.2: trusted
  192.168.87.0/24 takes it in
127.0.0.1: trusted
  127.0.0.0/8 takes it in
192.168.87.1: not trusted
  !192.168.87.1 leaves it out
2001:db8::1: not trusted
  it is in none of 127.0.0.0/8, 192.168.87.0/24
"""


def test_tables_and_names(server: Server, capsys: Captured) -> None:
    server.write("mynetworks = 127.0.0.0/8 cidr:DIR/office pgsql:DIR/users.cf !.guests.example 10.0.0.0/8 DIR/more\n")
    (server.path / "office").write_text("192.168.87.0/24 yes\n192.168.88.0/24 yes\n")
    (server.path / "users.cf").write_text("hosts = localhost\n")
    (server.path / "more").write_text("# the branch\n172.20.0.0/16\n")
    assert server.networks() == 0
    out = " ".join(capsys.readouterr().out.split())
    assert f"cidr:{server.path}/office as the table is now: 512 addresses trusted" in out
    assert f"pgsql:{server.path}/users.cf a table that cannot be listed: any client may be in it, and be trusted" in out
    assert "!.guests.example clients whose name in DNS is this, or below it, are left out" in out
    assert f"172.20.0.0/16 172.20.0.0 - 172.20.255.255 65,536 addresses trusted: private from {server.path}/more" in out
    assert "Others as tables or names say. Some of these may be left out by tables or names." in out
    assert server.networks("192.168.88.7") == 0
    assert server.networks("10.0.0.1") == 3
    assert server.networks("198.51.100.1") == 3
    answers = " ".join(capsys.readouterr().out.split())
    assert f"192.168.88.7: trusted cidr:{server.path}/office takes it in" in answers
    assert "10.0.0.1: it depends" in answers
    assert "!.guests.example may match it; 10.0.0.0/8 takes it in" in answers


def test_it_is_not_set(server: Server, capsys: Captured) -> None:
    server.write("mynetworks_style = host\ninet_interfaces = 127.0.0.1\n")
    assert server.networks() == 0
    assert capsys.readouterr().out == """\
mynetworks
  It is not set: mynetworks_style = host makes it of this host's addresses,
  127.0.0.1/8

  127.0.0.1/32        127.0.0.1
                      1 address trusted: this host itself

Trusted: 1 address.
"""


def test_nobody(server: Server, capsys: Captured) -> None:
    server.write("mynetworks =\n")
    assert server.networks() == 0
    assert capsys.readouterr().out.endswith("\n\nTrusted: nobody.\n")
    assert server.networks("10.1.1.1") == 1
    assert "it is in none of them: nobody is trusted" in capsys.readouterr().out


def test_a_listener_with_networks_of_its_own(server: Server, capsys: Captured) -> None:
    master = f"{MASTER_CF}127.0.0.1:10026 inet n - n - - smtpd -o mynetworks=127.0.0.0/8\n"
    server.write("mynetworks = 127.0.0.0/8 10.0.0.0/8\n", master)
    assert server.networks() == 0
    out = capsys.readouterr().out
    assert f"mynetworks ({server.path}/main.cf:1)\n  of smtp (master.cf:1)\n" in out
    assert f"mynetworks ({server.path}/master.cf:9)\n  of 127.0.0.1:10026 (master.cf:9)\n" in out
    assert server.networks("10.1.1.1") == 1
    assert capsys.readouterr().out == f"""\
smtp (master.cf:1) ({server.path}/main.cf:1)
10.1.1.1: trusted
  10.0.0.0/8 takes it in
127.0.0.1:10026 (master.cf:9) ({server.path}/master.cf:9)
10.1.1.1: not trusted
  it is in none of 127.0.0.0/8
"""


def test_json(server: Server, capsys: Captured) -> None:
    server.write("mynetworks = !192.168.87.1 192.168.87.0/24\n")
    assert server.networks("--json", "192.168.87.1") == 1
    [view] = json.loads(capsys.readouterr().out)
    assert view["path"] == f"{server.path}/main.cf"
    assert view["line"] == 1
    assert view["trusted_ipv4"] == 255
    assert view["items"][0] == {
        "item": "!192.168.87.1",
        "kind": "network",
        "networks": ["192.168.87.1/32"],
        "decides": ["192.168.87.1/32"],
        "count": 1,
        "open": False,
        "file": "",
        "problem": "",
    }
    assert view["addresses"] == [
        {
            "address": "192.168.87.1",
            "trusted": False,
            "item": "!192.168.87.1",
            "failing": False,
            "why": "!192.168.87.1 leaves it out",
        }
    ]


def test_wrong_command_lines_and_configurations(server: Server, capsys: Captured) -> None:
    assert server.networks("printer") == 64
    assert server.networks("10.0.0.0/8") == 64
    assert server.networks() == 2
    server.write("mynetworks = 127.0.0.0/8 !\n")
    assert server.networks() == 2
    err = capsys.readouterr().err
    assert "printer is no IP address" in err
    assert "main.cf: No such file or directory" in err
    assert "is there an item that is only `!`?" in err


@pytest.mark.parametrize("command", ["networks", "lint"])
def test_on_a_terminal(server: Server, command: str) -> None:
    """Colours there, none in a pipe; 80 columns either way."""
    server.write("mynetworks = 127.0.0.0/8 192.168.87.0/24 !192.168.87.1\n")
    line = [sys.executable, "-m", "gatepost.cli.program", "-c", str(server.path), command]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    piped = subprocess.run(line, capture_output=True, check=False, env=environment).stdout
    shown = bytearray()
    parent, child = pty.openpty()
    with subprocess.Popen(line, stdout=child, env=environment):
        os.close(child)
        try:
            while data := os.read(parent, 4096):
                shown += data
        except OSError:
            pass  # Linux: all is read, and the other side is closed
    os.close(parent)
    assert b"\x1b[" in shown
    assert b"\x1b[" not in piped
    assert re.sub(rb"\x1b\[\d+m", b"", bytes(shown)).replace(b"\r\n", b"\n") == piped
    assert max(map(len, piped.decode().split("\n"))) <= max(80, len(f"mynetworks ({server.path}/main.cf:1)") + 40)
