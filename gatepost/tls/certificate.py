"""What Postfix wants to know of a certificate (tls_verify.c, tls_fprint.c)."""

from collections.abc import Sequence

import msgspec


class Certificate(msgspec.Struct, frozen=True):
    """Facts of a leaf certificate. Names with a NUL or a control character are not names: they are left out."""

    subject_CN: str
    issuer_CN: str  # the issuer's organization if it has no CN
    dns_names: tuple[str, ...]
    fingerprint: str  # AB:CD:…
    pkey_fingerprint: str


def certificate_facts(der: bytes, digest: str) -> Certificate:
    """Raises BadTlsValue for a digest that is not known, or a certificate that cannot be parsed."""
    raise NotImplementedError


def fingerprint(octets: bytes, digest: str) -> str:
    """`AB:CD:…`, by OpenSSL's name of the digest (sha256, sha1, md5). Raises BadTlsValue."""
    raise NotImplementedError


def fingerprints_match(certificate: Certificate, wanted: Sequence[str]) -> bool:
    """Is the certificate's or its public key's fingerprint among them? Case does not matter."""
    raise NotImplementedError
