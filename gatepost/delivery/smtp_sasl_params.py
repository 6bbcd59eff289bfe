"""smtp_sasl_* and lmtp_sasl_*: what says whether, and how, a client logs in to servers."""

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.rewrite.routing import Delimiters
from gatepost.sasl.security import SecurityOptions, security_options
from gatepost.tables.maps import Maps
from gatepost.tables.match_list import MatchList
from gatepost.tables.opening import Tables


class SaslParams(msgspec.Struct, frozen=True, kw_only=True):
    """What is common to all logins of a transport. `options`: for connections in plaintext, over TLS, and over TLS with
    a server that is who it should be. `mechanism_filter`: None if all are welcome. `by_sender`: a sender's own entry in
    the table comes before the server's.
    """

    passwords: Maps
    options: tuple[SecurityOptions, SecurityOptions, SecurityOptions]
    mechanism_filter: MatchList | None
    delimiters: Delimiters
    delimiter: str = ":"
    by_sender: bool = False
    soft_bounce: bool = True
    authzid: bool = False
    dummy_mail_auth: bool = False
    cache_name: str = ""
    cache_time: float = 0.0

    @classmethod
    def of(cls, settings: Settings, tables: Tables, prefix: str) -> "SaslParams | None":
        """`prefix`: `smtp` or `lmtp`. None if no server is logged in to. Raises ConfigError."""

        def name(rest: str) -> str:
            return prefix + rest

        if not getattr(settings, name("_sasl_auth_enable")):
            return None
        kind = settings.text(name("_sasl_type"))
        if kind != "cyrus":
            raise ConfigError(f'unsupported SASL client implementation: "{kind}"', parameter=name("_sasl_type"))
        asked = name("_sasl_password_maps")
        passwords = tables.maps(asked, settings.text(asked), syntax="passwords")
        if not passwords:
            raise ConfigError("specify a password table", parameter=name("_sasl_password_maps"))
        names = ("_sasl_security_options", "_sasl_tls_security_options", "_sasl_tls_verified_security_options")
        plain, encrypted, verified = (security_options(settings.text(name(each)), name(each)) for each in names)
        wanted = name("_sasl_mechanism_filter")
        return cls(
            passwords=passwords,
            options=(plain, encrypted, verified),
            mechanism_filter=MatchList.compile(wanted, settings.text(wanted), tables, match_parent=False) or None,
            delimiters=Delimiters(
                settings.recipient_delimiter, settings.owner_request_special, settings.double_bounce_sender
            ),
            delimiter=settings.text(name("_sasl_password_result_delimiter")),
            by_sender=getattr(settings, name("_sender_dependent_authentication")),
            soft_bounce=getattr(settings, name("_sasl_auth_soft_bounce")),
            authzid=settings.send_cyrus_sasl_authzid,
            dummy_mail_auth=getattr(settings, name("_send_dummy_mail_auth")),
            cache_name=settings.text(name("_sasl_auth_cache_name")),
            cache_time=getattr(settings, name("_sasl_auth_cache_time")),
        )
