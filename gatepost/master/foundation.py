"""What every process stands on, built from one configuration: tables, rewriting, routing, name service.

Everything that can be wrong with the configuration shows when these are built (ConfigError), so building them is also
the proof that a configuration can serve.
"""

import os
import secrets
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from gatepost.config.configuration import Configuration
from gatepost.config.errors import ConfigError
from gatepost.config.host_facts import ThisHost
from gatepost.config.networks import own_interfaces
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.dns.answers import Resolver
from gatepost.dns.dnssec_probe import ProbingResolver
from gatepost.dns.hosts import HostsFile
from gatepost.dns.resolver import DnsResolver
from gatepost.dns.servers import FixedServers, ResolvConf, parse_servers
from gatepost.maillog.sink import MailLog
from gatepost.master.file_access import FileAccess, access_here
from gatepost.master.process_numbers import smtpd_processes
from gatepost.master.spawn import socket_names
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.net.policy_client import PolicyPools
from gatepost.rewrite.assemble import address_services
from gatepost.sasl.back_ends import BackEnds
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from gatepost.tables.table import Table


class NisTable:
    """`nis:`: there is no NIS domain on this host, so nothing is found, as Postfix's client says in that case."""

    fixed = True

    def __init__(self, name: str) -> None:
        self.name = name

    async def lookup(self, key: str) -> str | None:
        return None


class Foundation:
    """`settings` are main.cf's (as Postfix's cleanup and trivial-rewrite, which see no smtpd `-o`)."""

    def __init__(
        self,
        configuration: Configuration,
        log: MailLog,
        open_tables: Callable[[TableEnvironment], Tables] = Tables,
        files: FileAccess | None = None,
    ) -> None:
        """`open_tables`: who is to tell which tables were asked has tables that take note. `files`: how tables and keys
        are opened, if not as this process can. Raises ConfigError.
        """
        self.configuration = configuration
        self.settings: Settings = configuration.settings
        self.mail_log = log
        self.writes = GatheredWrites()
        settings = self.settings
        rewrite, cleanup, local = log.program("trivial-rewrite"), log.program("cleanup"), log.program("local")
        self.files = files or access_here(configuration)
        self.tables = open_tables(table_environment(settings, rewrite.warning, self.files, rewrite.error))
        self.own_addresses = _own_addresses(settings)
        services = address_services(
            settings,
            self.tables,
            self.own_addresses | frozenset(split_list(settings.proxy_interfaces)),
            clock=time.monotonic,
            warn=rewrite.warning,
            cleanup_warn=cleanup.warning,
            local_warn=local.warning,
            cleanup_error=cleanup.error,
            local_error=local.error,
        )
        self.rewriter = services.rewriter
        self.classes = services.classes
        self.resolver = services.resolver
        self.probe_resolver = services.probe_resolver
        self.local_domains = services.local_domains
        self.virtual_aliases = services.virtual_aliases
        self.aliases = services.aliases
        self.canonical = services.canonical

    @cached_property
    def dns(self) -> DnsResolver:
        return dns_resolver(self.settings)

    @cached_property
    def dnssec(self) -> Resolver:
        """For who has to know which answers are authentic. Raises ConfigError."""
        log = self.mail_log.program("smtp")
        return ProbingResolver(dns_resolver(self.settings, dnssec=True), self.settings.dnssec_probe, log.warning)

    @cached_property
    def policy_pools(self) -> PolicyPools:
        """Connections to policy servers. They may have as many in all as Postfix, which has one for each smtpd(8)."""
        settings = self.settings
        return PolicyPools(
            directory=settings.queue_directory,
            own_sockets=socket_names(self.configuration),
            limit=max(1, settings.default_process_limit // smtpd_processes(self.configuration)),
            clock=time.time,
        )

    @cached_property
    def sasl(self) -> BackEnds:
        """Who knows the passwords of those who log in."""
        log = self.mail_log.program("smtpd")
        return BackEnds(
            self.tables.logged_by(log.warning, log.error),
            configuration=self.configuration.directory,
            warn=log.warning,
            secret=_host_secret(),
        )

    @cached_property
    def hosts(self) -> HostsFile:
        return HostsFile(time.monotonic)

    def open_content(self, name: str) -> BinaryIO:
        """A large content file of the store. Raises OSError."""
        return (Path(self.settings.gatepost_queue_directory) / "content" / name).open("rb")


def table_environment(
    settings: Settings,
    warn: Callable[[str], None],
    files: FileAccess | None = None,
    error: Callable[[str], None] | None = None,
) -> TableEnvironment:
    """What the tables of a process need: of the mail system, and of commands that look into tables."""
    files = files or FileAccess()
    return TableEnvironment(
        clock=time.monotonic,
        warn=warn,
        error=error,
        smtputf8=settings.smtputf8_enable,
        alias_tables=frozenset(split_list(settings.alias_maps) + split_list(settings.alias_database)),
        environ=dict(os.environ),
        openers={"nis": _nis},
        parameter=lambda name: settings.text(name) if settings.defined(name) else None,
        stat_file=files.stat,
        read_file=files.read,
        open_file=files.open,
    )


def _nis(spec: str, name: str) -> Table:
    return NisTable(spec)


def _host_secret() -> bytes:
    """What strangers cannot guess, and is the same in all processes of this host: machine-id(5) is there for that."""
    try:
        return Path("/etc/machine-id").read_bytes().strip() or secrets.token_bytes(16)
    except OSError:
        return secrets.token_bytes(16)


def _own_addresses(settings: Settings) -> frozenset[str]:
    try:
        return frozenset(
            str(interface.address)
            for interface in own_interfaces(settings.inet_interfaces, settings.inet_protocols, ThisHost())
        )
    except ValueError as error:
        raise ConfigError(str(error), parameter="inet_interfaces") from None


def dns_resolver(settings: Settings, *, dnssec: bool = False) -> DnsResolver:
    """Asks gatepost_dns_servers, else those of resolv.conf(5). `dnssec`: it tells which answers are authentic."""
    servers = settings.gatepost_dns_servers
    source = FixedServers(parse_servers(servers)) if servers else ResolvConf(time.monotonic)
    return DnsResolver(source, time.monotonic, randbits=secrets.randbits, dnssec=dnssec)
