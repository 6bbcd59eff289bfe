"""Connections of the SMTP and LMTP clients: from an address to a session that is about to read the greeting."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_demand import Demand
from gatepost.delivery.smtp_params import SmtpParams, keywords
from gatepost.delivery.smtp_sasl_session import LoginSession
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.delivery.smtp_strict_session import DeadlineSession, FilteredSession
from gatepost.delivery.smtp_tables import SmtpTables
from gatepost.maillog import lines
from gatepost.net.connect import BindFailure, connect_tcp, connect_unix
from gatepost.net.gathered_writes import GatheredWrites
from gatepost.protocol.smtp_client import SmtpClientProtocol
from gatepost.tables.maps import Maps
from gatepost.tables.table import LookupTemporaryFailure

if TYPE_CHECKING:  # it imports ssl, which only those need who encrypt
    from gatepost.delivery.smtp_tls import SmtpTls


class Connector:
    """`protocol`: what is spoken. `log` and `warn` write to the mail log. `tls`: None without TLS. `logs_in`: the
    protocol is able to, and so are sessions. `writes`: of all connections of this process.
    """

    def __init__(
        self,
        params: SmtpParams,
        protocol: Callable[..., SmtpClientProtocol],
        log: Log,
        warn: Log,
        tables: SmtpTables,
        tls: "SmtpTls | None" = None,
        *,
        logs_in: bool = False,
        writes: GatheredWrites | None = None,
    ) -> None:
        self._params = params
        self._protocol = protocol
        self._warn = warn
        self._limits = params.limits()
        self._discard_maps = tables.discard_maps
        self._pix_maps = tables.pix_maps
        self._session = _session_type(params, tables, log, logs_in=logs_in)
        self._tls = tls
        self._writes = writes
        self._encrypted: Callable[..., SmtpSession] | None = None

    def warn_of_keywords(self, target: Target, queue_id: str) -> None:
        """`open` has failed for a table: log which it was."""
        if self._discard_maps is not None:
            self._warn(f"{queue_id}: {self._discard_maps.parameter} map lookup error for {target.address}")

    async def open(self, target: Target, demand: Demand) -> SmtpSession | None:
        """A connected session; None if smtp_bind_address_enforce forbids it. Raises ConnectFailure and, where a table
        cannot tell what offers to overlook, LookupTemporaryFailure.
        """
        params = self._params
        ignored, pix = params.ignored_keywords, params.pix_workarounds
        if self._discard_maps is not None and (hit := await self._discard_maps.find(target.address)) is not None:
            ignored = keywords(hit.value)
        if self._pix_maps is not None and (words := await _listed(self._pix_maps, target.address)) is not None:
            pix = frozenset(words.lower().replace(",", " ").split())
        starttls = "never" if self._tls is None else self._tls.starttls(demand.policy)
        core = self._protocol(params.helo_name, ehlo=params.ehlo, ignored_keywords=ignored, pix=pix, starttls=starttls)
        expires = asyncio.get_running_loop().time() + params.reuse_time_limit
        kind = self._session if self._tls is None else self._session_for(self._tls, demand)
        session = kind(target, core, self._limits, params.line_length_limit, expires)
        session.demand = demand
        session.writes = self._writes
        session.waits_for_bye = not params.skip_quit_response
        address, port, limit = target.address, target.port, params.connect_timeout
        if not port:
            return await connect_unix(session, str(Path(params.queue_directory, address)), limit=limit)
        bind = params.bind_address6 if ":" in address else params.bind_address
        try:
            return await connect_tcp(session, address, port, limit=limit, bind_address=bind)
        except BindFailure as exc:
            self._warn(f"smtp_connect_addr: bind {bind}: {exc}")
            if params.bind_address_enforce:
                return None
            return await connect_tcp(session, address, port, limit=limit)

    def _session_for(self, tls: "SmtpTls", demand: Demand) -> Callable[..., SmtpSession]:
        """The kind of session that does what is demanded."""
        if not demand.policy.level:
            return self._session
        from gatepost.delivery.smtp_tls_session import encrypted_session

        if self._encrypted is None:
            self._encrypted = encrypted_session(self._session, tls)
        return partial(self._encrypted, demand)


# In the order in which Postfix tells them.
_KEYWORDS = ("8bitmime", "auth", "etrn", "pipelining", "size", "vrfy", "xclient", "xforward", "enhancedstatuscodes",
             "dsn", "starttls", "chunking", "smtputf8")  # fmt: skip


def ignored_line(ignored: frozenset[str]) -> str:
    """The log line that offers of the server are overlooked; empty if none is wanted."""
    words = [word.upper() for word in _KEYWORDS if word in ignored]
    return lines.discarding_keywords(" ".join(words)) if words and "silent-discard" not in ignored else ""


def _session_type(params: SmtpParams, tables: SmtpTables, log: Log, *, logs_in: bool) -> type[SmtpSession]:
    bases: list[type[SmtpSession]] = []
    names: dict[str, object] = {}
    if logs_in:
        bases.append(LoginSession)
    if params.per_request_deadline:
        bases.append(DeadlineSession)
        names["min_data_rate"] = params.min_data_rate
    if tables.reply_filter is not None:
        bases.append(FilteredSession)
        names |= {"reply_filter": tables.reply_filter, "log": staticmethod(log)}
    return type("ChosenSession", tuple(bases), names) if bases else SmtpSession


async def _listed(maps: Maps, address: str) -> str | None:
    """What is found for a server's address. A table that cannot tell has said so in the log, and counts as empty."""
    try:
        hit = await maps.find(address)
    except LookupTemporaryFailure:
        return None
    return None if hit is None else hit.value
