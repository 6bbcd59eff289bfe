"""The SMTP delivery agent, smtp(8): finds the servers of a destination and tries them in turn."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from gatepost.delivery.checked_content import DamagedContent, checked
from gatepost.delivery.interface import Log
from gatepost.delivery.report import AttemptLog
from gatepost.delivery.smtp_addresses import LOOP_DSN, AddressFinder, BackupTargets, NoAddress, Target
from gatepost.delivery.smtp_cache import SessionCache, always_keeps
from gatepost.delivery.smtp_connect import Connector
from gatepost.delivery.smtp_delivery import Failure, SmtpDelivery, take_left
from gatepost.delivery.smtp_demand import NOTHING, Demand, Demands
from gatepost.delivery.smtp_destination import BadDestination, Destination, parse_destination, split_destinations
from gatepost.delivery.smtp_dns import FilteredResolver
from gatepost.delivery.smtp_handshake import Handshake, port_hint
from gatepost.delivery.smtp_opening import SessionOpener
from gatepost.delivery.smtp_output import ContentReader, FileReader, changed
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_probe import DataProbeTransaction, ProbeTransaction, Withheld
from gatepost.delivery.smtp_session import LocalDataError, SessionLost, SmtpSession
from gatepost.delivery.smtp_tables import NO_TABLES, SmtpTables
from gatepost.delivery.smtp_transaction import SmtpTransaction
from gatepost.delivery.smtp_transcript import ClientTranscripts, recording
from gatepost.dns.answers import Resolver
from gatepost.dns.hosts import HostsFile
from gatepost.ipc.messages import DeliveryDone, DeliveryRequest
from gatepost.mail.mime_state import NestingTooDeep
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.protocol.smtp_client_login import with_login
from gatepost.protocol.smtp_commands import xforward_commands

if TYPE_CHECKING:  # they import what only those need who encrypt or log in
    from gatepost.delivery.smtp_sasl import SmtpLogin
    from gatepost.delivery.smtp_tls import SmtpTls


def _open_file(name: str) -> BinaryIO:
    return Path(name).open("rb")


class SmtpAgent:
    """Implements DeliveryAgent for the transports smtp, relay and their kin; one object per transport.

    `log` and `warn` write lines of the mail log (warn without the word `warning: `); `clock` gives wall-clock seconds;
    `own_addresses`: addresses of this host and proxy_interfaces; `open_content` opens a request's content_file.
    `tables`: what parameters with tables ask for; `transcripts`: where the postmaster wants to read of sessions; `tls`:
    None where no parameter asks for TLS; `login`: None without smtp_sasl_auth_enable; `writes`: of all
    connections of this process.
    """

    taskless = True
    protocol: type[SmtpClientProtocol] = SmtpClientProtocol
    fallback_parameter = "smtp_fallback_relay"

    def __init__(
        self,
        params: SmtpParams,
        resolver: Resolver,
        hosts: HostsFile | None,
        log: Log,
        warn: Log,
        clock: Callable[[], float],
        rng: random.Random,
        *,
        own_addresses: frozenset[str] = frozenset(),
        open_content: Callable[[str], BinaryIO] = _open_file,
        tables: SmtpTables = NO_TABLES,
        transcripts: ClientTranscripts | None = None,
        tls: "SmtpTls | None" = None,
        login: "SmtpLogin | None" = None,
        writes: GatheredWrites | None = None,
    ) -> None:
        self._params = params
        self._tls = tls
        self._login = login
        self._log = log
        self._warn = warn
        self._clock = clock
        self._open_content = open_content
        if tables.dns_filter is not None:
            resolver = FilteredResolver(resolver, tables.dns_filter, log, warn)
        self._finder = AddressFinder(params, resolver, hosts, rng, own_addresses, warn)
        self._cache = SessionCache()
        self._checks = tables.checks
        self._plain = tables.checks is None
        self._status_filter = tables.status_filter
        self._cache_destinations = tables.cache_destinations
        self._forwards = params.send_xforward_command
        self._quotes = params.quote_rfc821_envelope
        self._converts = not params.disable_mime_output_conversion
        self._inside = not params.disable_mime_input_processing
        self._transcripts = transcripts
        speaks = self.protocol if login is None else with_login(self.protocol)
        protocol = speaks if transcripts is None else recording(speaks)
        self._handshake = Handshake(params, log, warn, self.fallback_parameter[:4])
        at_data = params.address_verify_target == "data"
        self._transaction = self._transaction_type()
        connector = Connector(params, protocol, log, warn, tables, tls, logs_in=login is not None, writes=writes)
        hands = self._handshake
        self._opener = SessionOpener(connector, hands, self._transaction, log, clock, transcripts, tls, login)
        self._probe: type[SmtpTransaction] = DataProbeTransaction if at_data else ProbeTransaction

    @property
    def knows_passwords(self) -> bool:
        return self._login is not None

    async def deliver(self, request: DeliveryRequest) -> DeliveryDone:
        """Deliver one message; never raises for what the network or the message does."""
        attempt = AttemptLog(request, self._log, self._clock, self._params, self._status_filter)
        delivery = SmtpDelivery(request, attempt, self._log, soft_bounce=self._params.soft_bounce)
        return await self._carry_out(delivery)

    async def _carry_out(self, delivery: SmtpDelivery) -> DeliveryDone:
        request = delivery.request
        content: bytes | BinaryIO = request.content if not request.trace else cast(BinaryIO, Withheld())
        try:
            if not content and request.content_file:
                content = self._open(request)
        except OSError as exc:
            delivery.final_server = True
            self._warn(f"{request.queue_id}: open content file {request.content_file}: {exc.strerror}")
            delivery.fail(take_left(delivery), None, Failure("4.3.0", "cannot open message content"))
            return await self._done(delivery)
        try:
            await self._visit_sites(delivery, content)
        finally:
            if not isinstance(content, bytes):
                content.close()
        return await self._done(delivery)

    def _transaction_type(self) -> type[SmtpTransaction]:
        return SmtpTransaction

    def _open(self, request: DeliveryRequest) -> BinaryIO:
        """The content of a request whose content is in a file. Raises OSError."""
        return checked(self._open_content(request.content_file), request.checksum)

    async def close(self) -> None:
        """Let cached connections go."""
        self._cache.close()
        if self._login is not None:
            self._login.close()
        if self._transcripts is not None:
            await self._transcripts.close()

    async def _done(self, delivery: SmtpDelivery) -> DeliveryDone:
        request, site, attempt = delivery.request, delivery.site_failure, delivery.attempt
        if attempt.waiting:
            await attempt.settle()
        done = DeliveryDone(request.request_id, request.epoch, request.queue_id, attempt.statuses)
        if delivery.sites:
            done.sites = delivery.sites
        if site is not None and not delivery.complete:
            done.site_failure, done.site_dsn = site.text, site.dsn
        if delivery.left:
            done.pass_to = self._params.best_mx_transport
        if delivery.damaged:
            done.damaged = True
        return done

    async def _visit_sites(self, delivery: SmtpDelivery, content: bytes | BinaryIO) -> None:
        """The items of the nexthop list, then the fallback relays."""
        sites = self._sites(delivery.request.nexthop)
        every = sites + tuple(relay for relay in self._params.fallback_relay if relay not in sites)
        at = 0
        for at, site in enumerate(every):
            last = at == len(every) - 1
            looped = await self._visit_site(delivery, content, site, last)
            if at < len(sites) > 1:
                delivery.note_site(site)
            if not delivery.left or looped:
                break
        if not delivery.left:
            return
        why = self._last_word(delivery, sites, at)
        if why.dsn == f"5{LOOP_DSN}" and self._params.best_mx_transport:
            transport = self._params.best_mx_transport.partition(":")[0]
            for recipient in delivery.left:
                self._log(f"{delivery.request.queue_id}: passing <{recipient.address}> to transport={transport}")
            return
        target, uses = delivery.where(why)
        if target is None:
            delivery.attempt.connected()
        delivery.final_server = True
        delivery.fail_site(take_left(delivery), target, why, uses)

    def _sites(self, nexthop: str) -> tuple[str, ...]:
        return split_destinations(nexthop)

    def _resolved(self, site: str) -> Destination:
        params = self._params
        return parse_destination(
            site, params.tcp_port, disable_dns_lookups=params.disable_dns_lookups, known_ports=params.known_tcp_ports,
            srv=params.srv_services,
        )  # fmt: skip

    def _last_word(self, delivery: SmtpDelivery, sites: tuple[str, ...], at: int) -> Failure:
        """Why nobody took the message. What may be a mistake in the configuration is no reason to bounce."""
        why = delivery.why
        if why is None:
            return Failure("4.3.0", "server unavailable or unable to receive mail")
        if why.soft:
            return why
        if at >= len(sites):
            self._warn(f"{self.fallback_parameter} configuration problem")
            return Failure("4.3.5", why.text, why.reply, why.remote_mta)
        if sites and sites[0] == self._params.relayhost:
            self._warn("relayhost configuration problem")
            return Failure("4.3.5", why.text, why.reply, why.remote_mta)
        return why

    async def _visit_site(self, delivery: SmtpDelivery, content: bytes | BinaryIO, site: str, last: bool) -> bool:
        """One destination: an idle session if there is one, then its servers. True if it is the last one: others
        would make mail loop that this host is a backup for.
        """
        visited: set[str] = set()
        sessions = 0
        demands = self._demands(delivery, site)
        shared = NOTHING if demands is None else await demands.shared()
        while shared is not None and (session := self._cache.take(site + shared.key)) is not None:
            delivery.final_server = last and session.target.only
            if not await self._use(delivery, content, session, site):
                continue
            delivery.in_plaintext = False
            visited.add(session.target.namaddrport)
            sessions += 1
            if not delivery.left:
                return False
            break  # this very session may be idle again; other servers have their turn
        try:
            destination = self._resolved(site)
        except BadDestination as exc:
            self._warn(str(exc))
            delivery.why = Failure("4.3.5", str(exc))
            return False
        if destination.port == 465 and (hint := port_hint(self._params, self.fallback_parameter[:4])):
            self._log(hint)
        found = await self._finder.find(destination)
        if isinstance(found, NoAddress):
            delivery.why = Failure(found.dsn, found.text)
            return found.backup
        if last_of_all := isinstance(found, BackupTargets):
            last = True
        if 0 < self._params.mx_session_limit <= sessions:
            return last_of_all
        fresh = [target for target in found if target.namaddrport not in visited]
        await self._visit_targets(delivery, content, site, demands, fresh, last, len(visited), sessions)
        return last_of_all

    def _demands(self, delivery: SmtpDelivery, site: str) -> Demands | None:
        if self._login is not None:
            return Demands(self._tls, site, self._warn, self._login.share(delivery.request, site))
        return Demands(self._tls, site, self._warn) if self._tls is not None else None

    async def _visit_targets(
        self,
        delivery: SmtpDelivery,
        content: bytes | BinaryIO,
        site: str,
        demands: Demands | None,
        targets: list[Target],
        last: bool,
        addresses: int,
        sessions: int,
    ) -> None:
        """The servers of one destination, within smtp_mx_address_limit and smtp_mx_session_limit (0: none).

        One with which TLS fails may have a second turn in plaintext at once.
        """
        params = self._params
        at = 0
        while at < len(targets):
            target = targets[at]
            ends = at == len(targets) - 1 or addresses + 1 == params.mx_address_limit
            at_limit = sessions + 1 == params.mx_session_limit
            demand = NOTHING if demands is None else await demands.of(target, delivery)
            again, delivery.in_plaintext = delivery.in_plaintext, False
            if demand is not None:
                demand = demand.in_plaintext() if again else demand
                delivery.final_server = last and (ends or at_limit)
                if await self._visit_target(delivery, content, site, target, demand, last and ends, last and at_limit):
                    if delivery.in_plaintext:
                        continue
                    sessions += 1
                    ends = ends or at_limit
                elif delivery.in_plaintext:
                    continue
            if ends or not delivery.left:
                return
            addresses += 1
            at += 1

    async def _visit_target(
        self,
        delivery: SmtpDelivery,
        content: bytes | BinaryIO,
        site: str,
        target: Target,
        demand: Demand,
        last: bool,
        last_session: bool,
    ) -> bool:
        """Send over an idle session, or a new one; False if there was none. `last`: no other server will be asked;
        `last_session`: nor will it if there is a session with this one.
        """
        if await self._reuse(delivery, content, site, target, demand):
            return True
        delivery.final_server = last
        session = await self._opener.open(delivery, target, demand)
        if session is None:
            return False
        delivery.final_server = last or last_session
        await self._use(delivery, content, session, site)
        return True

    async def _reuse(
        self, delivery: SmtpDelivery, content: bytes | BinaryIO, site: str, target: Target, demand: Demand
    ) -> bool:
        """Send over an idle session with this very server; False if there was none that was alive."""
        while (session := self._cache.take(target.namaddrport + demand.key)) is not None:
            if await self._use(delivery, content, session, site):
                return True
        return False

    async def _use(self, delivery: SmtpDelivery, content: bytes | BinaryIO, session: SmtpSession, site: str) -> bool:
        """Send the message over a session; keep the session or let it go. False if it was dead from the start."""
        delivery.attempt.connected()
        request = delivery.request
        keep = request.keep and self._params.cache_on_demand
        if not keep and self._cache_destinations is not None:
            keep = await always_keeps(self._cache_destinations, site)
        keep = keep and self._lasts(session)
        kind = self._probe if request.trace else self._transaction
        transaction = kind(delivery, session.target, session.uses + 1)
        if not transaction.prepare(
            session.core.capabilities, content, converts=self._converts, quote=self._quotes, look_inside=self._inside
        ):
            session.quit()
            return True
        if self._forwards and session.core.capabilities.xforward:
            session.core.send_ahead(xforward_commands(session.core.capabilities, request.origin, request.queue_id))
        plain = self._plain and session.core.capabilities.eightbitmime and isinstance(content, bytes)
        outgoing = content if plain else self._outgoing(request, session, content)
        data_error = False
        try:
            await session.send(transaction, outgoing, keep=keep)  # type: ignore[arg-type]
            delivery.complete = delivery.complete or not transaction.stale
        except SessionLost as lost:
            if transaction.unfinished:
                await self._opener.may_give_up(session, delivery, encrypted=True)
            transaction.lost(lost.stage, timed_out=lost.timed_out)
            delivery.in_plaintext = delivery.in_plaintext and not transaction.stale
        except LocalDataError as error:
            if isinstance(error.__cause__, DamagedContent):
                delivery.found_damaged()
            transaction.local_error()
            session.abort()
            data_error = True
        except NestingTooDeep as refusal:
            transaction.unconvertible(str(refusal))
            session.abort()
        except asyncio.CancelledError:
            session.abort()
            raise
        if session.core.oddities or session.core.warnings:
            self._handshake.warn_about(session, request.queue_id)
        if keep and session.reusable:
            what = session.demand.key
            server = session.target.namaddrport + what
            self._cache.put(session, (site + what, server) if session.target.best else (server,))
        else:
            session.quit()
        if self._transcripts is not None:
            self._transcripts.over(session, request, data_error=data_error)
        return not transaction.stale

    def _outgoing(
        self, request: DeliveryRequest, session: SmtpSession, content: bytes | BinaryIO
    ) -> bytes | ContentReader:
        """The content as this server is to get it."""
        offered = session.core.capabilities.eightbitmime
        if not isinstance(content, bytes):
            content.seek(0)
        downgrade = self._converts and not offered and request.body != "7bit"
        if request.trace or not (downgrade or self._checks):
            return content if isinstance(content, bytes) else FileReader(content)
        return changed(content, request.queue_id, self._checks, downgrade=downgrade, limits=self._params.mime_limits)

    def _lasts(self, session: SmtpSession) -> bool:
        """May this session be kept for a next message?"""
        params = self._params
        if 0 < params.reuse_count_limit <= session.uses:
            return False
        return session.lasting and asyncio.get_running_loop().time() < session.expires
