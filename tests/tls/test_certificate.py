import datetime
import hashlib
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from gatepost.tls.certificate import certificate_facts, fingerprint, fingerprints_match
from gatepost.tls.values import BadTlsValue

_KEY = ec.generate_private_key(ec.SECP256R1())
_NAMES = x509.NameOID


def made(
    subject: list[tuple[x509.ObjectIdentifier, str]],
    issuer: list[tuple[x509.ObjectIdentifier, str]] | None = None,
    names: list[x509.GeneralName] | None = None,
) -> bytes:
    def name(parts: list[tuple[x509.ObjectIdentifier, str]]) -> x509.Name:
        return x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])

    begin = datetime.datetime(2026, 1, 1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(subject if issuer is None else issuer))
        .public_key(_KEY.public_key())
        .serial_number(7)
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=9))
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(_KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def openssl(octets: bytes, *command: str) -> bytes:
    return subprocess.run(["openssl", *command], input=octets, capture_output=True, check=True).stdout


def test_names() -> None:
    facts = certificate_facts(
        made(
            [(_NAMES.ORGANIZATION_NAME, "Org"), (_NAMES.COMMON_NAME, "mail.example")],
            [(_NAMES.ORGANIZATION_NAME, "Issuing Org"), (_NAMES.COMMON_NAME, "The Issuer")],
            [x509.DNSName("a.example"), x509.RFC822Name("x@example"), x509.DNSName("*.b.example")],
        ),
        "sha256",
    )
    assert facts.subject_CN == "mail.example" and facts.issuer_CN == "The Issuer"
    assert facts.dns_names == ("a.example", "*.b.example") and facts.has_dns_names


def test_an_issuer_without_common_name() -> None:
    facts = certificate_facts(made([], [(_NAMES.ORGANIZATION_NAME, "Issuing Org")]), "sha256")
    assert facts.subject_CN == "" and facts.issuer_CN == "Issuing Org"
    assert facts.dns_names == () and not facts.has_dns_names


def test_the_first_of_several_common_names() -> None:
    subject = [(_NAMES.COMMON_NAME, "first.example"), (_NAMES.COMMON_NAME, "second.example")]
    assert certificate_facts(made(subject), "sha256").subject_CN == "first.example"


@pytest.mark.parametrize("text", ["a\0.example", "a\n.example", "a\x7f", "\x1b[31m", "a\x85b"])
def test_a_name_with_what_does_not_belong_there_is_none(text: str) -> None:
    facts = certificate_facts(made([(_NAMES.COMMON_NAME, text)]), "sha256")
    assert facts.subject_CN == facts.issuer_CN == ""
    what = "NULL character" if "\0" in text else "non-printable content"
    assert facts.complaints == tuple(
        f"tls_text_name: {{peer}}: {what} in peer {whose} CN" for whose in ("subject", "issuer")
    )


@pytest.mark.parametrize("text", ["good.example\0.bad.example", "a\nb.example"])
def test_a_dns_name_with_what_does_not_belong_there_is_left_out_but_counts(text: str) -> None:
    names = [x509.DNSName(text)]
    facts = certificate_facts(made([(_NAMES.COMMON_NAME, "good.example")], names=names), "sha256")
    assert facts.dns_names == () and facts.has_dns_names


@pytest.mark.parametrize("text", ["Bücher", "  x y ", 'a"b(c\\d', "a\u00a0b"])
def test_names_are_taken_as_they_are(text: str) -> None:
    facts = certificate_facts(made([(_NAMES.COMMON_NAME, text)]), "sha256")
    assert facts.subject_CN == text and not facts.complaints


@pytest.mark.parametrize("digest", ["sha256", "sha1", "md5", "sha512", "SHA256"])
def test_fingerprints_are_openssls(digest: str) -> None:
    der = made([(_NAMES.COMMON_NAME, "x")])
    facts = certificate_facts(der, digest)
    told = openssl(der, "x509", "-inform", "der", "-noout", "-fingerprint", f"-{digest.lower()}")
    assert facts.fingerprint == told.decode().strip().partition("=")[2]
    pem = openssl(der, "x509", "-inform", "der", "-noout", "-pubkey")
    key = openssl(pem, "pkey", "-pubin", "-outform", "der")
    assert facts.pkey_fingerprint.replace(":", "").lower() == hashlib.new(digest, key).hexdigest()


@pytest.mark.parametrize("digest", ["foo", "", "shake_128", "md5\0"])
def test_digests_that_are_none(digest: str) -> None:
    with pytest.raises(BadTlsValue) as bad:
        fingerprint(b"x", digest)
    assert bad.value.lines == (f'Digest algorithm "{digest}" not found',)


def test_fingerprints_match_in_any_case() -> None:
    facts = certificate_facts(made([(_NAMES.COMMON_NAME, "x")]), "sha256")
    for own in (facts.fingerprint, facts.pkey_fingerprint):
        assert fingerprints_match(facts, ["AA:BB", own.lower()])
    assert not fingerprints_match(facts, ["AA:BB", facts.fingerprint[:-1]])
    assert not fingerprints_match(facts, [])


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_any_octets(garbage: bytes, where: int, value: int) -> None:
    der = bytearray(made([(_NAMES.COMMON_NAME, "x")], names=[x509.DNSName("x.example")]))
    der[where % len(der)] = value
    for octets in (garbage, bytes(der)):
        try:
            certificate_facts(octets, "sha256")
        except BadTlsValue:
            pass
