"""TLS of smtp(8) and lmtp(8) from a Foundation. Where no parameter asks for it nothing of it is loaded."""

import time
from typing import TYPE_CHECKING

from gatepost.config.settings import Settings
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.maillog.sink import ProgramLog
from gatepost.tables.opening import Tables

if TYPE_CHECKING:
    from gatepost.delivery.smtp_tls import SmtpTls


def smtp_tls(tables: Tables, settings: Settings, program: str, log: ProgramLog) -> "SmtpTls | None":
    """Of a transport; `program`: `smtp` or `lmtp`. Raises ConfigError.

    Certificates that cannot be read, or do not fit, are told in the log, and there is no TLS then: mail that needs it
    waits, as in Postfix.
    """
    params = SmtpTlsParams.of(settings, program)
    maps = tables.maps(f"{program}_tls_policy_maps", settings.text(f"{program}_tls_policy_maps"))
    per_site = tables.maps(f"{program}_tls_per_site", settings.text(f"{program}_tls_per_site"))
    if params.asleep and not (maps or per_site or params.wrappermode or params.note_starttls_offer):
        return None
    from gatepost.delivery.smtp_tls import Contexts, Sessions, SmtpTls
    from gatepost.delivery.smtp_tls_files import client_chains
    from gatepost.delivery.smtp_tls_policy import Policies
    from gatepost.tables.key_files import KeyFiles, Renewed
    from gatepost.tls.values import BadTlsValue

    env = tables.env
    policies = Policies(params, maps or None, per_site or None, lambda path: env.read_file(env.path(path)), log.warning)
    prefix = f"{program}_tls"
    renewed = None
    if not params.asleep or maps or per_site:
        try:
            renewed = Renewed(
                KeyFiles.of(env, settings, prefix),
                lambda files: Contexts(params, tuple(client_chains(files, prefix, log.warning))),
                program,
                failures=(BadTlsValue,),
            )
        except BadTlsValue as error:
            for line in error.lines:
                (log.info if line.startswith("cannot load Certification Authority") else log.warning)(line)
    sessions = Sessions(params.session_lifetime, time.monotonic) if params.session_lifetime else None
    contexts = renewed.current if renewed is not None else lambda: None
    return SmtpTls(params, policies, contexts, sessions, log.info, log.warning)
