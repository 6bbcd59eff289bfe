"""What a context is made of: the values of the parameters, under their names without the `smtpd_tls_`, `smtp_tls_`."""

from typing import Any

import msgspec


class BadTlsValue(ValueError):
    """A value that no context can be made of.

    `lines`: Postfix's for the log, the first is the message; never with key material.
    """

    def __init__(self, *lines: str) -> None:
        super().__init__(lines[0])
        self.lines = lines


class LibraryValues(msgspec.Struct, frozen=True, kw_only=True):
    """The `tls_*` parameters that server and client share; see postconf(5). The defaults are Debian's 3.7.11."""

    tls_high_cipherlist: str = "aNULL:-aNULL:HIGH:@STRENGTH"
    tls_medium_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH"
    tls_low_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH"
    tls_export_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH"
    tls_null_cipherlist: str = "eNULL:!aNULL"
    tls_preempt_cipherlist: bool = False
    tls_eecdh_auto_curves: str = "X25519 X448 prime256v1 secp521r1 secp384r1"
    tls_disable_workarounds: str = ""
    tls_ssl_options: str = ""
    tls_append_default_CA: bool = False
    tls_session_ticket_cipher: str = "aes-256-cbc"
    tls_dane_digests: str = "sha512 sha256"
    tls_config_file: str = "default"
    tls_config_name: str = ""

    @classmethod
    def of(cls, settings: Any) -> "LibraryValues":
        """Those of typed settings; what these do not have is as above."""
        values = {name: getattr(settings, name, None) for name in cls.__struct_fields__}
        return cls(**{name: value for name, value in values.items() if value is not None})


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Private keys and certificates as octets: who uses them may not be allowed to open the files.

    Without `key` it is one of the chain files: each key is followed by its certificate and that one's issuers, any
    number of times; what one file begins the next may go on with (`smtpd_tls_chain_files`). With `key`: a certificate
    file, leaf first, and a key file, which may be the same (`smtpd_tls_cert_file` and its kin).
    """

    name: str  # the path, as it is named in messages
    certificates: bytes
    key_name: str = ""
    key: bytes = b""
    algorithm: str = "RSA"  # of a certificate and key pair, for messages: RSA, DSA, ECDSA

    def __repr__(self) -> str:
        return f"Chain({self.name!r})"


class ServerValues(msgspec.Struct, frozen=True, kw_only=True):
    """`protocols`, `ciphers`, `exclude_ciphers`: the `_mandatory_` ones (both exclusions) where TLS is required."""

    library: LibraryValues = LibraryValues()
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: str = ""
    CAfile: str = ""
    CA: bytes = b""  # what is in CAfile; empty: OpenSSL reads it, or says why it cannot
    CApath: str = ""
    ask_ccert: bool = False
    req_ccert: bool = False
    ccert_verifydepth: int = 9
    dh1024_param_file: str = ""  # its name for messages
    dh1024_param: bytes = b""  # what is in it; empty: OpenSSL's choice
    session_cache_timeout: int = 3600  # seconds; 0 or less: no tickets
    chains: tuple[Chain, ...] = ()
    telling: bool = False  # each certificate of the peer that is looked at is remembered, for the log


class ClientValues(msgspec.Struct, frozen=True, kw_only=True):
    """As ServerValues. `ciphers` may be `null`. `trust_anchors`: PEM (smtp_tls_trust_anchor_file) instead of CAs.
    `dane`: its connections may be verified by TLSA records (dane.py).
    """

    library: LibraryValues = LibraryValues()
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: str = ""
    CAfile: str = ""
    CA: bytes = b""
    CApath: str = ""
    trust_anchors: bytes = b""
    scert_verifydepth: int = 9
    chains: tuple[Chain, ...] = ()
    telling: bool = False
    dane: bool = False
