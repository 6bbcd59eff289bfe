import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gatepost.tls.der import public_key_info
from gatepost.tls.values import BadTlsValue
from tests.tls.handshakes import leaf


def der(kind: str) -> bytes:
    made = x509.load_pem_x509_certificate(leaf(kind).cert_chain_pems[0].bytes())
    return made.public_bytes(Encoding.DER)


@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_the_key_is_found(kind: str) -> None:
    octets = der(kind)
    key = x509.load_der_x509_certificate(octets).public_key()
    assert public_key_info(octets) == key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@given(st.binary(max_size=80))
def test_garbage(octets: bytes) -> None:
    with pytest.raises(BadTlsValue):
        public_key_info(octets)


@given(st.integers(0, 500))
def test_a_certificate_cut_short(length: int) -> None:
    octets = der("rsa")
    key = public_key_info(octets)
    try:
        assert public_key_info(octets[:length]) == key
    except BadTlsValue:
        assert length < octets.index(key) + len(key)
