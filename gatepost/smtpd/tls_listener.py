"""TLS of a listener, from its parameters."""

import secrets
import time

from gatepost.config.settings import Settings
from gatepost.maillog.sink import ProgramLog
from gatepost.smtpd.tls import ListenerTls
from gatepost.smtpd.tls_context import ListenerContext
from gatepost.smtpd.tls_settings import tls_settings
from gatepost.smtpd.tls_tickets import TicketKeys
from gatepost.tables.opening import Tables


def listener_tls(
    settings: Settings, tables: Tables, log: ProgramLog, service: str, ticket_secret: bytes = b""
) -> ListenerTls | None:
    """None: it has no TLS. What cannot be read or does not fit is told to the log: the listener then serves without, as
    Postfix does. `ticket_secret`: of all who serve this listener; empty: nobody else does. Raises ConfigError."""
    tls = tls_settings(settings, log.warning)
    if tls is None:
        return None
    keys = TicketKeys(ticket_secret or secrets.token_bytes(32), time.time)
    context = ListenerContext(settings, tls, tables, keys, log, service)
    return ListenerTls(tls, context.current, context.cipherlist, log)
