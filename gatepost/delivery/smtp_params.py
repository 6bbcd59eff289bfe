"""The parameters of the SMTP client, taken from the settings once per configuration."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.delivery.smtp_destination import KNOWN_PORTS, known_ports
from gatepost.mail.mime_parts import MimeLimits
from gatepost.protocol.smtp_client_events import Stage

_SEPARATORS = re.compile(r"[,\s]+")


class SmtpParams(msgspec.Struct, frozen=True, kw_only=True):
    """What smtp(8) calls smtp_*, and lmtp(8) lmtp_*; names without the prefix. Times in seconds, lengths in octets."""

    myhostname: str = "localhost"
    helo_name: str = "localhost"
    tcp_port: str = "smtp"
    relayhost: str = ""
    best_mx_transport: str = ""
    srv_services: frozenset[str] = frozenset()
    srv_lookup_fallback: bool = False
    ignore_srv_lookup_error: bool = False
    fallback_relay: tuple[str, ...] = ()
    host_lookup: tuple[str, ...] = ("dns",)
    address_preference: str = "any"
    balance_inet_protocols: bool = True
    inet_protocols: tuple[str, ...] = ("ipv4", "ipv6")
    randomize_addresses: bool = True
    mx_address_limit: int = 5
    mx_session_limit: int = 2
    skip_5xx_greeting: bool = True
    ehlo: str = "always"
    ignored_keywords: frozenset[str] = frozenset()
    defer_if_no_mx_address_found: bool = False
    ignore_mx_lookup_error: bool = False
    disable_dns_lookups: bool = False
    dns_support_level: str = ""
    cname_overrides_servername: bool = False
    line_length_limit: int = 998
    cache_on_demand: bool = True
    cache_time_limit: float = 2.0
    cache_ttl_limit: float = 2.0
    reuse_count_limit: int = 0
    reuse_time_limit: float = 300.0
    bind_address: str = ""
    bind_address6: str = ""
    bind_address_enforce: bool = False
    known_tcp_ports: tuple[tuple[str, int], ...] = KNOWN_PORTS
    connect_timeout: float = 30.0
    helo_timeout: float = 300.0
    mail_timeout: float = 300.0
    rcpt_timeout: float = 300.0
    data_init_timeout: float = 120.0
    data_xfer_timeout: float = 180.0
    data_done_timeout: float = 600.0
    rset_timeout: float = 20.0
    quit_timeout: float = 300.0
    delay_logging_resolution_limit: int = 2
    soft_bounce: bool = False
    address_verify_target: str = "rcpt"
    queue_directory: str = "."
    assume_final: bool = False
    disable_mime_output_conversion: bool = False
    disable_mime_input_processing: bool = False
    mime_nesting_limit: int = 100
    mime_boundary_length_limit: int = 2048
    skip_quit_response: bool = True
    quote_rfc821_envelope: bool = True
    send_xforward_command: bool = False
    xforward_timeout: float = 300.0
    starttls_timeout: float = 300.0
    tls_wrappermode: bool = False
    helpful_warnings: bool = True
    per_request_deadline: bool = False
    min_data_rate: int = 500
    pix_workarounds: frozenset[str] = frozenset(("disable_esmtp", "delay_dotcrlf"))
    pix_workaround_threshold_time: float = 500.0
    pix_workaround_delay_time: float = 10.0

    def limits(self) -> dict[Stage, float]:
        """How long each stage may take."""
        return {
            Stage.GREETING: self.helo_timeout,
            Stage.EHLO: self.helo_timeout,
            Stage.HELO: self.helo_timeout,
            Stage.LHLO: self.helo_timeout,
            Stage.STARTTLS: self.starttls_timeout,
            Stage.TLS: self.starttls_timeout,
            Stage.IDLE: min(self.cache_time_limit, self.cache_ttl_limit),
            Stage.XFORWARD_CLIENT: self.xforward_timeout,
            Stage.XFORWARD_SESSION: self.xforward_timeout,
            Stage.MAIL: self.mail_timeout,
            Stage.RCPT: self.rcpt_timeout,
            Stage.DATA: self.data_init_timeout,
            Stage.CONTENT: self.data_xfer_timeout,
            Stage.END: self.data_done_timeout,
            Stage.RSET: self.rset_timeout,
            Stage.CLOSED: self.quit_timeout,
        }

    @classmethod
    def of(cls, settings: Any, prefix: str = "smtp") -> "SmtpParams":
        """Read them from typed settings (attributes named as in main.cf). One that is not there keeps its default.

        `prefix`: `smtp` or `lmtp`. Raises ConfigError.
        """
        values: dict[str, Any] = {}
        for name in cls.__struct_fields__:
            value = getattr(settings, parameter_name(name, prefix), None)
            if value is not None:
                try:
                    values[name] = _CONVERT.get(name, _same)(value)
                except ValueError as error:
                    raise ConfigError(str(error), parameter=parameter_name(name, prefix)) from None
        values["ehlo"] = (
            "never"
            if getattr(settings, "smtp_never_send_ehlo", False)
            else "always"
            if getattr(settings, "smtp_always_send_ehlo", True)
            else "if ESMTP"
        )
        level = values.get("dns_support_level")
        if level:  # else disable_dns_lookups says it
            values["disable_dns_lookups"] = level == "disabled"
        return cls(**values)

    @property
    def mime_limits(self) -> MimeLimits:
        """For the conversion of content."""
        return MimeLimits(self.mime_nesting_limit, self.mime_boundary_length_limit)


def parameter_name(name: str, prefix: str) -> str:
    """The parameter that a field of SmtpParams is taken from."""
    if name in _UNPREFIXED:
        return _UNPREFIXED[name]
    name = _RENAMED.get(name, name)
    if prefix == "lmtp":
        name = name.replace("ehlo", "lhlo").replace("helo", "lhlo")
    return f"{prefix}_{name}"


def _same(value: Any) -> Any:
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in _SEPARATORS.split(text) if word)


def _verify_target(text: str) -> str:
    if text.lower() not in ("rcpt", "data"):
        raise ValueError(f'bad value "{text}"; specify rcpt or data')
    return text.lower()


def _dns_level(text: str) -> str:
    if text.lower() not in ("", "disabled", "enabled", "dnssec"):
        raise ValueError(f'bad value "{text}"; specify disabled, enabled or dnssec')
    return text.lower()


def _protocols(text: str) -> tuple[str, ...]:
    words = _words(text.lower())
    return ("ipv4", "ipv6") if not words or "all" in words else words


def _folded_set(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _words(text))


def keywords(text: str) -> frozenset[str]:
    """What a list of EHLO keywords to overlook names, `silent-discard` among them."""
    return _folded_set(text)


_UNPREFIXED = {name: name for name in (
    "myhostname", "relayhost", "inet_protocols", "ignore_mx_lookup_error", "disable_dns_lookups",
    "delay_logging_resolution_limit", "soft_bounce", "known_tcp_ports", "queue_directory",
    "disable_mime_input_processing", "disable_mime_output_conversion", "best_mx_transport", "ignore_srv_lookup_error",
    "helpful_warnings", "mime_nesting_limit", "mime_boundary_length_limit",
)}  # fmt: skip
_UNPREFIXED |= {
    "srv_services": "use_srv_lookup",
    "srv_lookup_fallback": "allow_srv_lookup_fallback",
    "cache_ttl_limit": "connection_cache_ttl_limit",
}
_RENAMED = {
    "ignored_keywords": "discard_ehlo_keywords",
    "cache_on_demand": "connection_cache_on_demand",
    "cache_time_limit": "connection_cache_time_limit",
    "reuse_count_limit": "connection_reuse_count_limit",
    "reuse_time_limit": "connection_reuse_time_limit",
}
_CONVERT: dict[str, Callable[[Any], Any]] = {
    "fallback_relay": _words,
    "host_lookup": _words,
    "inet_protocols": _protocols,
    "ignored_keywords": keywords,
    "srv_services": _folded_set,
    "pix_workarounds": _folded_set,
    "known_tcp_ports": known_ports,
    "address_verify_target": _verify_target,
    "dns_support_level": _dns_level,
}
