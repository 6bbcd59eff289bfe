"""SMTP listeners with everything a session needs, from a Foundation."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from gatepost.cleanup.interface import Cleanup, QueueUnavailable
from gatepost.cleanup.received import Dates
from gatepost.config.master_cf import Service
from gatepost.config.settings import Settings
from gatepost.dns.names import ClientName, client_name
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation
from gatepost.master.verification import Ask, ListenerVerifier
from gatepost.net.stepping import carry_out
from gatepost.restrictions.evaluate import AccessPolicy
from gatepost.restrictions.parameters import access_parameters
from gatepost.restrictions.ports import AddressVerifier, Ports
from gatepost.sasl.back_ends import BackEnds
from gatepost.smtpd.authentication import ListenerSasl
from gatepost.smtpd.environment import RateCounter, RatedEvent, ServerEnvironment, SessionLists
from gatepost.smtpd.footer import RejectFooter
from gatepost.smtpd.intake import Intake
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.tls_listener import listener_tls
from gatepost.smtpd.transcript import Transcripts
from gatepost.tables.opening import Tables


def compile_policy(foundation: Foundation, service: Service, verifier: AddressVerifier | None = None) -> AccessPolicy:
    """The restrictions of one listener, its `-o` included. Raises ConfigError, as for one without relay protection."""
    settings = foundation.configuration.settings_for(service)
    return AccessPolicy.compile(settings, _ports(foundation, settings.syslog_name, verifier))


def unprotected_policy(foundation: Foundation, service: Service) -> AccessPolicy:
    """The same, whatever they permit: not to serve with. Raises ConfigError."""
    settings = foundation.configuration.settings_for(service)
    return AccessPolicy(access_parameters(settings), _ports(foundation, settings.syslog_name, None))


def _ports(foundation: Foundation, syslog_name: str, verifier: AddressVerifier | None) -> Ports:
    log = foundation.mail_log.program("smtpd", syslog_name)
    return Ports(
        foundation.resolver,
        foundation.rewriter,
        foundation.local_domains.is_local_or_origin,
        foundation.tables.logged_by(log.warning, log.error),
        foundation.dns,
        log,
        own_addresses=foundation.own_addresses,
        hosts=foundation.hosts,
        verifier=verifier,
        policy=foundation.policy_pools,
        sleep=pause,
    )


async def pause(seconds: float) -> None:
    """Sleep in a task of its own: the caller may not be in one yet."""
    await asyncio.get_running_loop().create_task(asyncio.sleep(seconds))


async def nobody_flushes(domain: str) -> bool:
    return False


def server_environment(
    foundation: Foundation,
    service: Service,
    cleanup: Cleanup,
    rates: RateCounter,
    free: Callable[[], int],
    is_stressed: Callable[[], bool],
    ask: Ask | None = None,
    flush: Callable[[str], Awaitable[bool]] = nobody_flushes,
    intake: Intake | None = None,
    policy: AccessPolicy | None = None,
    ticket_secret: bytes = b"",
) -> ServerEnvironment:
    """One listener's world; `ask` verifies addresses, `flush` serves ETRN; `policy`: another than the listener's own.
    `ticket_secret`: of all who serve this listener, for TLS; empty: nobody else does. Raises ConfigError."""
    settings = foundation.configuration.settings_for(service)
    stressed = foundation.configuration.settings_for(service, stress="yes")
    parameters, under_stress = Parameters.of(settings), Parameters.of(stressed)

    verifier = None
    if ask is not None:
        verifier = ListenerVerifier(foundation.configuration, service, ask, is_stressed)

    async def name_of(address: str) -> ClientName:
        return await client_name(address, foundation.dns, foundation.hosts)

    log = foundation.mail_log.program("smtpd", settings.syslog_name)
    tables = foundation.tables.logged_by(log.warning, log.error)
    # Whoever explains has a policy of his own, and lets nobody log in.
    sasl = listener_sasl(settings, tables, foundation.sasl) if policy is None else None
    policy = policy or compile_policy(foundation, service, verifier)
    return ServerEnvironment(
        parameters=parameters,
        lists=SessionLists.of(settings, tables),
        service=service.name,
        log=log,
        policy=policy,
        cleanup=cleanup,
        rates=rates,
        client_name=name_of,
        resolver=foundation.resolver,
        rewriter=foundation.rewriter,
        free=free,
        sleep=pause,
        flush=flush,
        intake=intake or Intake(0, pause),
        stressed=under_stress if under_stress != parameters else None,
        is_stressed=is_stressed,
        footer=RejectFooter(settings, tables, log, time.time) or None,
        tells_server_address=policy.asks_policy_services or sasl is not None,
        sasl=sasl,
        transcripts=_transcripts(settings, cleanup, log),
        tls=listener_tls(settings, tables, log, service.name, ticket_secret),
        writes=foundation.writes,
    )


def listener_sasl(settings: Settings, tables: Tables, back_ends: BackEnds) -> ListenerSasl | None:
    """AUTH of a listener; None: it has none. Raises ConfigError."""
    server = back_ends.server(settings)
    return None if server is None else ListenerSasl.of(settings, tables, server)


def _transcripts(settings: Settings, cleanup: Cleanup, log: ProgramLog) -> Transcripts | None:
    dates, tasks = Dates(time.localtime), set[asyncio.Task[None]]()
    transcripts = Transcripts(
        settings, cleanup, log, lambda: dates.at(time.time()).date, lambda post: carry_out(post, tasks)
    )
    return transcripts or None


class LinkedRates:
    """A RateCounter that asks the queue manager's anvil. While it cannot be asked, there is a warning, and everything
    is allowed (as anvil(8)'s clients do).
    """

    def __init__(
        self,
        count: Callable[[str, str, str], "asyncio.Future[tuple[int, int]] | None"],
        tell: Callable[[str, str, str], None],
        warn: Callable[[str], None],
    ) -> None:
        self._count = count
        self._tell = tell
        self._warn = warn
        self._warned = False

    async def connect(self, service: str, client: str) -> tuple[int, int] | None:
        return await self._ask("connect", service, client)

    def disconnect(self, service: str, client: str) -> None:
        self._tell("disconnect", service, client)

    async def rate(self, event: RatedEvent, service: str, client: str) -> int | None:
        answer = await self._ask(event, service, client)
        return None if answer is None else answer[1]

    async def _ask(self, event: str, service: str, client: str) -> tuple[int, int] | None:
        future = self._count(event, service, client)
        if future is not None:
            try:
                answer = await future
            except QueueUnavailable:
                pass
            else:
                self._warned = False
                return answer
        if not self._warned:
            self._warned = True
            self._warn("problem talking to server private/anvil: Connection refused")
        return None
