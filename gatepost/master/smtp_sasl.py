"""Logins of smtp(8) and lmtp(8) from a Foundation. Where no server is logged in to nothing of it is loaded."""

import base64
import secrets
import time
from typing import TYPE_CHECKING

from gatepost.config.settings import Settings
from gatepost.delivery.smtp_sasl_params import SaslParams
from gatepost.maillog.sink import ProgramLog
from gatepost.master.foundation import Foundation

if TYPE_CHECKING:
    from gatepost.delivery.smtp_sasl import SmtpLogin


def smtp_login(foundation: Foundation, settings: Settings, program: str, log: ProgramLog) -> "SmtpLogin | None":
    """Of a transport; `program`: `smtp` or `lmtp`. Raises ConfigError."""
    params = SaslParams.of(settings, foundation.tables, program)
    if params is None:
        return None
    from gatepost.delivery.smtp_sasl import SmtpLogin
    from gatepost.delivery.smtp_sasl_cache import LoginFailures, cache_path

    path = cache_path(params.cache_name, f"{program}_sasl_auth_cache_name")
    failures = None if path is None else LoginFailures(path, params.cache_time, time.time, log.warning)
    return SmtpLogin(params, foundation.local_domains, failures, _nonce, log.warning)


def _nonce() -> str:
    return base64.b64encode(secrets.token_bytes(24)).decode()
