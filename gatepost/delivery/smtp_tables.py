"""The parameters of the SMTP and LMTP clients whose values are tables, opened once per transport."""

import msgspec

from gatepost.config.settings import Settings
from gatepost.delivery.smtp_checks import PARAMETERS, ContentChecks
from gatepost.maillog.sink import ProgramLog
from gatepost.tables.opening import Tables


class SmtpTables(msgspec.Struct, frozen=True, kw_only=True):
    """None where nothing is configured."""

    checks: ContentChecks | None = None

    @classmethod
    def of(cls, settings: Settings, tables: Tables, log: ProgramLog, prefix: str = "smtp") -> "SmtpTables":
        """Open them. `prefix`: `smtp` or `lmtp`. Raises ConfigError."""

        def text(name: str) -> str:
            return settings.text(f"{prefix}{name}")

        maps = {kind: tables.maps(f"{prefix}{name}", text(name)) for kind, name in PARAMETERS.items()}
        return cls(checks=ContentChecks(maps, log.info, log.warning) or None)


NO_TABLES = SmtpTables()
