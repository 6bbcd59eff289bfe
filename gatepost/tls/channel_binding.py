"""Channel bindings (RFC 5929, RFC 9266): what both ends of a TLS session know, and nobody in between."""

import hashlib
import ssl

from gatepost.tls.openssl import native

_LABEL = b"EXPORTER-Channel-Binding"
_EXPORTER_OCTETS = 32


def channel_binding(tls: ssl.SSLObject, kind: str) -> bytes | None:
    """The data of type `kind` for the server's end of a session; None: this session or this Python has none.

    `tls-unique` is not defined for TLS 1.3 (RFC 8446 C.5); `tls-exporter` we give for TLS 1.3 only, where it is the
    default (RFC 9266 3).
    """
    new = tls.version() == "TLSv1.3"
    openssl = native()
    if kind == "tls-unique":
        return None if new else tls.get_channel_binding("tls-unique")
    if openssl is None:
        return None
    if kind == "tls-exporter" and new:
        return openssl.exported(tls, _LABEL, _EXPORTER_OCTETS) or None
    if kind == "tls-server-end-point":
        return end_point(openssl.own_certificate(tls))
    return None


def end_point(certificate: bytes) -> bytes | None:
    """RFC 5929 4.1: the certificate (DER), hashed as its signature is, but for MD5 and SHA-1, which are too weak."""
    from cryptography import x509  # only where it is asked for

    if not certificate:
        return None
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None:  # Ed25519: RFC 5929 knows no hash for it
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate).digest()
