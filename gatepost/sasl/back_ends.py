"""The back end that a listener's parameters name (smtpd_sasl_type)."""

import socket
import time
from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.sasl.builtin import TableServer
from gatepost.sasl.cyrus_config import read_config
from gatepost.sasl.dovecot import DovecotServer
from gatepost.sasl.dovecot_connection import DovecotService
from gatepost.sasl.passwords import PasswordThreads
from gatepost.sasl.saslauthd import SaslauthdServer
from gatepost.sasl.security import MECHANISMS
from gatepost.sasl.server import SaslServer
from gatepost.tables.opening import Tables

_TRIAL = 0.5
"""Seconds for a connection that is made only to see whether it can be."""


def unreachable(server: SaslServer) -> str:
    """Why this process cannot ask the back end now, for the operator; empty if it can. Blocks for a moment."""
    if isinstance(server, DovecotServer):
        path = server.service.place
        return _refusal(f"Dovecot's {server.service.path}", path) if path else _inet_refusal(server.service.path)
    if isinstance(server, SaslauthdServer):
        return _refusal(f"saslauthd's {server.config.socket}", server.config.socket)
    return ""


def _refusal(what: str, path: str) -> str:
    with socket.socket(socket.AF_UNIX) as trial:
        trial.settimeout(_TRIAL)
        try:
            trial.connect(path)
        except OSError as error:
            return f"cannot connect to {what}: {error.strerror or error}; nobody can log in now"
    return ""


def _inet_refusal(path: str) -> str:
    host, _, port = path.removeprefix("inet:").rpartition(":")
    try:
        with socket.create_connection((host.strip("[]") or "localhost", int(port)), _TRIAL):
            return ""
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        return f"cannot connect to Dovecot's {path}: {words}; nobody can log in now"


class BackEnds:
    """Those of one process. Listeners that ask the same service share what connects to it."""

    def __init__(self, tables: Tables, *, configuration: str, warn: Callable[[str], None], secret: bytes) -> None:
        """`configuration`: the folder of main.cf. `secret` is the same in all processes of a host."""
        self._tables = tables
        self._configuration = configuration
        self._warn = warn
        self._secret = secret
        self._threads = PasswordThreads()
        self._dovecot: dict[str, DovecotService] = {}

    def server(self, settings: Settings) -> SaslServer | None:
        """For a listener; None: it has no AUTH. Raises ConfigError."""
        if not settings.smtpd_sasl_auth_enable:
            return None
        kind = settings.smtpd_sasl_type
        if kind == "dovecot":
            return DovecotServer(self._dovecot_service(settings), settings.smtpd_sasl_service)
        if kind == "cyrus":
            config = read_config(settings.smtpd_sasl_path, settings.cyrus_sasl_config_path, self._configuration)
            service, domain = settings.smtpd_sasl_service, settings.smtpd_sasl_local_domain
            return SaslauthdServer(config, service=service, domain=domain)
        if kind == "gatepost":
            return self._table_server(settings)
        raise ConfigError(f"unsupported SASL server implementation: {kind}", parameter="smtpd_sasl_type")

    def _dovecot_service(self, settings: Settings) -> DovecotService:
        path = settings.smtpd_sasl_path
        found = self._dovecot.get(path)
        if found is None:
            found = self._dovecot[path] = DovecotService(path, settings.queue_directory, self._warn)
        return found

    def _table_server(self, settings: Settings) -> TableServer:
        users = self._tables.maps("gatepost_sasl_users", settings.gatepost_sasl_users)
        if not users:
            raise ConfigError("smtpd_sasl_type = gatepost needs it", parameter="gatepost_sasl_users")
        names = tuple(dict.fromkeys(split_list(settings.gatepost_sasl_mechanisms.upper())))
        for name in names:
            if name not in MECHANISMS or name.endswith("-PLUS"):
                raise ConfigError(f"unknown mechanism: {name}", parameter="gatepost_sasl_mechanisms")
        return TableServer(
            users,
            names,
            host=settings.myhostname,
            domain=settings.smtpd_sasl_local_domain,
            secret=self._secret,
            threads=self._threads,
            clock=time.time,
        )

    def close(self) -> None:
        """Part with the services that were asked."""
        for service in self._dovecot.values():
            service.close()
        self._threads.close()
