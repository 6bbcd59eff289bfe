"""OpenSSL's option bits by name (`tls_disable_workarounds`, `tls_ssl_options`)."""

import re
from collections.abc import Callable, Mapping

Warn = Callable[[str], object]

# openssl/ssl.h of OpenSSL 3; a work-around that has been dropped has no bit.
WORKAROUNDS: Mapping[str, int] = {
    "MICROSOFT_SESS_ID_BUG": 0,
    "NETSCAPE_CHALLENGE_BUG": 0,
    "LEGACY_SERVER_CONNECT": 1 << 2,
    "NETSCAPE_REUSE_CIPHER_CHANGE_BUG": 0,
    "TLSEXT_PADDING": 1 << 4,
    "SSLREF2_REUSE_CERT_TYPE_BUG": 0,
    "MICROSOFT_BIG_SSLV3_BUFFER": 0,
    "SAFARI_ECDHE_ECDSA_BUG": 1 << 6,
    "MSIE_SSLV2_RSA_PADDING": 0,
    "SSLEAY_080_CLIENT_DH_BUG": 0,
    "TLS_D5_BUG": 0,
    "TLS_BLOCK_PADDING_BUG": 0,
    "DONT_INSERT_EMPTY_FRAGMENTS": 1 << 11,
    "CRYPTOPRO_TLSEXT_BUG": 1 << 31,
}

OPTIONS: Mapping[str, int] = {
    "ENABLE_MIDDLEBOX_COMPAT": 1 << 20,
    "LEGACY_SERVER_CONNECT": 1 << 2,
    "NO_TICKET": 1 << 14,
    "NO_COMPRESSION": 1 << 17,
    "NO_RENEGOTIATION": 1 << 30,
    "NO_SESSION_RESUMPTION_ON_RENEGOTIATION": 1 << 16,
    "PRIORITIZE_CHACHA": 1 << 21,
}


def option_bits(parameter: str, text: str, names: Mapping[str, int], warn: Warn) -> int:
    """The bits of a list of names, or of one hexadecimal number. What is not known is warned about and left out."""
    if re.fullmatch(r"0[xX][0-9A-Fa-f]{1,16}", text.strip()):
        return int(text, 16)
    bits = 0
    for word in re.split(r"[\s,]+", text):
        if not word:
            continue
        if word.upper() in names:
            bits |= names[word.upper()]
        else:
            warn(f'unknown {parameter} value "{word}" in "{text}"')
    return bits
