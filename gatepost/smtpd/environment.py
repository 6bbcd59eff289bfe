"""What an SMTP server session needs of the rest of the system, as interfaces; filled in where the parts are joined."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gatepost.cleanup.interface import Cleanup
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.dns.names import ClientName
from gatepost.mail.reply import Reply
from gatepost.maillog.sink import ProgramLog
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.restrictions.facts import SessionFacts
from gatepost.restrictions.ports import AddressResolver, Rewriter
from gatepost.smtpd.authentication import ListenerSasl
from gatepost.smtpd.deadlines import Deadlines
from gatepost.smtpd.footer import RejectFooter
from gatepost.smtpd.intake import Intake
from gatepost.smtpd.parameters import Parameters
from gatepost.smtpd.tls import ListenerTls
from gatepost.smtpd.transcript import Transcripts
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables
from gatepost.tables.table import Table

_DISCARDED = "smtpd_discard_ehlo_keyword_address_maps"


class AccessPolicy(Protocol):
    """The restriction lists (gatepost.restrictions.evaluate). None permits; what refuses has been logged already."""

    async def client(self, facts: SessionFacts) -> Reply | None: ...
    async def helo(self, facts: SessionFacts) -> Reply | None: ...
    async def mail(self, facts: SessionFacts) -> Reply | None: ...
    async def rcpt(self, facts: SessionFacts) -> Reply | None: ...
    async def data(self, facts: SessionFacts) -> Reply | None: ...
    async def end_of_data(self, facts: SessionFacts) -> Reply | None: ...
    async def etrn(self, facts: SessionFacts) -> Reply | None: ...
    async def vrfy(self, facts: SessionFacts) -> Reply | None: ...

    async def header_context(self, facts: SessionFacts, address: str) -> Literal["local", "remote"] | Reply:
        """Whose headers to complete with our domain: `address` is where the connection comes from."""
        ...


RatedEvent = Literal["mail", "rcpt", "auth", "newtls", "newtls_stat"]
"""`newtls_stat` counts nothing: it asks for the rate of `newtls`."""


class RateCounter(Protocol):
    """anvil(8): what each client (an address) does per time unit. None: cannot tell now, which allows."""

    async def connect(self, service: str, client: str) -> tuple[int, int] | None:
        """One more connection: how many there are at this moment, and how many were made in this time unit."""
        ...

    def disconnect(self, service: str, client: str) -> None: ...

    async def rate(self, event: RatedEvent, service: str, client: str) -> int | None:
        """One more event of this kind: how many there were in this time unit."""
        ...


@dataclass(slots=True, frozen=True)
class SessionLists:
    """The match lists of a listener; None: empty."""

    xclient_hosts: MatchList | None
    xforward_hosts: MatchList | None
    rate_exceptions: MatchList | None
    bare_newline_exclusions: MatchList | None
    noop_commands: MatchList | None
    fast_flush: MatchList | None
    forbidden_commands: MatchList | None
    command_filter: Table | None
    verp_clients: MatchList | None = None
    discarded_keywords: Maps | None = None  # smtpd_discard_ehlo_keyword_address_maps

    @property
    def look_at_lines(self) -> bool:
        """Is there a list or table that each command is looked up in?"""
        return self.noop_commands is not None or self.command_filter is not None

    @classmethod
    def of(cls, settings: Settings, tables: Tables) -> "SessionLists":
        """Raises ConfigError where Postfix would not start."""
        parents = split_list(settings.parent_domain_matches_subdomains)

        def compiled(parameter: str) -> MatchList | None:
            text = getattr(settings, parameter)
            return MatchList.compile(parameter, text, tables, match_parent=parameter in parents) or None

        return cls(
            compiled("smtpd_authorized_xclient_hosts"),
            compiled("smtpd_authorized_xforward_hosts"),
            compiled("smtpd_client_event_limit_exceptions"),
            compiled("smtpd_forbid_bare_newline_exclusions"),
            compiled("smtpd_noop_commands"),
            compiled("fast_flush_domains"),
            compiled("smtpd_forbidden_commands"),
            tables.open(settings.smtpd_command_filter) if settings.smtpd_command_filter else None,
            compiled("smtpd_authorized_verp_clients"),
            tables.maps(_DISCARDED, settings.text(_DISCARDED)) or None,
        )


@dataclass(slots=True)
class ServerEnvironment:
    """One listener's world.

    `parameters` and `stressed` (None: the same) are its main.cf values in normal times and under stress. `service` is
    the listener's name as in master.cf, for rate limits and their log lines. `free`: octets that the queue can still
    take. `sleep` takes seconds.
    """

    parameters: Parameters
    lists: SessionLists
    service: str
    log: ProgramLog
    policy: AccessPolicy
    cleanup: Cleanup
    rates: RateCounter
    client_name: Callable[[str], Awaitable[ClientName]]
    resolver: AddressResolver
    rewriter: Rewriter
    free: Callable[[], int]
    sleep: Callable[[float], Awaitable[Any]]
    # ETRN: begins to try what is deferred for a domain. False: nobody can be asked.
    flush: Callable[[str], Awaitable[bool]]
    # In-flow control: may content come now?
    intake: Intake
    stressed: Parameters | None = None
    footer: RejectFooter | None = None
    # Are policy services told which address and port of ours the client has connected to?
    tells_server_address: bool = False
    looks_at_lines: bool = field(init=False)
    is_stressed: Callable[[], bool] = lambda: False
    # Replies to EHLO, kept by what they depend on beside the listener.
    ehlo_replies: dict[tuple[object, ...], Reply] = field(default_factory=dict)
    # None: the listener has no TLS.
    tls: ListenerTls | None = None
    # None: nobody can log in.
    sasl: ListenerSasl | None = None
    # None: nobody wants to know of sessions that went wrong.
    transcripts: Transcripts | None = None
    # Of its connections, from the first of them on.
    deadlines: Deadlines | None = None
    # Of all connections of this process; None: each writes by itself.
    writes: GatheredWrites | None = None

    def __post_init__(self) -> None:
        self.looks_at_lines = self.lists.look_at_lines or (self.tls is not None and self.tls.enforced)


class CountedRates:
    """Rates counted in this process alone. `clock` gives seconds, `unit` is anvil_rate_time_unit."""

    def __init__(self, clock: Callable[[], float], unit: float = 60.0) -> None:
        self._clock = clock
        self._unit = unit
        self._open: dict[tuple[str, str], int] = {}
        self._rates: dict[tuple[str, str, str], tuple[float, int]] = {}

    async def connect(self, service: str, client: str) -> tuple[int, int] | None:
        key = (service, client)
        self._open[key] = count = self._open.get(key, 0) + 1
        return count, self._count("connect", service, client)

    def disconnect(self, service: str, client: str) -> None:
        key = (service, client)
        left = self._open.get(key, 0) - 1
        if left > 0:
            self._open[key] = left
        else:
            self._open.pop(key, None)

    async def rate(self, event: RatedEvent, service: str, client: str) -> int | None:
        if event == "newtls_stat":
            return self._rates.get(("newtls", service, client), (0.0, 0))[1]
        return self._count(event, service, client)

    def _count(self, what: str, service: str, client: str) -> int:
        now = self._clock()
        if len(self._rates) > 10000:
            self._rates = {key: value for key, value in self._rates.items() if value[0] + self._unit > now}
        start, count = self._rates.get((what, service, client), (now, 0))
        if now >= start + self._unit:
            start, count = now, 0
        self._rates[what, service, client] = (start, count + 1)
        return count + 1
