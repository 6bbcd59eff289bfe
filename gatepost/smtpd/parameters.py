"""The main.cf parameters of a listener that the session itself obeys, as one immutable value."""

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list
from gatepost.mail.reply import Reply
from gatepost.rewrite.verp import valid_delimiters
from gatepost.smtpd.replies import fixed

EHLO_KEYWORDS = (
    "8BITMIME", "AUTH", "ETRN", "PIPELINING", "SIZE", "VRFY", "XCLIENT", "XFORWARD", "ENHANCEDSTATUSCODES", "DSN",
    "STARTTLS", "SMTPUTF8", "CHUNKING",
)  # fmt: skip
"""What smtpd_discard_ehlo_keywords may name, in the order in which the log names them."""

SILENT_DISCARD = "SILENT-DISCARD"

# There are no header or body checks and no Milters to be switched off.
_OVERRIDE_OPTIONS = frozenset(
    ("no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks", "no_milters")
)
_DERIVED = frozenset(("discard_ehlo", "address_mappings", "any_client_limit", "greeting"))
_CLIENT_LIMITS = (
    "smtpd_client_connection_count_limit", "smtpd_client_connection_rate_limit", "smtpd_client_message_rate_limit",
    "smtpd_client_recipient_rate_limit", "smtpd_client_auth_rate_limit",
    "smtpd_client_new_tls_session_rate_limit",
)  # fmt: skip


def _keywords(text: str) -> frozenset[str]:
    return frozenset(split_list(text.upper()))


class Parameters(msgspec.Struct, frozen=True):
    """Named as in main.cf. Times are seconds, sizes octets; `discard_ehlo` are keywords in upper case.

    `address_mappings`: not switched off by receive_override_options. `any_client_limit`: does anvil(8) count clients?
    `greeting`: smtpd_banner as the reply it makes.
    """

    myhostname: str
    smtpd_banner: str
    message_size_limit: int
    queue_minfree: int
    default_verp_delimiters: str
    verp_delimiter_filter: str
    line_length_limit: int
    smtpd_helo_required: bool
    strict_rfc821_envelopes: bool
    strict_smtputf8: bool
    smtputf8_enable: bool
    disable_vrfy_command: bool
    soft_bounce: bool
    smtpd_soft_error_limit: int
    smtpd_hard_error_limit: int
    smtpd_junk_command_limit: int
    smtpd_error_sleep_time: int
    smtpd_timeout: int
    smtpd_recipient_limit: int
    smtpd_recipient_overshoot_limit: int
    smtpd_forbid_bare_newline: str
    smtpd_forbid_bare_newline_reject_code: int
    smtpd_forbid_unauth_pipelining: bool
    smtpd_peername_lookup: bool
    smtpd_client_port_logging: bool
    smtpd_delay_open_until_valid_rcpt: bool
    smtpd_client_connection_count_limit: int
    smtpd_client_connection_rate_limit: int
    smtpd_client_message_rate_limit: int
    smtpd_client_recipient_rate_limit: int
    smtpd_client_auth_rate_limit: int
    smtpd_client_new_tls_session_rate_limit: int
    smtpd_starttls_timeout: int
    smtpd_sasl_authenticated_header: bool
    inet_protocols: str
    content_filter: str
    discard_ehlo: frozenset[str]
    address_mappings: bool
    any_client_limit: bool
    greeting: Reply

    @classmethod
    def of(cls, settings: Settings) -> "Parameters":
        """Raises ConfigError for values that are not of their type."""
        values = {name: getattr(settings, name) for name in cls.__struct_fields__ if name not in _DERIVED}
        values["smtpd_forbid_bare_newline"] = values["smtpd_forbid_bare_newline"].lower()
        options = frozenset(split_list(settings.receive_override_options.lower()))
        if unknown := options - _OVERRIDE_OPTIONS:
            raise ConfigError(f"unknown option: {min(unknown)}", parameter="receive_override_options")
        if not valid_delimiters(settings.default_verp_delimiters, settings.verp_delimiter_filter):
            text = f"needs two characters from {settings.verp_delimiter_filter}"
            raise ConfigError(text, parameter="default_verp_delimiters")
        return cls(
            **values,
            discard_ehlo=_keywords(settings.smtpd_discard_ehlo_keywords),
            address_mappings="no_address_mappings" not in options,
            any_client_limit=any(getattr(settings, name) for name in _CLIENT_LIMITS),
            greeting=fixed(220, "", settings.smtpd_banner),
        )

    def discarding(self, keywords: str) -> "Parameters":
        """These, with other EHLO keywords left out (a list as in smtpd_discard_ehlo_keywords)."""
        return msgspec.structs.replace(self, discard_ehlo=_keywords(keywords))

    @property
    def ipv6(self) -> bool:
        return any(word in ("all", "ipv6") for word in split_list(self.inet_protocols.lower()))
