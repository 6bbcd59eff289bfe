"""What people are shown on a terminal of 80 columns, with colour or without, and what programs read from a pipe."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from tests.scenarios.server import REPOSITORY, WAIT

COLUMNS = 80
COLOUR = re.compile(r"\x1b\[\d+m")
MAIN_CF = """\
compatibility_level = 3.6
myhostname = relay.home.example
mydestination = home.example, localhost.home.example
relay_domains = customer-with-a-long-name.example, branch.example
transport_maps = inline:{{ {{ branch.example = smtp:[198.51.100.25]:2525 }}, {{ slow.example = error:5.1.1 nobody }} }}
virtual_alias_maps = inline:{{ {{ all@home.example = bob@home.example, alice@home.example, one@gmail.example }} }}
alias_maps =
local_recipient_maps = inline:{{ bob=ok, alice=ok }}
mynetworks = 127.0.0.0/8 !192.168.87.1 192.168.87.0/24 [2001:db8:1::]/48 10.0.0.1/8
smtpd_client_restrictions =
    check_client_access cidr:{{ {{203.0.113.0/24 REJECT no mail from this part of the world, ask your provider}} }}
    permit_mynetworks, reject_rbl_client zen.spamhaus.org
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, check_sender_access regexp:{{{{/friend/ OK}}}},
    check_policy_service inet:127.0.0.1:10023, defer_unauth_destination
maillog_file = {folder}/log
mail_owner = nobody
gatepost_queue_directory = {folder}/queue
gatepost_dns_servers = 127.0.0.1:9
gatepost_dns_timeout = 1s
disable_vrfy_comand = yes
"""
MASTER_CF = """\
192.0.2.1:2597 inet n - n - - smtpd
192.0.2.254:2598 inet n - n - - smtpd
    -o smtpd_relay_restrictions=check_sender_access,inline:{boss@example.com=OK},reject_unauth_destination
smtp unix - - n - - smtp
relay unix - - n - - smtp
local unix - n n - - local
error unix - - n - - error
"""
COMMANDS = {
    "prove": ["prove"],
    "explain": ["explain", "--client", "203.0.113.9", "--client-name", "unknown", "--from", "a@b.example",
                "--to", "bob@home.example"],
    "explain a line": ["explain", "Nov 22 10:11:12 relay postfix/smtp[123]: ABCDEF123: to=<x@gmail.example>, "
                       "relay=mx.gmail.example[192.0.2.27]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=4.7.28, "
                       "status=deferred (host mx.gmail.example[192.0.2.27] said: 421-4.7.28 not so many)"],
    "lint": ["lint"],
    "lint --list": ["lint", "--list"],
    "networks": ["networks"],
    "networks of addresses": ["networks", "192.168.87.1", "203.0.113.5", "2001:db8:1::5"],
    "route": ["route", "all@home.example", "x@branch.example", "one@gmail.example", "y@slow.example"],
    "check": ["check"],
    **{f"{name} --help": [name, "--help"] for name in ("prove", "explain", "lint", "networks", "route", "check")},
}  # fmt: skip
PLAIN = ("explain a line", "lint --list", "check")
"""What has no colours. Nor has a manual page."""


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("conf")
    (folder / "main.cf").write_text(MAIN_CF.format(folder=folder))
    (folder / "master.cf").write_text(MASTER_CF)
    # By a short name, from where it is: a path is never broken, and temporary ones are long.
    return [sys.executable, "-m", "gatepost.cli.program", "-c", os.path.relpath(folder, REPOSITORY)]


def _environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | {"TERM": "xterm"} | more


def on_terminal(command: list[str], **environment: str) -> str:
    """What a command writes on a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdout=theirs, stderr=theirs, env=_environment(**environment), start_new_session=True
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 1 << 16):
            said += data
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
        process.wait(WAIT)
    return said.decode().replace("\r\n", "\n")


def piped(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, env=_environment(), timeout=WAIT, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_lines_fit_and_colours_are_for_terminals(command: list[str], name: str) -> None:
    shown = on_terminal([*command, *COMMANDS[name]])
    plain = COLOUR.sub("", shown)
    assert plain.strip()
    assert "\x1b" not in plain
    # A path or an item of a list that is longer stays whole, to be copied.
    assert [line for line in plain.splitlines() if len(line) > COLUMNS and len(line.split()) > 1] == []
    assert (shown == plain) == (name in PLAIN or name.endswith("--help"))
    assert on_terminal([*command, *COMMANDS[name]], NO_COLOR="1") == plain
    read = piped([*command, *COMMANDS[name]])
    assert "\x1b" not in read
    assert " ".join(read.split()) == " ".join(plain.split())


def test_what_goes_on_below_keeps_its_colour(command: list[str]) -> None:
    shown = on_terminal([*command, "prove"])
    header = re.search(r"Listener 192\.0\.2\.254:2598(?:.*\n)+?.*192\.0\.2\.254:2598:.*\n", shown)
    assert header is not None
    lines = header[0].splitlines()
    assert len(lines) > 1
    assert all(line.endswith("\x1b[0m") for line in lines)
