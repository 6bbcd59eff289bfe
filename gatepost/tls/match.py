"""Which names a server's certificate must have (`smtp_tls_verify_cert_match`, `_secure_cert_match`)."""

from collections.abc import Iterable, Sequence
from ipaddress import ip_address

from gatepost.tls.certificate import Certificate


def expected_names(strategies: Sequence[str], *, nexthop: str, hostname: str) -> tuple[str, ...]:
    """`nexthop`, `hostname`, `dot-nexthop` replaced by what they stand for; other words are names by themselves.

    `.example.com` matches any name below it. Without brackets and port, and in ASCII: both arguments are domain names.
    """
    meaning = {"nexthop": nexthop, "hostname": hostname, "dot-nexthop": f".{nexthop}"}
    return tuple(meaning.get(word.lower(), word).lower() for word in strategies)


def matching_name(certificate: Certificate, wanted: Iterable[str], *, multiple_labels: bool) -> str:
    """The name of the certificate that matches, empty if none does.

    The CN counts only if there is no dNSName at all (RFC 6125 6.4.4). `multiple_labels`: may `*.a.example` in a
    certificate stand for x.y.a.example (`tls_wildcard_matches_multiple_labels`)? An address must be among the
    certificate's addresses, no name stands for it (RFC 6125 1.7.2); and if names are wanted as well, one of them must
    be there, too, as OpenSSL has it.
    """
    names = certificate.dns_names if certificate.has_dns_names else (certificate.subject_CN,)
    patterns: list[str] = []
    addresses: list[str] = []
    for each in wanted:
        address = _address(each)
        (addresses if address else patterns).append(address or each)
    if not all(address in certificate.ip_addresses for address in addresses):
        return ""
    if not patterns:
        return addresses[0] if addresses else ""
    for name in names:
        if name and any(_matches(name.lower(), each.lower(), multiple_labels) for each in patterns):
            return name
    return ""


def _address(text: str) -> str:
    """The address that it is, as certificates' are shown; empty if it is none."""
    try:
        return str(ip_address(text)) if text[-1:].isdigit() or ":" in text else ""
    except ValueError:
        return ""


def _matches(name: str, wanted: str, multiple_labels: bool) -> bool:
    """tls_client.c, match_servername."""
    if wanted.startswith("."):
        return len(name) > len(wanted) and name.endswith(wanted)
    if name == wanted:
        return True
    if not name.startswith("*.") or name.count(".") < 2:  # as OpenSSL: none stands for all of a top-level domain
        return False
    _, dot, rest = wanted.partition(".")
    below, parent = name[1:], dot + rest
    return parent.endswith(below) if multiple_labels else parent == below
