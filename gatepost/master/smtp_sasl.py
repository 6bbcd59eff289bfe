"""Logins of smtp(8) and lmtp(8) from a Foundation. Where no server is logged in to nothing of it is loaded."""

import base64
import secrets
import stat
import time
from typing import TYPE_CHECKING

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.delivery.smtp_sasl_params import SaslParams
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation
from gatepost.tables.braces import split_items
from gatepost.tables.opening import Tables
from gatepost.tables.text_tables import INDEX_SUFFIXES

if TYPE_CHECKING:
    from gatepost.delivery.smtp_sasl import SmtpLogin


def smtp_login(foundation: Foundation, settings: Settings, program: str, log: ProgramLog) -> "SmtpLogin | None":
    """Of a transport; `program`: `smtp` or `lmtp`. Raises ConfigError."""
    params = SaslParams.of(settings, foundation.tables.logged_by(log.warning, log.error), program)
    if params is None:
        return None
    from gatepost.delivery.smtp_sasl import SmtpLogin
    from gatepost.delivery.smtp_sasl_cache import LoginFailures, cache_path

    path = cache_path(params.cache_name, f"{program}_sasl_auth_cache_name")
    failures = None if path is None else LoginFailures(path, params.cache_time, time.time, log.warning)
    return SmtpLogin(params, foundation.local_domains, failures, _nonce, log.warning)


def readable_passwords(settings: Settings, tables: Tables, program: str) -> list[ConfigError]:
    """The files of passwords that everybody on this host may read."""
    parameter, env = f"{program}_sasl_password_maps", tables.env
    found = []
    for spec in split_items(settings.text(parameter)) if getattr(settings, f"{program}_sasl_auth_enable") else ():
        kind, _, name = spec.removeprefix("proxy:").partition(":")
        for path in (name, *(name + suffix for suffix in INDEX_SUFFIXES.get(kind, ()))):
            try:
                mode = env.stat_file(env.path(path)).st_mode if path.startswith("/") else 0
            except (OSError, ValueError):
                continue
            if stat.S_ISREG(mode) and mode & stat.S_IROTH:
                text = f"everybody on this host may read the passwords in {path}"
                found.append(ConfigError(text, parameter=parameter))
    return found


def _nonce() -> str:
    return base64.b64encode(secrets.token_bytes(24)).decode()
