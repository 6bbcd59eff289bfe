"""The parameters smtp_tls_* and lmtp_tls_*, taken from the settings once per configuration."""

from typing import Any

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.tls.values import LibraryValues

_LEVELS = ("", "none", "may", "encrypt", "fingerprint", "dane", "dane-only", "verify", "secure")
_INSECURE_MX = ("may", "encrypt", "dane")


class SmtpTlsParams(msgspec.Struct, frozen=True, kw_only=True):
    """Names without the prefix `smtp_tls_` or `lmtp_tls_`; times in seconds. `prefix`: `smtp` or `lmtp`."""

    prefix: str = "smtp"
    security_level: str = ""
    use_tls: bool = False
    enforce_tls: bool = False
    enforce_peername: bool = True
    CAfile: str = ""
    CApath: str = ""
    trust_anchor_file: str = ""
    verify_cert_match: str = "hostname"
    secure_cert_match: str = "nexthop, dot-nexthop"
    fingerprint_cert_match: str = ""
    fingerprint_digest: str = "sha256"
    servername: str = ""
    scert_verifydepth: int = 9
    ciphers: str = "medium"
    mandatory_ciphers: str = "medium"
    exclude_ciphers: str = ""
    mandatory_exclude_ciphers: str = ""
    protocols: str = ">=TLSv1"
    mandatory_protocols: str = ">=TLSv1"
    note_starttls_offer: bool = False
    loglevel: str = "0"
    wrappermode: bool = False
    block_early_mail_reply: bool = False
    connection_reuse: bool = False
    session_cache_database: str = ""
    session_cache_timeout: float = 3600.0
    minimal_backoff_time: float = 300.0
    dane_insecure_mx_policy: str = "may"
    force_insecure_host_tlsa_lookup: bool = False
    dns_support_level: str = ""
    dns_resolver_options: str = ""
    host_lookup: tuple[str, ...] = ("dns",)
    ignore_mx_lookup_error: bool = False
    wildcard_matches_multiple_labels: bool = True
    fast_shutdown: bool = True
    library: LibraryValues = LibraryValues()

    @classmethod
    def of(cls, settings: Any, prefix: str = "smtp") -> "SmtpTlsParams":
        """Read them from typed settings. Raises ConfigError for a level that is none."""
        values: dict[str, Any] = {"prefix": prefix}
        for name in cls.__struct_fields__:
            value = getattr(settings, tls_parameter_name(name, prefix), None)
            if value is not None:
                values[name] = value
        # Postfix's default is `no` since its way goes through one more process. Here it costs nothing, and spares a
        # handshake; who says `no` means it.
        if not settings.defined(f"{prefix}_tls_connection_reuse"):
            values["connection_reuse"] = True
        values["library"] = LibraryValues.of(settings)
        level = values["security_level"] = values.get("security_level", "").lower()
        if level not in _LEVELS:
            raise ConfigError(f'invalid tls security level: "{level}"', parameter=f"{prefix}_tls_security_level")
        insecure = values["dane_insecure_mx_policy"] = values.get("dane_insecure_mx_policy", "may").lower()
        if insecure not in _INSECURE_MX:
            parameter = f"{prefix}_tls_dane_insecure_mx_policy"
            raise ConfigError(f'bad value "{insecure}"; specify may, encrypt or dane', parameter=parameter)
        values["dns_support_level"] = values.get("dns_support_level", "").lower()
        values["host_lookup"] = tuple(split_list(values.get("host_lookup", "dns").lower()))
        return cls(**values)

    @property
    def asleep(self) -> bool:
        """Does main.cf by itself ask for no TLS, whatever tables may say?"""
        return self.security_level in ("", "none") and not self.use_tls and not self.enforce_tls

    @property
    def session_lifetime(self) -> float:
        """For how many seconds TLS sessions may be resumed; 0: never."""
        return self.session_cache_timeout if self.session_cache_database else 0.0


_OTHERS = {
    "use_tls": "{prefix}_use_tls",
    "enforce_tls": "{prefix}_enforce_tls",
    "minimal_backoff_time": "minimal_backoff_time",
    "dns_support_level": "{prefix}_dns_support_level",
    "dns_resolver_options": "{prefix}_dns_resolver_options",
    "host_lookup": "{prefix}_host_lookup",
    "ignore_mx_lookup_error": "ignore_mx_lookup_error",
    "fast_shutdown": "tls_fast_shutdown_enable",
    "wildcard_matches_multiple_labels": "tls_wildcard_matches_multiple_labels",
}


def tls_parameter_name(name: str, prefix: str) -> str:
    """The parameter that a field of SmtpTlsParams is taken from."""
    return _OTHERS.get(name, "{prefix}_tls_" + name).format(prefix=prefix)
