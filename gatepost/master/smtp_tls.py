"""TLS of smtp(8) and lmtp(8) from a Foundation. Where no parameter asks for it nothing of it is loaded."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from gatepost.config.settings import Settings
from gatepost.delivery.smtp_tls_params import SmtpTlsParams
from gatepost.dns.answers import Resolver
from gatepost.maillog.sink import ProgramLog
from gatepost.tables.maps import Maps
from gatepost.tables.opening import Tables

if TYPE_CHECKING:
    from gatepost.delivery.smtp_tls import Contexts, SmtpTls
    from gatepost.delivery.smtp_tls_policy import Policies
    from gatepost.tables.key_files import Renewed

RETRY = 60.0
"""Seconds after which certificates that were of no use are looked at again."""


def smtp_tls(tables: Tables, settings: Settings, program: str, log: ProgramLog, resolver: Resolver) -> "SmtpTls | None":
    """Of a transport; `program`: `smtp` or `lmtp`; `resolver` is for DANE. Raises ConfigError.

    Certificates that cannot be read, or do not fit, are told in the log, and there is no TLS then: mail that needs it
    waits, as in Postfix.
    """
    params = SmtpTlsParams.of(settings, program)
    maps, per_site = _maps(tables, settings, program)
    wanted = not params.asleep or maps or per_site
    if not (wanted or params.wrappermode or params.note_starttls_offer):
        return None
    from gatepost.delivery.smtp_tls import Sessions, SmtpTls

    policies = _policies(tables, params, maps, per_site, log, resolver)
    contexts = _Engine(tables, settings, params, log).current if wanted else _nothing
    sessions = Sessions(params.session_lifetime, time.monotonic) if params.session_lifetime else None
    return SmtpTls(params, policies, contexts, sessions, log.info, log.warning)


def tls_policies(
    tables: Tables, settings: Settings, program: str, log: ProgramLog, resolver: Resolver
) -> tuple[SmtpTlsParams, "Policies"]:
    """How a transport protects mail, without what it needs for it. Raises ConfigError."""
    params = SmtpTlsParams.of(settings, program)
    return params, _policies(tables, params, *_maps(tables, settings, program), log, resolver)


def _maps(tables: Tables, settings: Settings, program: str) -> tuple[Maps, Maps]:
    """Of policies, and per site. Raises ConfigError."""
    policies, per_site = f"{program}_tls_policy_maps", f"{program}_tls_per_site"
    return tables.maps(policies, settings.text(policies)), tables.maps(per_site, settings.text(per_site))


def _policies(
    tables: Tables, params: SmtpTlsParams, maps: Maps, per_site: Maps, log: ProgramLog, resolver: Resolver
) -> "Policies":
    from gatepost.delivery.smtp_tls_dane import Dane
    from gatepost.delivery.smtp_tls_log import log_features
    from gatepost.delivery.smtp_tls_policy import Policies

    env = tables.env
    note = log.info if "verbose" in log_features(params.loglevel, "", lambda text: None) else None
    dane = Dane(params, resolver, log.warning, note)
    return Policies(
        params, maps or None, per_site or None, lambda path: env.read_file(env.path(path)), log.warning, dane
    )


def _nothing() -> None:
    """No level that any mail can have asks for TLS."""


class _Engine:
    """The contexts, as long as they can be made; if not, that is tried again from time to time."""

    def __init__(self, tables: Tables, settings: Settings, params: SmtpTlsParams, log: ProgramLog) -> None:
        self._make: Callable[[], Renewed[Contexts]] = lambda: _renewed(tables, settings, params, log)
        self._clock = tables.env.clock
        self._log = log
        self._next_try = 0.0
        self._renewed: Renewed[Contexts] | None = None
        self.current()

    def current(self) -> "Contexts | None":
        """What to work with now."""
        if self._renewed is None and self._clock() >= self._next_try:
            self._try()
        return None if self._renewed is None else self._renewed.current()

    def _try(self) -> None:
        from gatepost.tables.key_files import UnreadableFile
        from gatepost.tls.values import BadTlsValue

        self._next_try = self._clock() + RETRY
        try:
            self._renewed = self._make()
        except (BadTlsValue, UnreadableFile) as error:
            for line in error.lines:
                # Postfix has this one line without the word.
                tell = self._log.info if line.startswith("cannot load Certification Authority") else self._log.warning
                tell(line)


def _renewed(tables: Tables, settings: Settings, params: SmtpTlsParams, log: ProgramLog) -> "Renewed[Contexts]":
    """Raises UnreadableFile or BadTlsValue."""
    from gatepost.delivery.smtp_tls import Contexts
    from gatepost.tables.key_files import KeyFiles, Renewed, UnreadableFile
    from gatepost.tls.values import BadTlsValue, Chain

    prefix = f"{params.prefix}_tls"

    def chains(files: KeyFiles) -> tuple[Chain, ...]:
        try:
            return tuple(files.chains(prefix))
        except UnreadableFile as error:
            if error.parameter != f"{prefix}_chain_files":
                raise
            log.warning(error.lines[0])  # and there is no certificate to show, as in Postfix
            return ()

    return Renewed(
        KeyFiles.of(tables.env, settings, prefix),
        lambda files: Contexts(params, chains(files), files.authorities(prefix)),
        params.prefix,
        failures=(BadTlsValue,),
    )
