"""smtp(8) and lmtp(8) from a Foundation."""

import random
import socket
import time

from gatepost.cleanup.interface import QueueWriter
from gatepost.cleanup.received import Dates
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.delivery.lmtp import LmtpAgent
from gatepost.delivery.smtp import SmtpAgent
from gatepost.delivery.smtp_dns import FilteredResolver
from gatepost.delivery.smtp_generic import GenericLmtpAgent, GenericSmtpAgent
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_tables import SmtpTables
from gatepost.delivery.smtp_transcript import ClientTranscripts, transcript_classes
from gatepost.dns.answers import Resolver
from gatepost.dns.hosts import canonical_address
from gatepost.dns.search import SearchingResolver, search_options
from gatepost.dns.servers import ResolvConf
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation
from gatepost.master.notices import make_cleanup
from gatepost.master.smtp_sasl import smtp_login
from gatepost.master.smtp_tls import smtp_tls
from gatepost.rewrite.canonical import generic_maps
from gatepost.tables.maps import Maps


def _resolver(dns: Resolver, settings: Settings, program: str) -> Resolver:
    """With smtp_dns_resolver_options. Raises ConfigError."""
    parameter = f"{program}_dns_resolver_options"
    options = search_options(settings.text(parameter), parameter)
    if not options:
        return dns
    own_domain = socket.gethostname().partition(".")[2]
    return SearchingResolver(dns, options, ResolvConf(time.monotonic).settings, own_domain)


def _filtered(resolver: Resolver, maps: Maps | None, log: ProgramLog) -> Resolver:
    """With smtp_dns_reply_filter, if there is one."""
    return resolver if maps is None else FilteredResolver(resolver, maps, log.info, log.warning)


def smtp_agent(
    foundation: Foundation, settings: Settings, program: str, log: ProgramLog, writer: QueueWriter | None = None
) -> SmtpAgent:
    """The agent of a transport; `program`: `smtp` or `lmtp`. `writer` takes the postmaster's transcripts. Raises
    ConfigError.
    """
    tables, parts = foundation.tables.logged_by(log.warning, log.error), (foundation.rewriter, foundation.local_domains)
    generic = generic_maps(settings, tables, *parts, prefix=program)
    params, smtp_tables = SmtpParams.of(settings, program), SmtpTables.of(settings, tables, log, program)
    dns = foundation.dnssec if params.dns_support_level == "dnssec" else foundation.dns
    resolver = _resolver(dns, settings, program)
    arguments = (
        params, resolver, foundation.hosts, log.info, log.warning, time.time, random.Random(),
    )  # fmt: skip
    transcripts = None
    if writer is not None and transcript_classes(settings):
        dates, cleanup = Dates(time.localtime), make_cleanup(foundation, writer, foundation.mail_log)
        transcripts = ClientTranscripts(settings, program.upper(), cleanup, log, lambda: dates.at(time.time()).date)
    options = {
        "transcripts": transcripts,
        "own_addresses": foundation.own_addresses
        | {canonical_address(address) or address for address in split_list(settings.proxy_interfaces)},
        "open_content": foundation.open_content,
        "tables": smtp_tables,
        "tls": smtp_tls(tables, settings, program, log, _filtered(resolver, smtp_tables.dns_filter, log)),
        "login": smtp_login(foundation, settings, program, log),
        "writes": foundation.writes,
    }
    if generic is not None:
        kind = GenericLmtpAgent if program == "lmtp" else GenericSmtpAgent
        return kind(generic, *arguments, **options)
    return (LmtpAgent if program == "lmtp" else SmtpAgent)(*arguments, **options)  # type: ignore[arg-type]
