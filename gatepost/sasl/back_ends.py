"""The back end that a listener's parameters name (smtpd_sasl_type)."""

from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.sasl.dovecot import DovecotServer
from gatepost.sasl.dovecot_connection import DovecotService
from gatepost.sasl.server import SaslServer

TYPES = ("cyrus", "dovecot", "gatepost")


class BackEnds:
    """Those of one process. Listeners that ask the same service share what connects to it."""

    def __init__(self, directory: str, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn
        self._dovecot: dict[str, DovecotService] = {}

    def server(self, settings: Settings) -> SaslServer | None:
        """For a listener; None: it has no AUTH. Raises ConfigError."""
        if not settings.smtpd_sasl_auth_enable:
            return None
        kind = settings.smtpd_sasl_type
        if kind == "dovecot":
            return DovecotServer(self._service(settings.smtpd_sasl_path), settings.smtpd_sasl_service)
        raise ConfigError(f"unsupported SASL server implementation: {kind}", parameter="smtpd_sasl_type")

    def _service(self, path: str) -> DovecotService:
        found = self._dovecot.get(path)
        if found is None:
            found = self._dovecot[path] = DovecotService(path, self._directory, self._warn)
        return found
