"""What Postfix wants to know of a certificate (tls_verify.c, tls_fprint.c)."""

import functools
import hashlib
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

from gatepost.tls import der as der_octets
from gatepost.tls.values import BadTlsValue

if TYPE_CHECKING:
    from cryptography import x509


class Certificate(msgspec.Struct, frozen=True):
    """Facts of a leaf certificate. A name with a NUL or a control character is no name: empty, or left out.

    `has_dns_names`: there is a dNSName, be it one that is left out; then the CN stands for no host.
    """

    subject_CN: str
    issuer_CN: str  # the issuer's organization if it has no CN
    dns_names: tuple[str, ...]
    has_dns_names: bool
    fingerprint: str  # AB:CD:..
    pkey_fingerprint: str
    complaints: tuple[str, ...] = ()  # warnings for the log, with `{peer}` for `name[address]`
    ip_addresses: tuple[str, ...] = ()


@functools.lru_cache(maxsize=32)  # a certificate may have 100 KB
def certificate_facts(der: bytes, digest: str) -> Certificate:
    """`digest`: smtpd_tls_fingerprint_digest. Raises BadTlsValue: no such digest, or the octets are no certificate."""
    with warnings.catch_warnings():
        # What is odd about other people's certificates is no matter of ours.
        warnings.simplefilter("ignore")
        return _facts(der, digest)


def _facts(der: bytes, digest: str) -> Certificate:
    from cryptography import x509

    key = der_octets.public_key_info(der)
    try:
        certificate = x509.load_der_x509_certificate(der)
        subject, issuer = _names(lambda: certificate.subject), _names(lambda: certificate.issuer)
    except (ValueError, x509.InvalidVersion):
        raise BadTlsValue("error decoding peer certificate") from None
    has_names, names, addresses = _alternative_names(certificate)
    oid = x509.NameOID
    told: list[str] = []
    subject_name = _text(subject, oid.COMMON_NAME, "subject CN", told)
    issuer_name = _text(issuer, oid.COMMON_NAME, "issuer CN", told)
    return Certificate(
        subject_CN=subject_name,
        issuer_CN=issuer_name or _text(issuer, oid.ORGANIZATION_NAME, "issuer Organization", told),
        dns_names=names,
        has_dns_names=has_names,
        fingerprint=fingerprint(der, digest),
        pkey_fingerprint=fingerprint(key, digest),
        complaints=tuple(told),
        ip_addresses=addresses,
    )


def fingerprint(octets: bytes, digest: str) -> str:
    """`AB:CD:..`, by OpenSSL's name of the digest (sha256, sha1, md5). Raises BadTlsValue."""
    try:
        # Not for security as such: the administrator has chosen, and may have to live with md5.
        made = hashlib.new(digest, octets, usedforsecurity=False).digest()
    except (ValueError, TypeError):  # TypeError: shake_128 and such, which have no size of their own
        raise BadTlsValue(f'Digest algorithm "{digest}" not found') from None
    return made.hex(":").upper()


def fingerprints_match(certificate: Certificate, wanted: Iterable[str]) -> bool:
    """Is the certificate's or its public key's fingerprint among them? Case does not matter."""
    own = (certificate.fingerprint, certificate.pkey_fingerprint)
    return any(each.upper() in own for each in wanted)


def _names(read: "Callable[[], x509.Name]") -> "x509.Name | None":
    try:
        return read()
    except ValueError:  # parsed only when it is asked for
        return None


def _text(name: "x509.Name | None", oid: "x509.ObjectIdentifier", label: str, told: list[str]) -> str:
    """The first value of that kind; `told` gets what is wrong with it."""
    if name is None:
        return ""
    found = name.get_attributes_for_oid(oid)
    if not found:
        return ""
    value = found[0].value
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    if "\0" in text:
        told.append(f"tls_text_name: {{peer}}: NULL character in peer {label}")
    elif not _is_printable(text):
        told.append(f"tls_text_name: {{peer}}: non-printable content in peer {label}")
    else:
        return text
    return ""


def _is_printable(text: str) -> bool:
    """No control character, no line separator, and nothing that was no text: it goes into the log and comparisons."""
    return all(" " <= each < "\x7f" or (each > "\x9f" and each not in "\u2028\u2029\ufffd") for each in text)


def _alternative_names(certificate: "x509.Certificate") -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """(is there a dNSName, those that are names, addresses)"""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return False, (), ()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return True, (), ()  # there is something that we cannot read: on the safe side, a name that does not match
    names = extension.value.get_values_for_type(x509.DNSName)
    addresses = tuple(str(address) for address in extension.value.get_values_for_type(x509.IPAddress))
    return bool(names), tuple(name for name in names if name and name.isascii() and name.isprintable()), addresses
