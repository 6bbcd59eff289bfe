"""What the smtpd_tls_* parameters of a listener come to, legacy ones included."""

from collections.abc import Callable

import msgspec

from gatepost.config.errors import ConfigError
from gatepost.config.settings import Settings
from gatepost.config.values import split_list

_UNSUPPORTED = frozenset(("fingerprint", "verify", "secure"))
"""Levels of the client that Postfix's server takes for `encrypt`."""

_PAIRS = ("cert_file", "dcert_file", "eccert_file")

SUMMARY, VERBOSE, CERTIFICATE, UNTRUSTED = "summary", "verbose", "peercert", "untrusted"
_LEVELS: dict[str, frozenset[str]] = {
    "0": frozenset(),
    "1": frozenset((SUMMARY,)),
    "2": frozenset((SUMMARY, VERBOSE)),
}
_LEVEL_NAMES = {
    "none": "0", "routine": "1", "debug": "2", "ssl-expert": "2", "ssl-developer": "2", **dict.fromkeys("3456789", "2")
}  # fmt: skip
_FEATURES = frozenset((SUMMARY, VERBOSE, CERTIFICATE, UNTRUSTED))
_UNHEARD = frozenset(("cache", "certmatch", "ssl-debug", "ssl-handshake-packet-dump", "ssl-session-packet-dump"))
"""Of the log of Postfix, what is not told here: each step of a handshake, and octets."""


class TlsSettings(msgspec.Struct, frozen=True):
    """Of one listener.

    offered: by EHLO (if it is not in use already). enforced: nothing is accepted without it. wrapper: a connection
    begins with the handshake. requires, asks: for a certificate of the client. wanted: TLS with a certificate of ours,
    even if there is none. patient: the end of a connection waits for the client's. `log`: what is logged of it.
    """

    offered: bool
    enforced: bool
    wrapper: bool
    asks: bool
    requires: bool
    usable: bool
    received_header: bool
    digest: str
    patient: bool
    log: frozenset[str]


def tls_settings(settings: Settings, warn: Callable[[str], None]) -> TlsSettings | None:
    """None: there is no TLS. `warn` gets what Postfix's server says when it starts. Raises ConfigError."""
    used, enforced = _level(settings, warn)
    wrapper = settings.smtpd_tls_wrappermode
    if not used and not wrapper:
        return None
    enforced = enforced or wrapper
    wants = settings.smtpd_tls_ask_ccert or (enforced and settings.smtpd_tls_req_ccert)
    if settings.smtpd_tls_req_ccert and not enforced:
        warn("Can't require client certs unless TLS is required")
    have, may_lack = _certificates(settings)
    if not have and wants:
        warn("Need a server cert to request client certs")
    usable = have or (may_lack and not wants)
    if not usable:
        warn("No server certs available. TLS won't be enabled")
    return TlsSettings(
        offered=used,
        enforced=enforced,
        wrapper=wrapper,
        asks=wants,
        requires=enforced and settings.smtpd_tls_req_ccert,
        usable=usable,
        received_header=settings.smtpd_tls_received_header,
        digest=settings.smtpd_tls_fingerprint_digest,
        patient=not settings.tls_fast_shutdown_enable,
        log=_log(settings.smtpd_tls_loglevel, warn),
    )


def _level(settings: Settings, warn: Callable[[str], None]) -> tuple[bool, bool]:
    """Is TLS used, and is it required?"""
    level = settings.smtpd_tls_security_level.lower()
    if not level:
        enforced = settings.smtpd_enforce_tls
        return enforced or settings.smtpd_use_tls, enforced
    if level in _UNSUPPORTED:
        given = settings.smtpd_tls_security_level
        warn(f'smtpd_tls_security_level: unsupported TLS level "{given}", using "encrypt"')
        level = "encrypt"
    if level not in ("none", "may", "encrypt"):
        raise ConfigError(f'Invalid TLS level "{level}"', parameter="smtpd_tls_security_level")
    return level != "none", level == "encrypt"


def _certificates(settings: Settings) -> tuple[bool, bool]:
    """Is there any? May there be none, because somebody has said `none`?"""
    if settings.smtpd_tls_chain_files:
        chains = settings.smtpd_tls_chain_files.lower() != "none"
        return chains, not chains
    named = [settings.text(f"smtpd_tls_{pair}") for pair in _PAIRS]
    may_lack = named[0].lower() == "none"
    return any(name and name.lower() != "none" for name in named), may_lack


def _log(value: str, warn: Callable[[str], None]) -> frozenset[str]:
    """smtpd_tls_loglevel: a number, or names of what is to be told."""
    found: frozenset[str] = frozenset()
    for word in split_list(value):
        name = word.lower()
        level = _LEVELS.get(_LEVEL_NAMES.get(name, name))
        if level is not None:
            found |= level
        elif name in _FEATURES:
            found |= {name}
        elif name not in _UNHEARD:
            warn(f'unknown smtpd_tls_loglevel value "{word}" in "{value}"')
    return found
