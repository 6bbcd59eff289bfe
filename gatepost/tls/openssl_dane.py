"""OpenSSL's own DANE (SSL_CTX_dane_enable(3)), as openssl.py reaches into the library, and as safely."""

import functools
import ssl
from collections.abc import Sequence
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_uint8, c_ulong, c_void_p, string_at
from typing import Any

from gatepost.tls.openssl import connection_pointer, context_pointer, declare, native

_NO_EE_NAME_CHECKS = 1
"""DANE_FLAG_NO_DANE_EE_NAMECHECKS."""

# X509_CHECK_FLAG_... of openssl/x509v3.h.
_NO_PARTIAL_WILDCARDS = 0x4
_MULTI_LABEL_WILDCARDS = 0x8

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "EVP_get_digestbyname": (c_void_p, (c_char_p,)),
    "SSL_CTX_dane_enable": (c_int, (c_void_p,)),
    "SSL_CTX_dane_mtype_set": (c_int, (c_void_p, c_void_p, c_uint8, c_uint8)),
    "SSL_add1_host": (c_int, (c_void_p, c_char_p)),
    "SSL_dane_enable": (c_int, (c_void_p, c_char_p)),
    "SSL_dane_set_flags": (c_ulong, (c_void_p, c_ulong)),
    "SSL_dane_tlsa_add": (c_int, (c_void_p, c_uint8, c_uint8, c_uint8, c_char_p, c_size_t)),
    "SSL_get0_dane_authority": (c_int, (c_void_p, POINTER(c_void_p), POINTER(c_void_p))),
    "SSL_get0_dane_tlsa": (
        c_int,
        (c_void_p, POINTER(c_uint8), POINTER(c_uint8), POINTER(c_uint8), POINTER(c_void_p), POINTER(c_size_t)),
    ),
    "SSL_get0_peername": (c_char_p, (c_void_p,)),
    "SSL_set_hostflags": (None, (c_void_p, c_uint)),
}


class NativeDane:
    """Calls by Python object. Contexts first, connections before their handshake, then what came of it."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def enable(self, context: ssl.SSLContext) -> bool:
        """Have its connections able to be verified by TLSA records. False: OpenSSL cannot."""
        return self._done(self._library.SSL_CTX_dane_enable(context_pointer(context)))

    def set_digest(self, context: ssl.SSLContext, matching: int, name: str, rank: int) -> bool:
        """Matching type `matching` is the digest of that name; of several in use the one of the highest rank counts
        (RFC 7671 9). An empty name: the type is not to be used. False: there is no such digest.
        """
        digest = self._library.EVP_get_digestbyname(name.encode()) if name else None
        if name and not digest:
            return self._done(0)
        return self._done(self._library.SSL_CTX_dane_mtype_set(context_pointer(context), digest, matching, rank))

    def begin(self, tls: ssl.SSLObject, names: Sequence[str], *, multiple_labels: bool) -> bool:
        """Make this connection's verification one by TLSA records. `names`: one of them the certificate must have,
        unless the record is of the certificate itself (RFC 7672 3.1.1). False: OpenSSL cannot.
        """
        connection, library = connection_pointer(tls), self._library
        # Without a base domain, which would set the server name once more, and make it a name to be checked.
        if not self._done(library.SSL_dane_enable(connection, None)):
            return False
        library.SSL_dane_set_flags(connection, _NO_EE_NAME_CHECKS)
        flags = _NO_PARTIAL_WILDCARDS | (_MULTI_LABEL_WILDCARDS if multiple_labels else 0)
        library.SSL_set_hostflags(connection, flags)
        return all(self._done(library.SSL_add1_host(connection, name.encode("ascii"))) for name in names)

    def add(self, tls: ssl.SSLObject, usage: int, selector: int, matching: int, data: bytes) -> bool:
        """False: the record is of no use."""
        return self._done(
            self._library.SSL_dane_tlsa_add(connection_pointer(tls), usage, selector, matching, data, len(data))
        )

    def matched(self, tls: ssl.SSLObject) -> tuple[int, bool, tuple[int, int, int, bytes]] | None:
        """(depth of the certificate that matched, is it a mere key of ours that has signed the one there, usage,
        selector, matching type and octets of the record); None if none has, or the session is a resumed one.
        """
        connection, library, key = connection_pointer(tls), self._library, c_void_p(0)
        depth = library.SSL_get0_dane_authority(connection, None, byref(key))
        if depth < 0:
            return None
        usage, selector, matching, data, size = c_uint8(0), c_uint8(0), c_uint8(0), c_void_p(0), c_size_t(0)
        library.SSL_get0_dane_tlsa(connection, byref(usage), byref(selector), byref(matching), byref(data), byref(size))
        octets = string_at(data.value, size.value) if data.value else b""
        return depth, bool(key.value), (usage.value, selector.value, matching.value, octets)

    def peer_name(self, tls: ssl.SSLObject) -> str:
        """The name of the certificate that is one of those asked for; empty if none was looked at."""
        return (self._library.SSL_get0_peername(connection_pointer(tls)) or b"").decode("ascii", "backslashreplace")

    def _done(self, result: int) -> bool:
        self._library.ERR_clear_error()
        return result > 0


@functools.cache
def native_dane() -> NativeDane | None:
    """None where openssl.py has nothing either, or OpenSSL has no DANE."""
    openssl = native()
    if openssl is None:
        return None
    try:
        declare(openssl.library, _FUNCTIONS)
    except AttributeError:
        return None
    return NativeDane(openssl.library)
