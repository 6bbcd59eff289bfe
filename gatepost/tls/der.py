"""As much of DER as finding the public key in a certificate takes: its fingerprint is that of the very octets."""

from gatepost.tls.values import BadTlsValue

_SEQUENCE = 0x30
_VERSION = 0xA0


def public_key_info(der: bytes) -> bytes:
    """The SubjectPublicKeyInfo of a certificate (RFC 5280 4.1). Raises BadTlsValue."""
    try:
        body, _ = _inside(der, 0)  # Certificate
        position, _ = _inside(der, body)  # TBSCertificate
        if der[position] == _VERSION:
            position = _end(der, position)
        for _ in range(5):  # serialNumber, signature, issuer, validity, subject
            position = _end(der, position)
        end = _end(der, position)
        if der[position] != _SEQUENCE or end > len(der):
            raise IndexError
    except IndexError:
        raise BadTlsValue("error decoding peer certificate") from None
    return der[position:end]


def _inside(der: bytes, position: int) -> tuple[int, int]:
    """First octet and length of the contents of what starts at `position`."""
    length = der[position + 1]
    if length < 0x80:
        return position + 2, length
    size = length & 0x7F
    start = position + 2
    if not 1 <= size <= 4 or start + size > len(der):
        raise IndexError
    return start + size, int.from_bytes(der[start : start + size], "big")


def _end(der: bytes, position: int) -> int:
    start, length = _inside(der, position)
    return start + length
