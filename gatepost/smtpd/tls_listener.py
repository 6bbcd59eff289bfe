"""TLS of a listener, from its parameters."""

import secrets
import time

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.maillog.sink import ProgramLog
from gatepost.smtpd.tls import ListenerTls
from gatepost.smtpd.tls_context import ListenerContext
from gatepost.smtpd.tls_maker import ContextMaker
from gatepost.smtpd.tls_settings import VERBOSE, tls_settings
from gatepost.smtpd.tls_tickets import TicketKeys
from gatepost.tables.key_files import KeyFiles, UnreadableFile
from gatepost.tables.opening import Tables
from gatepost.tls.values import BadTlsValue

_PREFIX = "smtpd_tls"
_ABOUT = (
    ("cipher", "ciphers"),
    ("protocol list", "protocols"),
    ("Digest", "fingerprint_digest"),
    ("CAfile", "CAfile"),
    ("CApath", "CApath"),
)
"""Words of a complaint, and the parameter that it is about; all others are about the certificates."""


def listener_tls(
    settings: Settings, tables: Tables, log: ProgramLog, service: str, ticket_secret: bytes = b""
) -> ListenerTls | None:
    """None: it has no TLS. What cannot be read or does not fit is told to the log: the listener then serves without, as
    Postfix does. `ticket_secret`: of all who serve this listener; empty: nobody else does. Raises ConfigError."""
    tls = tls_settings(settings, log.warning)
    if tls is None:
        return None
    maker = ContextMaker(settings, tls, tables, log)
    if VERBOSE in tls.log:
        log.info("initializing the server-side TLS engine")
    if not tls.usable:
        return ListenerTls(tls, lambda: None, "", log)
    keys = TicketKeys(ticket_secret or secrets.token_bytes(32), time.time)
    files = KeyFiles.of(tables.env, settings, _PREFIX)
    context = ListenerContext(maker, files, keys, log, service, tables.env.clock)
    return ListenerTls(tls, context.current, maker.cipherlist, log, maker.prepare if maker.asks_servers else None)


def tls_fault(settings: Settings, tables: Tables, log: ProgramLog) -> tuple[ConfigError, bool] | None:
    """Why the listener would serve without the TLS that it should have, with the parameter; and does it accept nothing
    then? `log` gets warnings.

    Raises ConfigError for what it would not even start with."""
    tls = tls_settings(settings, log.warning)
    if tls is None or not tls.usable:
        return None
    try:
        ContextMaker(settings, tls, tables, log).make(KeyFiles.of(tables.env, settings, _PREFIX))
    except UnreadableFile as error:
        return error, tls.enforced
    except BadTlsValue as error:
        parameter = _parameter(settings, error.lines[0], tls.enforced)
        return ConfigError("; ".join(error.lines), parameter=parameter), tls.enforced
    return None


def _parameter(settings: Settings, text: str, enforced: bool) -> str:
    for words, name in _ABOUT:
        if words in text:
            mandatory = "mandatory_" if enforced and name in ("ciphers", "protocols") else ""
            return f"{_PREFIX}_{mandatory}{name}"
    named = (f"{_PREFIX}_{name}" for name in ("chain_files", "cert_file", "eccert_file", "dcert_file"))
    return next((name for name in named if settings.text(name)), f"{_PREFIX}_cert_file")
