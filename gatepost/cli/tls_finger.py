"""gatepost tls-finger: what a server's TLS is like, as posttls-finger(1) tells it."""

import argparse
import asyncio
import random
import sys
import time
from pathlib import Path

import msgspec

from gatepost.cli.options import CommandLineError, ManualPage
from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.delivery.smtp_addresses import AddressFinder, NoAddress, Target
from gatepost.delivery.smtp_destination import BadDestination, parse_destination
from gatepost.delivery.smtp_finger import Finger, chain_text
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_tls import Contexts, Sessions, SmtpTls
from gatepost.delivery.smtp_tls_dane import Dane
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.delivery.smtp_tls_policy import LEVELS, BadPolicy, Policies
from gatepost.dns.hosts import HostsFile
from gatepost.master.foundation import dns_resolver
from gatepost.net.connect import ConnectFailure
from gatepost.protocol.lmtp_client import LmtpClientProtocol
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.tls.values import BadTlsValue, Chain

DESCRIPTION = """
Connects to the servers of a destination, as a delivery would, says EHLO and STARTTLS, tells what the handshake has
brought, and leaves. The output is posttls-finger's. Policy tables and the smtp_tls_ parameters of main.cf do not
count: what is wanted of the server is said here. Sessions are kept in memory for -r.

The destination is `domain`, `domain:port`, `[host]`, `[host]:port` or, with -S, `unix:PATH`. What follows it are the
names that the certificate must have (verify, secure), or fingerprints (fingerprint).
"""


def _parser() -> ManualPage:
    parser = ManualPage(
        "gatepost tls-finger",
        "what a server's TLS is like",
        "[-q] [-C] [-l LEVEL] [-F FILE] [-P DIR] HOST [MATCH ...]",
        DESCRIPTION,
        "0: the server is as LEVEL wants it. 1: it is not, or cannot be reached. 64: wrong command line.",
    )
    add = parser.add_argument
    add("-q", action="store_true", help="tell of TLS only, not of what is said (posttls-finger's -c)")
    add("-C", action="store_true", help="show the certificates that the server sends")
    add(
        "-l",
        metavar="LEVEL",
        default="secure",
        help="none, may, encrypt, fingerprint, dane, dane-only, verify, secure (default)",
    )
    add("-L", metavar="WHAT", default="routine,certmatch", help="as smtp_tls_loglevel")
    add("-A", metavar="FILE", action="append", default=[], help="the only authorities that count; may be repeated")
    add("-F", metavar="FILE", default="", help="authorities, in one file")
    add("-P", metavar="DIR", default="", help="authorities, in a directory of their hashes")
    add("-d", metavar="DIGEST", default="", help="of fingerprints (default: smtp_tls_fingerprint_digest)")
    add("-g", metavar="GRADE", default="medium", help="of ciphers (default: medium)")
    add("-p", metavar="PROTOCOLS", default=">=TLSv1", help="as smtp_tls_mandatory_protocols")
    add("-s", metavar="NAME", default="", help="what the server is told that we look for (SNI)")
    add("-H", metavar="FILE", action="append", default=[], help="a chain of ours to show, the key first")
    add("-k", metavar="FILE", default="", help="a certificate of ours to show")
    add("-K", metavar="FILE", default="", help="its key")
    add("-a", metavar="FAMILY", choices=("ipv4", "ipv6", "any"), default="any", help="ipv4, ipv6, any: which first")
    add("-h", metavar="HOW", dest="lookup", default="", help="as smtp_host_lookup (default: dns)")
    add("-o", metavar="NAME=VALUE", action="append", default=[], help="a parameter; may be repeated")
    add("-m", metavar="COUNT", type=int, default=5, help="reconnect so often at most (default: 5)")
    add("-r", metavar="SECONDS", type=int, default=0, dest="reconnect", help="connect again, and resume the session")
    add("-S", action="store_true", help="speak LMTP")
    add("-t", metavar="SECONDS", type=int, default=30, help="to connect, and for the greeting (default: 30)")
    add("-T", metavar="SECONDS", type=int, default=30, help="for a reply, and the handshake (default: 30)")
    add("-w", action="store_true", help="TLS from the first octet (port 465)")
    add("destination", metavar="HOST", help="whom to ask")
    add("match", metavar="MATCH", nargs="*", help="names, or fingerprints")
    return parser


def main(arguments: list[str], directory: str) -> int:
    """Ask a server; the exit status."""
    try:
        options = _parser().parse_args(arguments)
        if options.l.lower() not in LEVELS:
            raise CommandLineError(f'invalid TLS level "{options.l}"')
        settings = _settings(directory, options.o)
    except CommandLineError as error:
        print(f"gatepost tls-finger: fatal: {error}", file=sys.stderr)
        return 64
    try:
        return asyncio.run(_Question(options, settings).answer())
    except (BadTlsValue, BadPolicy, OSError) as error:
        print(f"gatepost tls-finger: fatal: {error}", file=sys.stderr)
        return 1


def _settings(directory: str, overrides: list[str]) -> Settings:
    """Those of main.cf, if there is one, with the parameters given. Raises CommandLineError, ConfigError."""
    path = Path(directory, "main.cf")
    text = path.read_text("utf-8", "surrogateescape") if path.is_file() else ""
    for override in overrides:
        name, equals, value = override.partition("=")
        if not equals or not name.strip() or "\n" in override:
            raise CommandLineError(f"bad parameter: {override}")
        text += f"\n{name.strip()} = {value.strip()}\n"
    return Configuration.parse(text, directory=directory).settings


def _say(text: str) -> None:
    print(f"tls-finger: {text}", flush=True)


class _Question:
    def __init__(self, options: argparse.Namespace, settings: Settings) -> None:
        self._options = options
        self._settings = settings
        self._program = "lmtp" if options.S else "smtp"
        self._tls_params = self._params_of_tls()
        params = SmtpParams.of(settings, self._program)
        slow, quick = float(options.T), float(options.t)
        self._params = msgspec.structs.replace(
            params, helo_timeout=slow, quit_timeout=slow, starttls_timeout=slow, connect_timeout=quick,
            host_lookup=self._tls_params.host_lookup, address_preference=options.a,
            tcp_port="24" if options.S else "smtp", dns_support_level=self._tls_params.dns_support_level,
        )  # fmt: skip
        self._resolver = dns_resolver(settings, dnssec=self._tls_params.dns_support_level == "dnssec")

    def _params_of_tls(self) -> SmtpTlsParams:
        options, settings = self._options, self._settings
        usual = SmtpTlsParams.of(settings, self._program)
        wanted = " ".join(options.match)
        level = options.l.lower()
        given = SmtpTlsParams(
            prefix=self._program, security_level=level, CAfile=options.F, CApath=options.P,
            trust_anchor_file=" ".join(options.A), fingerprint_cert_match=wanted, servername=options.s,
            fingerprint_digest=options.d or usual.fingerprint_digest, ciphers=options.g, mandatory_ciphers=options.g,
            protocols=options.p, mandatory_protocols=options.p, loglevel=options.L, wrappermode=options.w,
            library=usual.library, wildcard_matches_multiple_labels=usual.wildcard_matches_multiple_labels,
            host_lookup=tuple(options.lookup.replace(",", " ").split()) or ("dns",),
            dns_support_level="dnssec" if level in ("dane", "dane-only") else "",
            dane_insecure_mx_policy="dane" if level == "dane" else "may",
            force_insecure_host_tlsa_lookup=usual.force_insecure_host_tlsa_lookup,
        )  # fmt: skip
        if not wanted:
            return given
        return msgspec.structs.replace(given, verify_cert_match=wanted, secure_cert_match=wanted)

    def _tls(self, loglevel: str) -> SmtpTls:
        """Raises BadTlsValue, OSError."""
        params = msgspec.structs.replace(self._tls_params, loglevel=loglevel)
        dane = Dane(params, self._resolver, _warn, _say)
        policies = Policies(params, None, None, lambda path: Path(path).read_bytes(), _warn, dane)
        contexts = Contexts(params, self._chains())
        return SmtpTls(params, policies, lambda: contexts, Sessions(3600.0, time.monotonic), _say, _warn)

    def _chains(self) -> tuple[Chain, ...]:
        options = self._options
        if not (options.k or options.K):
            return tuple(Chain(name=path, certificates=Path(path).read_bytes()) for path in options.H)
        certificate, key = options.k or options.K, options.K or options.k
        octets = Path(certificate).read_bytes()
        return (Chain(name=certificate, certificates=octets, key_name=key, key=Path(key).read_bytes()),)

    async def answer(self) -> int:
        """Raises BadTlsValue, BadPolicy, OSError."""
        options, tls = self._options, self._tls(self._options.L)
        protocol: type[SmtpClientProtocol] = LmtpClientProtocol if options.S else SmtpClientProtocol
        destination = options.destination.removeprefix("inet:")
        nexthop = destination.removeprefix("unix:")
        targets = await self._targets(destination)
        finger = Finger(self._params, tls, protocol, _say, chat=not options.q)
        good = await self._ask(finger, targets, nexthop)
        if options.C and finger.chain:
            print(chain_text(finger.chain, self._tls_params.fingerprint_digest))
        if options.reconnect and good is not None and finger.chain:
            again = SmtpTls(
                msgspec.structs.replace(tls.params, loglevel="summary,cache"), tls.policies, tls.contexts,
                tls.sessions, _say, _warn,
            )  # fmt: skip
            await self._come_back(Finger(self._params, again, protocol, _say, chat=False), targets, nexthop)
        return 0 if good else 1

    async def _come_back(self, finger: Finger, targets: list[Target], nexthop: str) -> None:
        for _ in range(self._options.m):
            _say(f"Reconnecting after {self._options.reconnect} seconds")
            await asyncio.sleep(self._options.reconnect)
            if await self._ask(finger, targets, nexthop) is None or finger.reused:
                break
        if finger.reused:
            _say("Found a previously used server.  Done reconnecting.")

    async def _ask(self, finger: Finger, targets: list[Target], nexthop: str) -> bool | None:
        """The answer of the first server that can be reached; None if none can."""
        for target in targets:
            try:
                policy = await finger.policies.find(nexthop, target.host, target)
                return await finger.ask(target, policy, nexthop)
            except BadPolicy as error:
                _say(f"TLS policy lookup for {nexthop}/{target.host}: {error}")
            except ConnectFailure as error:
                via = f"{self._options.destination} via {target.host}"
                _say(f"Failed to establish session to {via}: connect to {target.namaddrport}: {error}")
        return None

    async def _targets(self, text: str) -> list[Target]:
        params = self._params
        if text.startswith("unix:"):
            return [Target(params.myhostname, text[5:], 0)]
        try:
            destination = parse_destination(text, params.tcp_port, known_ports=params.known_tcp_ports)
        except BadDestination as error:
            raise ConfigError(str(error)) from None
        hosts = HostsFile(time.monotonic)
        finder = AddressFinder(params, self._resolver, hosts, random.Random(), frozenset(), _warn)
        found = await finder.find(
            msgspec.structs.replace(destination, use_mx=destination.use_mx and not self._options.S)
        )
        if isinstance(found, NoAddress):
            _say(f"Destination address lookup failed: {found.text}")
            return []
        return found


def _warn(text: str) -> None:
    _say(f"warning: {text}")
