"""What a context is made of: the values of the parameters, under their names without the `smtpd_tls_`, `smtp_tls_`."""

import msgspec


class BadTlsValue(ValueError):
    """A value that no context can be made of; the message is Postfix's for the log, and never holds key material."""


class LibraryValues(msgspec.Struct, frozen=True, kw_only=True):
    """The `tls_*` parameters that server and client share; see postconf(5). The defaults are Debian's 3.7.11."""

    tls_high_cipherlist: str = "aNULL:-aNULL:HIGH:@STRENGTH"
    tls_medium_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH"
    tls_low_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:+RC4:@STRENGTH"
    tls_export_cipherlist: str = "aNULL:-aNULL:HIGH:MEDIUM:LOW:EXPORT:+RC4:@STRENGTH"
    tls_null_cipherlist: str = "eNULL:!aNULL"
    tls_preempt_cipherlist: bool = False
    tls_eecdh_auto_curves: str = "X25519 X448 prime256v1 secp521r1 secp384r1"
    tls_eecdh_strong_curve: str = "prime256v1"
    tls_eecdh_ultra_curve: str = "secp384r1"
    tls_disable_workarounds: str = ""
    tls_ssl_options: str = ""
    tls_append_default_CA: bool = False
    tls_session_ticket_cipher: str = "aes-256-cbc"


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """Private keys and certificates. Give octets where the reader may not open the file; `*_name` is for messages.

    Without `key` it is a chain file: each key is followed by its certificate and that one's issuers, any number of
    times (`smtpd_tls_chain_files`, SNI values). With `key`: a certificate file (leaf first) and a key file
    (`smtpd_tls_cert_file` and its kin); they may be the same.
    """

    name: str  # the path, as it is named in messages
    certificates: bytes
    key_name: str = ""
    key: bytes = b""
    algorithm: str = ""  # "RSA", "DSA", "EC": of a certificate and key pair, for messages

    def __repr__(self) -> str:
        return f"Chain({self.name!r})"


class ServerValues(msgspec.Struct, frozen=True, kw_only=True):
    """`protocols`, `ciphers`, `exclude_ciphers`: the `_mandatory_` ones (both exclusions) where TLS is required."""

    library: LibraryValues = LibraryValues()
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: str = ""
    CAfile: str = ""
    CApath: str = ""
    ask_ccert: bool = False
    req_ccert: bool = False
    ccert_verifydepth: int = 9
    eecdh_grade: str = "auto"
    dh1024_param: bytes = b""  # what is in smtpd_tls_dh1024_param_file; empty: the library's choice
    session_cache_timeout: int = 3600  # seconds; 0 or less: no tickets
    chains: tuple[Chain, ...] = ()


class ClientValues(msgspec.Struct, frozen=True, kw_only=True):
    """As ServerValues. `ciphers` may be `null`. `trust_anchors`: PEM (smtp_tls_trust_anchor_file) instead of CAs."""

    library: LibraryValues = LibraryValues()
    protocols: str = ">=TLSv1"
    ciphers: str = "medium"
    exclude_ciphers: str = ""
    CAfile: str = ""
    CApath: str = ""
    trust_anchors: bytes = b""
    scert_verifydepth: int = 9
    chains: tuple[Chain, ...] = ()
