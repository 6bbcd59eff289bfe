"""Proved configurations attacked over the wire: nmap's forms of address, from a stranger, before a real Gatepost each.

    unshare -n -m python -m tests.scenarios.proved_play

Prints JSON: [{"name", "main", "outcome": what prove says, "said": what nmap says in each of DISGUISES}, ...]. The
refuted configurations among them show that nmap would get in.
"""

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from gatepost.audit.strangers.inquiry import inquire
from gatepost.config.errors import ConfigError
from gatepost.master.prove import ProvedListener, inquired
from gatepost.restrictions.compile import require_relay_protection
from tests.audit.strangers.test_attacked import configurations, is_strange, listener_of
from tests.audit.strangers.test_corpus import MASTER, PRELUDE, corpus
from tests.dns_server import DnsServer
from tests.namespaces import prepare_namespaces
from tests.scenarios.server import MASTER_CF, WAIT, Gatepost, owner_name, temporary_folder, until

STRANGER, SERVER, PORT = "203.0.113.7", "198.51.100.25", 2500
NAME = "mail.stranger.invalid"
ZONE = f"7.113.0.203.in-addr.arpa PTR {NAME}\n{NAME} A {STRANGER}\n"
DISGUISES = (
    ("elsewhere.invalid", "antispam"),
    ("partner.example", "boss"),
    ("friend.example", "boss"),
    ("example.com", "boss"),
)
"""Domain and local part that nmap is given for what it says in HELO, sender and recipient."""
OPEN = (
    "half of the IPv4 world",
    "a single sender is believed",
    "clients are permitted by a wide cidr table",
)
# nmap asks no further than RCPT TO, where a recipient may be accepted whose message goes nowhere. It has no patience.
UNSUITED = re.compile("DISCARD|HANGUP|REDIRECT us@ours.example|smtpd_data_restrictions|sleep [0-9]+")
LONG = re.compile("^(inside|outside) = .*side", re.MULTILINE)
"""Classes that lead on to classes have so many ways through them that all of them take long to follow."""
DRAWN, RANDOM = 60, 6
"""Random configurations: how many are drawn, and how many of them are attacked, if so many are proved."""
EVERY = 6
"""Of the corpus' proved configurations, each so many-th one is attacked."""
QUICK = "smtpd_error_sleep_time = 0\nsmtpd_hard_error_limit = 1000\nsmtpd_policy_service_try_limit = 1\n"


@dataclass
class Case:
    name: str
    main: str
    outcome: str
    said: list[str] = field(default_factory=list)


def _chosen() -> Iterator[Case]:
    labelled = [
        Case(case.name, PRELUDE + case.main, case.outcome)
        for case in corpus()
        if case.master == MASTER and not UNSUITED.search(case.main) and _starts(listener_of(PRELUDE + case.main))
    ]
    yield from [case for case in labelled if case.outcome == "proved"][::EVERY]
    yield from (case for case in labelled if case.name in OPEN)
    drawn: list[str] = []

    @settings(
        max_examples=DRAWN,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(configurations())
    def draw(main: str) -> None:
        # Most have no refusal without which no server starts; what comes before it is what it was.
        main = re.sub("(smtpd_relay_restrictions = .*)", r"\1, defer_unauth_destination", main)
        drawn.append(UNSUITED.sub(lambda found: "sleep 0" if "sleep" in found[0] else "WARN", main))

    draw()
    found = sorted(map(_proved, drawn), reverse=True)[:RANDOM]
    yield from (Case(f"random {number}", text, "proved") for number, (paths, text) in enumerate(found) if paths)


def _starts(listener: ProvedListener | None) -> bool:
    """Have its lists a refusal that somebody gets to? Without one no server starts."""
    if listener is None:
        return False
    try:
        require_relay_protection(listener.policy.parts)
    except ConfigError:
        return False
    return True


def _proved(text: str) -> tuple[int, str]:
    """How many ways lead through a configuration; 0 if it is not proved, or trusts our stranger."""
    listener = None if LONG.search(text) else listener_of(text)
    if listener is None or not _starts(listener):
        return 0, text
    answer = asyncio.run(inquire(inquired(listener)))
    asked = answer.outcome == "proved" and is_strange(answer, STRANGER, NAME)
    return (answer.paths if asked else 0), text


def _started(case: Case, number: int, folder: Path) -> Gatepost:
    main_cf = f"{case.main}mail_owner = {owner_name()}\n{QUICK}"
    if case.outcome == "refuted":
        main_cf += "gatepost_allow_open_relay = yes\n"
    listen = f"{SERVER}:{PORT + number}"
    master_cf = MASTER_CF.format(listen=listen).replace("smtpd\n", "smtpd -o inet_interfaces=all\n", 1)
    folder = folder / str(number)
    folder.mkdir()
    folder.chmod(0o755)
    server = Gatepost(folder, main_cf, port=PORT + number, host=SERVER, master_cf=master_cf)
    server.launch("--single-process")
    try:
        until(lambda: _answers(server), f"{case.main}\n{server.output()}")
    except AssertionError:
        server.stop(kill=True)
        raise
    return server


def _answers(server: Gatepost) -> bool:
    """Does it say anything? (It may refuse whoever connects.)"""
    with contextlib.suppress(OSError), socket.create_connection((server.host, server.port), 1) as sock:
        sock.settimeout(5)
        return bool(sock.recv(64))
    return False


def _attacked(cases: list[Case]) -> None:
    """All servers by each disguise: nmap asks them side by side."""
    ports = f"{PORT}-{PORT + len(cases) - 1}"
    for domain, user in DISGUISES:
        options = {"domain": domain, "from": user, "to": user}
        arguments = ",".join(f"smtp-open-relay.{name}={value}" for name, value in options.items())
        done = subprocess.run(
            ["nmap", "-Pn", "-n", "-sT", "-p", ports, "--script", "+smtp-open-relay", "--script-args", arguments,
             "-vv", "-oX", "-", SERVER],
            capture_output=True,
            text=True,
            timeout=4 * WAIT,
            check=True,
        )  # fmt: skip
        for port in ET.fromstring(done.stdout).iter("port"):
            case = cases[int(port.attrib["portid"]) - PORT]
            case.said += [script.attrib["output"] for script in port.iter("script")]


def play(folder: Path) -> list[Case]:
    """Every case attacked."""
    cases = list(_chosen())
    with contextlib.ExitStack() as servers:
        for number, case in enumerate(cases):
            servers.callback(_started(case, number, folder).stop)
        _attacked(cases)
    return cases


async def _main() -> list[Case]:
    dns = DnsServer(ZONE)
    await dns.start("127.0.0.1", 53)
    with temporary_folder() as folder:
        try:
            return await asyncio.to_thread(play, folder)
        finally:
            await dns.stop()


if __name__ == "__main__":
    prepare_namespaces()
    # Neither is an address of an interface, which inet_interfaces = all would take for our own.
    for route in (f"{STRANGER}/32 dev lo", f"{SERVER}/32 dev lo src {STRANGER}"):
        subprocess.run(["ip", "route", "add", "local", *route.split(), "table", "local"], check=True)
    print(json.dumps([asdict(case) for case in asyncio.run(_main())]))
