"""Which names a server's certificate must have (`smtp_tls_verify_cert_match`, `_secure_cert_match`)."""

from collections.abc import Sequence

from gatepost.tls.certificate import Certificate


def expected_names(strategies: Sequence[str], *, nexthop: str, hostname: str) -> tuple[str, ...]:
    """`nexthop`, `hostname`, `dot-nexthop` replaced by what they stand for; other words are names by themselves.

    `.example.com` matches any name below it.
    """
    raise NotImplementedError


def matching_name(certificate: Certificate, wanted: Sequence[str], *, multiple_labels: bool) -> str:
    """The name of the certificate that matches, empty if none does.

    The CN counts only if there is no dNSName at all (RFC 6125 6.4.4). `multiple_labels`: may `*.a.example` in a
    certificate stand for x.y.a.example (`tls_wildcard_matches_multiple_labels`)?
    """
    raise NotImplementedError
