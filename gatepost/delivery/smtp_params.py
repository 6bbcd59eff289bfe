"""The parameters of the SMTP client, taken from the settings once per configuration."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.delivery.smtp_destination import KNOWN_PORTS, known_ports
from gatepost.protocol.smtp_client import Stage

_SEPARATORS = re.compile(r"[,\s]+")


class SmtpParams(msgspec.Struct, frozen=True, kw_only=True):
    """What smtp(8) calls smtp_*; names without the prefix. Times in seconds, lengths in octets."""

    myhostname: str = "localhost"
    helo_name: str = "localhost"
    tcp_port: str = "smtp"
    relayhost: str = ""
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
    line_length_limit: int = 998
    cache_on_demand: bool = True
    cache_destinations: frozenset[str] = frozenset()
    cache_time_limit: float = 2.0
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

    def limits(self) -> dict[Stage, float]:
        """How long each stage may take."""
        return {
            Stage.GREETING: self.helo_timeout,
            Stage.EHLO: self.helo_timeout,
            Stage.HELO: self.helo_timeout,
            Stage.IDLE: self.cache_time_limit,
            Stage.MAIL: self.mail_timeout,
            Stage.RCPT: self.rcpt_timeout,
            Stage.DATA: self.data_init_timeout,
            Stage.CONTENT: self.data_xfer_timeout,
            Stage.END: self.data_done_timeout,
            Stage.RSET: self.rset_timeout,
            Stage.CLOSED: self.quit_timeout,
        }

    @classmethod
    def of(cls, settings: Any) -> "SmtpParams":
        """Read them from typed settings (attributes named as in main.cf). One that is not there keeps its default."""
        values: dict[str, Any] = {}
        for name in cls.__struct_fields__:
            source = name if name in _UNPREFIXED else _RENAMED.get(name, f"smtp_{name}")
            value = getattr(settings, source, None)
            if value is not None:
                values[name] = _CONVERT.get(name, _same)(value)
        values["ehlo"] = (
            "never"
            if getattr(settings, "smtp_never_send_ehlo", False)
            else "always"
            if getattr(settings, "smtp_always_send_ehlo", True)
            else "if ESMTP"
        )
        return cls(**values)


def _same(value: Any) -> Any:
    return value


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in _SEPARATORS.split(text) if word)


def _verify_target(text: str) -> str:
    if text.lower() not in ("rcpt", "data"):
        raise ConfigError(f'bad value "{text}"; specify rcpt or data', parameter="smtp_address_verify_target")
    return text.lower()


def _protocols(text: str) -> tuple[str, ...]:
    words = _words(text.lower())
    return ("ipv4", "ipv6") if not words or "all" in words else words


def _folded_set(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _words(text))


def _keywords(text: str) -> frozenset[str]:
    return _folded_set(text) - {"silent-discard"}


_UNPREFIXED = frozenset({
    "myhostname", "relayhost", "inet_protocols", "ignore_mx_lookup_error", "disable_dns_lookups",
    "delay_logging_resolution_limit", "soft_bounce", "known_tcp_ports",
})  # fmt: skip
_RENAMED = {
    "ignored_keywords": "smtp_discard_ehlo_keywords",
    "cache_on_demand": "smtp_connection_cache_on_demand",
    "cache_destinations": "smtp_connection_cache_destinations",
    "cache_time_limit": "smtp_connection_cache_time_limit",
    "reuse_count_limit": "smtp_connection_reuse_count_limit",
    "reuse_time_limit": "smtp_connection_reuse_time_limit",
}
_CONVERT: dict[str, Callable[[Any], Any]] = {
    "fallback_relay": _words,
    "host_lookup": _words,
    "inet_protocols": _protocols,
    "ignored_keywords": _keywords,
    "cache_destinations": _folded_set,
    "known_tcp_ports": known_ports,
    "address_verify_target": _verify_target,
}
