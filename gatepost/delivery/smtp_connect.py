"""Connections of the SMTP and LMTP clients: from an address to a session that is about to read the greeting."""

import asyncio
from pathlib import Path

from gatepost.delivery.interface import Log
from gatepost.delivery.smtp_addresses import Target
from gatepost.delivery.smtp_params import SmtpParams
from gatepost.delivery.smtp_session import SmtpSession
from gatepost.net.connect import BindFailure, connect_tcp, connect_unix
from gatepost.protocol.smtp_client import SmtpClientProtocol


class Connector:
    """`protocol`: what is spoken. `warn` writes warnings to the mail log."""

    def __init__(self, params: SmtpParams, protocol: type[SmtpClientProtocol], warn: Log) -> None:
        self._params = params
        self._protocol = protocol
        self._warn = warn
        self._limits = params.limits()

    async def open(self, target: Target) -> SmtpSession | None:
        """A connected session; None if smtp_bind_address_enforce forbids it. Raises ConnectFailure."""
        params = self._params
        core = self._protocol(params.helo_name, ehlo=params.ehlo, ignored_keywords=params.ignored_keywords)
        expires = asyncio.get_running_loop().time() + params.reuse_time_limit
        session = SmtpSession(target, core, self._limits, params.line_length_limit, expires)
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
