"""`smtpd_tls_protocols` and its kin: lists of protocol versions as Postfix 3.6 and later read them."""

import re
import ssl

import msgspec

from gatepost.tls.values import BadTlsValue

_VERSIONS = {
    "sslv2": 0x0200,
    "sslv3": 0x0300,
    "tlsv1": 0x0301,
    "tlsv1.1": 0x0302,
    "tlsv1.2": 0x0303,
    "tlsv1.3": 0x0304,
}

_OPTIONS = {
    0x0200: ssl.OP_NO_SSLv2,
    0x0300: ssl.OP_NO_SSLv3,
    0x0301: ssl.OP_NO_TLSv1,
    0x0302: ssl.OP_NO_TLSv1_1,
    0x0303: ssl.OP_NO_TLSv1_2,
    0x0304: ssl.OP_NO_TLSv1_3,
}

_NUMBER = re.compile(r"0*(?:0[xX]0*)?([0-9A-Fa-f]{1,8})")


class Protocols(msgspec.Struct, frozen=True):
    """Lowest and highest version as on the wire (0x0303: TLSv1.2; 0: no bound), and those between to leave out."""

    floor: int
    ceiling: int
    excluded: frozenset[int]

    @property
    def options(self) -> int:
        """The OP_NO_... bits."""
        bits = 0
        for version in self.excluded:
            bits |= _OPTIONS[version]
        return bits


def parse_protocols(text: str) -> Protocols:
    """`!SSLv2, >=TLSv1.2`; separators are white space, comma and colon (postconf(5) smtpd_tls_mandatory_protocols).

    Names count in any case. Raises BadTlsValue.
    """
    floor = ceiling = 0
    excluded: set[int] = set()
    included: set[int] = set()
    for word in re.split(r"[\s,:]+", text.strip(" \t\r\n,:")):
        if not word:
            continue
        if word.startswith(">="):
            floor = _bound(word[2:], text)
        elif word.startswith("<="):
            ceiling = _bound(word[2:], text)
        elif word.startswith("!"):
            excluded.add(_known(word[1:], text))
        else:
            included.add(_known(word, text))
    if included:
        excluded |= set(_OPTIONS) - included
    return Protocols(floor, ceiling, frozenset(excluded))


def _known(name: str, text: str) -> int:
    version = _VERSIONS.get(name.lower())
    if version is None:
        raise BadTlsValue(f'Invalid TLS protocol list "{text}": disabling TLS support')
    return version


def _bound(name: str, text: str) -> int:
    found = _NUMBER.fullmatch(name)
    if found or not name:
        return int(found[1], 16) if found else 0
    version = _known(name, text)
    if version == _VERSIONS["sslv2"]:  # its number is not of the same kind
        raise BadTlsValue(f'Invalid TLS protocol list "{text}": disabling TLS support')
    return version
