"""gatepost smtpd-check: try restriction lists on made-up clients, senders and recipients, without a server."""

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from gatepost.audit.session_script import SessionScript
from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.host_facts import ThisHost
from gatepost.config.networks import own_interfaces
from gatepost.dns.answers import Resolver
from gatepost.dns.fake import FakeResolver
from gatepost.dns.hosts import HostsFile
from gatepost.dns.resolver import DnsResolver
from gatepost.dns.servers import ResolvConf
from gatepost.dns.zone import ZoneError
from gatepost.net.policy_client import PolicyPools
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables

DESCRIPTION = """\
Reads a script of SMTP sessions from standard input and plays it against the evaluator that serves SMTP. Each line is
shown after `>>> `, then what the server would log, then what it would answer: `OK` if the command is permitted.

No main.cf is read: the script says what is to be tried. `NAME VALUE` sets a parameter, `client_restrictions LIST` (and
helo_, sender_, relay_, recipient_, etrn_restrictions) a list, `restriction_class NAME,LIST` a class; a list is one
word, its items are separated by commas. `client NAME ADDR [2|4|5|6]`, `helo NAME`, `mail ADDR` and `rcpt ADDR` are
judged. Other commands: `fingerprint FP`, `rewrite`, `flush_dnsxl_cache`.

Addresses are taken as they are written. They are ours if mydestination, virtual_alias_domains,
virtual_mailbox_domains or relay_domains has their domain. Address verification finds every address deliverable.
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost smtpd-check",
        "try restriction lists without a server",
        "[--zone FILE] [--directory DIR] < SCRIPT",
        DESCRIPTION,
        "0: the script was played to its end, whatever the answers. 1: the zone file cannot be read. 64: wrong "
        "command line.",
    )
    parser.add_argument("--zone", metavar="FILE", help="answers DNS queries: one record a line, `name TYPE data`")
    parser.add_argument("--directory", metavar="DIR", default="", help="where relative table names are looked for")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Play the script on standard input; the exit status."""
    try:
        options = _parser().parse_args(arguments)
    except CommandLineError as error:
        print(f"gatepost smtpd-check: fatal: {error}", file=sys.stderr)
        return 64
    try:
        zone = FakeResolver.from_file(Path(options.zone)) if options.zone is not None else None
    except (OSError, UnicodeDecodeError, ZoneError) as error:
        print(f"gatepost smtpd-check: fatal: {options.zone}: {error}", file=sys.stderr)
        return 1
    asyncio.run(_play(zone, options.directory, sys.stdin.buffer, sys.stdout.buffer))
    return 0


async def _play(zone: FakeResolver | None, directory: str, script: BinaryIO, out: BinaryIO) -> None:
    dns: Resolver = zone or DnsResolver(ResolvConf(time.monotonic), time.monotonic, randbits=secrets.randbits)

    def open_tables(warn: Callable[[str], None]) -> Tables:
        clock = time.monotonic
        return Tables(TableEnvironment(clock=clock, warn=warn, directory=directory, environ=dict(os.environ)))

    session = SessionScript(
        dns,
        open_tables,
        hosts=None if zone else HostsFile(time.monotonic),
        policy=PolicyPools(directory="", limit=1, clock=time.time),
        own_addresses=_own_addresses(),
    )
    # Line by line, so that it can be used by hand. The echo has the script's octets, whatever they are.
    while line := script.readline():
        line = line.removesuffix(b"\n")
        out.write(b">>> " + line + b"\n")
        for text in await session.answer(line.decode("utf-8", "replace")):
            out.write(text.encode() + b"\n")
        out.flush()


def _own_addresses() -> frozenset[str]:
    return frozenset(str(interface.address) for interface in own_interfaces("all", "all", ThisHost()))
