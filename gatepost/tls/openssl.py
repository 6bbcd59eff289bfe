"""The few things of OpenSSL that Python's ssl does not reach: the one place with ctypes, but for openssl_dane.py.

What for: ticket keys and time limits of sessions, a list of groups, client certificates that are asked for without
failing the handshake, the result of the verification, and what was negotiated (signatures, key exchange).

How, and why it is safe: the functions are those of the library that `_ssl` itself is linked with (dlsym on its handle),
all are public API of OpenSSL 3. The pointers come from two fields of CPython's objects, at places that have not moved
from 3.7 to 3.14: SSL_CTX* is the first field of _ssl._SSLContext, SSL* the second of _ssl._SSLSocket. `native` looks at
a context of its own first, without following any pointer that has not been recognised: the third field must be the
context's id. Where this does not hold there is no Native, and what needs it is refused (BadTlsValue), never guessed.
No pointer of theirs is kept: each call takes the Python object, which is alive meanwhile. What a call that has failed
leaves in OpenSSL's queue of errors is cleared: Python would take it for the fault of the next connection.
"""

import _ssl
import ctypes
import functools
import ssl
import sys
from collections.abc import Mapping
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_size_t, c_void_p
from typing import Any

_NID_UNDEFINED = 0
_EVP_PKEY_RSA = 6
_EVP_PKEY_DH = 28
_EVP_PKEY_EC = 408

# SSL_ctrl and SSL_CTX_ctrl (ssl.h: SSL_CTRL_...).
_SET_SESS_CACHE_MODE = 44
_SET_TICKET_KEYS = 59
_SET_GROUPS_LIST = 92
_GET_PEER_SIGNATURE_NID = 108
_GET_PEER_TMP_KEY = 109
_SET_DH_AUTO = 118
_GET_SIGNATURE_NID = 132

# SSL_SESS_CACHE_...: with the first, clients without tickets get a session ID, which some cannot do without
# (smtpd_tls_always_issue_session_ids); with the second, nothing is kept for it.
_CACHE_SERVER = 0x0002
_CACHE_NO_INTERNAL = 0x0300

_VERIFY_NONE = 0
_VERIFY_PEER = 1
_VERIFY_FAIL_IF_NO_PEER_CERT = 2
_VERIFY_CLIENT_ONCE = 4

_CHAIN_TOO_LONG = 22
"""X509_V_ERR_CERT_CHAIN_TOO_LONG."""

_WORDS = 256

_VerifyCallback = ctypes.CFUNCTYPE(c_int, c_int, c_void_p)

_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ERR_clear_error": (None, ()),
    "EVP_PKEY_free": (None, (c_void_p,)),
    "EVP_PKEY_get_bits": (c_int, (c_void_p,)),
    "EVP_PKEY_get_group_name": (c_int, (c_void_p, c_char_p, c_size_t, POINTER(c_size_t))),
    "EVP_PKEY_get_id": (c_int, (c_void_p,)),
    "OBJ_nid2sn": (c_char_p, (c_int,)),
    "i2d_X509": (c_int, (c_void_p, POINTER(c_char_p))),
    "SSL_CIPHER_get_bits": (c_int, (c_void_p, POINTER(c_int))),
    "SSL_CTX_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "SSL_CTX_set_client_CA_list": (None, (c_void_p, c_void_p)),
    "SSL_CTX_set_timeout": (c_long, (c_void_p, c_long)),
    "SSL_CTX_set_verify": (None, (c_void_p, c_int, _VerifyCallback)),
    "SSL_CTX_set_verify_depth": (None, (c_void_p, c_int)),
    "SSL_ctrl": (c_long, (c_void_p, c_int, c_long, c_void_p)),
    "SSL_export_keying_material": (
        c_int,
        (c_void_p, c_char_p, c_size_t, c_char_p, c_size_t, c_char_p, c_size_t, c_int),
    ),
    "SSL_get1_peer_certificate": (c_void_p, (c_void_p,)),
    "SSL_SESSION_dup": (c_void_p, (c_void_p,)),
    "SSL_SESSION_free": (None, (c_void_p,)),
    "SSL_SESSION_is_resumable": (c_int, (c_void_p,)),
    "SSL_get1_session": (c_void_p, (c_void_p,)),
    "SSL_get_SSL_CTX": (c_void_p, (c_void_p,)),
    "SSL_get_certificate": (c_void_p, (c_void_p,)),
    "SSL_get_current_cipher": (c_void_p, (c_void_p,)),
    "SSL_get_ex_data": (c_void_p, (c_void_p, c_int)),
    "SSL_get_ex_data_X509_STORE_CTX_idx": (c_int, ()),
    "SSL_get_verify_depth": (c_int, (c_void_p,)),
    "SSL_get_verify_result": (c_long, (c_void_p,)),
    "SSL_load_client_CA_file": (c_void_p, (c_char_p,)),
    "SSL_set_session": (c_int, (c_void_p, c_void_p)),
    "X509_NAME_oneline": (c_char_p, (c_void_p, c_char_p, c_int)),
    "X509_STORE_CTX_get_current_cert": (c_void_p, (c_void_p,)),
    "X509_STORE_CTX_get_error": (c_int, (c_void_p,)),
    "X509_STORE_CTX_get_error_depth": (c_int, (c_void_p,)),
    "X509_STORE_CTX_get_ex_data": (c_void_p, (c_void_p, c_int)),
    "X509_STORE_CTX_set_error": (None, (c_void_p, c_int)),
    "X509_free": (None, (c_void_p,)),
    "X509_get0_pubkey": (c_void_p, (c_void_p,)),
    "X509_get_issuer_name": (c_void_p, (c_void_p,)),
    "X509_get_subject_name": (c_void_p, (c_void_p,)),
    "X509_verify_cert_error_string": (c_char_p, (c_long,)),
}


class VerifyError:
    """The fault found nearest to the peer's own certificate. `depth` 0 is that one; `issuer` in OpenSSL's one line."""

    __slots__ = ("code", "depth", "issuer", "limit")

    def __init__(self, code: int, depth: int, issuer: str, limit: int) -> None:
        self.code = code
        self.depth = depth
        self.issuer = issuer
        self.limit = limit


class TlsObject(ssl.SSLObject):
    """A connection of our contexts, with what was seen in its handshake."""

    verify_error: VerifyError | None = None
    sni: str = ""
    """The server name by which the certificate was chosen; empty: the default one."""
    sni_remark: str = ""


class TellingTlsObject(TlsObject):
    """One that remembers each certificate that was looked at: depth, 1 if it was found good, and the subject."""

    looked_at: tuple[tuple[int, int, str], ...] = ()


class Key:
    """A public key: OpenSSL's short name of its kind, `RSA`, `EC`, `DH` made recognisable, and size or curve."""

    __slots__ = ("bits", "curve", "kind")

    def __init__(self, kind: str, bits: int, curve: str) -> None:
        self.kind = kind
        self.bits = bits
        self.curve = curve


class SessionPointer:
    """A reference to an SSL_SESSION, given back with the last one to this object."""

    __slots__ = ("_free", "pointer")

    def __init__(self, pointer: int, free: Any) -> None:
        self.pointer = pointer
        self._free = free

    def __del__(self) -> None:
        self._free(self.pointer)


class Native:
    """Calls by Python object."""

    def __init__(self, library: Any) -> None:
        self.library = library
        # The library calls it for as long as there is a context: it lives as long as this object, which is cached.
        self._judge = _VerifyCallback(self._verified)
        self._ssl_index = library.SSL_get_ex_data_X509_STORE_CTX_idx()

    # Contexts.

    def set_groups(self, context: ssl.SSLContext, names: str) -> bool:
        """The groups for key exchange, `:` between them, most preferred first. False: OpenSSL does not know one."""
        return self._control(context, _SET_GROUPS_LIST, 0, names.encode()) == 1

    def set_dh_auto(self, context: ssl.SSLContext) -> None:
        """DH parameters as strong as the certificate's key."""
        self._control(context, _SET_DH_AUTO, 1, None)

    def set_ticket_keys(self, context: ssl.SSLContext, keys: bytes) -> bool:
        """False: OpenSSL wants another number of octets."""
        return self._control(context, _SET_TICKET_KEYS, len(keys), keys) == 1

    def set_session_timeout(self, context: ssl.SSLContext, seconds: int) -> None:
        self.library.SSL_CTX_set_timeout(context_pointer(context), seconds)

    def keep_no_sessions(self, context: ssl.SSLContext) -> None:
        """No cache in memory: it would serve one process only, and grow with clients that know no tickets."""
        self._control(context, _SET_SESS_CACHE_MODE, _CACHE_SERVER | _CACHE_NO_INTERNAL, None)

    def ask_for_certificate(self, context: ssl.SSLContext, *, server: bool, required: bool, depth: int) -> None:
        """Have the peer's certificate verified, and go on whatever comes of it; `required`: but not without one."""
        mode = _VERIFY_NONE
        if server:
            mode = _VERIFY_PEER | _VERIFY_CLIENT_ONCE | (_VERIFY_FAIL_IF_NO_PEER_CERT if required else 0)
        self.library.SSL_CTX_set_verify_depth(context_pointer(context), depth + 1)
        self.library.SSL_CTX_set_verify(context_pointer(context), mode, self._judge)

    def name_authorities(self, context: ssl.SSLContext, path: str) -> None:
        """Tell clients which authorities we know. A file that cannot be read names none."""
        names = self.library.SSL_load_client_CA_file(path.encode())
        self.library.ERR_clear_error()
        if names:
            self.library.SSL_CTX_set_client_CA_list(context_pointer(context), names)

    # Connections.

    def verify_result(self, tls: ssl.SSLObject) -> int:
        """0: trusted, or there is no certificate. Of a resumed session: what its first handshake has found."""
        return int(self.library.SSL_get_verify_result(connection_pointer(tls)))

    def verify_words(self, code: int) -> str:
        return _text(self.library.X509_verify_cert_error_string(code))

    def cipher_bits(self, tls: ssl.SSLObject) -> tuple[int, int]:
        """Bits that count, and bits that the algorithm has."""
        algorithm = c_int(0)
        cipher = self.library.SSL_get_current_cipher(connection_pointer(tls))
        return (self.library.SSL_CIPHER_get_bits(cipher, byref(algorithm)) if cipher else 0), algorithm.value

    def key_exchange(self, tls: ssl.SSLObject) -> Key | None:
        """The peer's ephemeral key."""
        pointer = c_void_p(0)
        if (
            self.library.SSL_ctrl(connection_pointer(tls), _GET_PEER_TMP_KEY, 0, byref(pointer)) != 1
            or not pointer.value
        ):
            return None
        try:
            return self._key(pointer.value)
        finally:
            self.library.EVP_PKEY_free(pointer)

    def own_key(self, tls: ssl.SSLObject) -> Key | None:
        """That of the certificate which we have shown."""
        return self._certificate_key(self.library.SSL_get_certificate(connection_pointer(tls)))

    def own_certificate(self, tls: ssl.SSLObject) -> bytes:
        """The one that we have shown, as DER; empty if none."""
        certificate = self.library.SSL_get_certificate(connection_pointer(tls))
        length = self.library.i2d_X509(certificate, None) if certificate else 0
        if length <= 0:
            return b""
        data = ctypes.create_string_buffer(length)
        # It moves the pointer on, behind what it writes.
        place = c_char_p(ctypes.addressof(data))
        return data.raw if self.library.i2d_X509(certificate, byref(place)) == length else b""

    def exported(self, tls: ssl.SSLObject, label: bytes, octets: int) -> bytes:
        """Keying material of this session for another purpose (RFC 5705, with an empty context); empty if none."""
        out = ctypes.create_string_buffer(octets)
        given = (out, octets, label, len(label), b"", 0, 1)
        return out.raw if self.library.SSL_export_keying_material(connection_pointer(tls), *given) == 1 else b""

    def peer_key(self, tls: ssl.SSLObject) -> Key | None:
        """That of the peer's certificate."""
        certificate = self.library.SSL_get1_peer_certificate(connection_pointer(tls))
        if not certificate:
            return None
        try:
            return self._certificate_key(certificate)
        finally:
            self.library.X509_free(certificate)

    def own_digest(self, tls: ssl.SSLObject) -> str:
        """Of the signature that we have made in this handshake; empty if none."""
        return self._digest(tls, _GET_SIGNATURE_NID)

    def peer_digest(self, tls: ssl.SSLObject) -> str:
        return self._digest(tls, _GET_PEER_SIGNATURE_NID)

    def take_session(self, tls: ssl.SSLObject) -> SessionPointer | None:
        """One that can be resumed."""
        pointer = self.library.SSL_get1_session(connection_pointer(tls))
        if not pointer:
            return None
        session = SessionPointer(pointer, self.library.SSL_SESSION_free)
        return self._copied(session) if self.library.SSL_SESSION_is_resumable(pointer) else None

    def offer_session(self, tls: ssl.SSLObject, session: SessionPointer) -> None:
        copied = self._copied(session)
        if copied is not None:
            self.library.SSL_set_session(connection_pointer(tls), copied.pointer)
            self.library.ERR_clear_error()

    # How.

    def _copied(self, session: SessionPointer) -> SessionPointer | None:
        """A connection that ends without a close_notify spoils its session for others."""
        pointer = self.library.SSL_SESSION_dup(session.pointer)
        self.library.ERR_clear_error()
        return SessionPointer(pointer, self.library.SSL_SESSION_free) if pointer else None

    def _control(self, context: ssl.SSLContext, command: int, number: int, value: Any) -> int:
        result = int(self.library.SSL_CTX_ctrl(context_pointer(context), command, number, value))
        self.library.ERR_clear_error()
        return result

    def _digest(self, tls: ssl.SSLObject, command: int) -> str:
        nid = c_int(_NID_UNDEFINED)
        known = self.library.SSL_ctrl(connection_pointer(tls), command, 0, byref(nid))
        return _text(self.library.OBJ_nid2sn(nid.value)) if known and nid.value != _NID_UNDEFINED else ""

    def _certificate_key(self, certificate: int | None) -> Key | None:
        key = self.library.X509_get0_pubkey(certificate) if certificate else None
        self.library.ERR_clear_error()  # there are kinds of keys that OpenSSL does not know
        return self._key(key) if key else None

    def _key(self, key: int) -> Key:
        number = self.library.EVP_PKEY_get_id(key)
        bits = self.library.EVP_PKEY_get_bits(key)
        if number == _EVP_PKEY_RSA:
            return Key("RSA", bits, "")
        if number == _EVP_PKEY_DH:
            return Key("DH", bits, "")
        if number == _EVP_PKEY_EC:
            name, size = ctypes.create_string_buffer(_WORDS), c_size_t(0)
            known = self.library.EVP_PKEY_get_group_name(key, name, _WORDS, byref(size))
            self.library.ERR_clear_error()
            return Key("EC", bits, _text(name.value) if known == 1 else "")
        return Key(_text(self.library.OBJ_nid2sn(number)), bits, "")

    def _verified(self, ok: int, store: int) -> int:
        """OpenSSL's question after each certificate of a chain: may it go on? Yes (tls_verify.c)."""
        try:
            self._note(ok, store)
        except Exception:
            # It must not fail: what is told of the fault is lost, the fault is not (verify_result).
            pass
        return 1

    def _note(self, ok: int, store: int) -> None:
        library = self.library
        connection = library.X509_STORE_CTX_get_ex_data(store, self._ssl_index)
        depth = library.X509_STORE_CTX_get_error_depth(store)
        limit = library.SSL_get_verify_depth(connection) - 1
        if 0 <= limit < depth:
            library.X509_STORE_CTX_set_error(store, _CHAIN_TOO_LONG)
            ok = 0
        # SSL_get_app_data: CPython has the _SSLSocket there, which holds its SSLObject weakly.
        tls = ctypes.cast(library.SSL_get_ex_data(connection, 0), ctypes.py_object).value.owner
        certificate = library.X509_STORE_CTX_get_current_cert(store)
        if isinstance(tls, TellingTlsObject):
            subject = library.X509_get_subject_name(certificate) if certificate else None
            tls.looked_at += ((depth, ok, self._one_line(subject) or "<unknown>"),)
        if ok or not isinstance(tls, TlsObject) or (tls.verify_error and tls.verify_error.depth <= depth):
            return
        issuer = library.X509_get_issuer_name(certificate) if certificate else None
        code = library.X509_STORE_CTX_get_error(store)
        tls.verify_error = VerifyError(code, depth, self._one_line(issuer), limit)

    def _one_line(self, name: int | None) -> str:
        text = ctypes.create_string_buffer(_WORDS)
        if name:
            self.library.X509_NAME_oneline(name, text, _WORDS)
        return _text(text.value)


@functools.cache
def native() -> Native | None:
    """OpenSSL's functions; None where they cannot be had (another Python, or one with an OpenSSL inside)."""
    if sys.implementation.name != "cpython" or object.__basicsize__ != 2 * ctypes.sizeof(c_void_p):
        return None
    try:
        library = ctypes.CDLL(_ssl.__file__)
        declare(library, _FUNCTIONS)
    except (AttributeError, OSError):
        return None
    return Native(library) if _recognised(library) else None


def declare(library: Any, functions: Mapping[str, tuple[Any, tuple[Any, ...]]]) -> None:
    """Tell ctypes what they give and take. Raises AttributeError for one that is not there."""
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments


def _recognised(library: Any) -> bool:
    """Are the fields where they have always been?"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_side=True)
    connection = tls._sslobj  # type: ignore[attr-defined]
    fields = (c_void_p * 5).from_address(id(connection))
    if fields[2] or fields[4] != id(context) or not fields[3]:
        return False
    pointer = c_void_p(fields[3])
    return bool(
        library.SSL_get_ex_data(pointer, 0) == id(connection)
        and library.SSL_get_SSL_CTX(pointer) == context_pointer(context)
    )


def context_pointer(context: ssl.SSLContext) -> int:
    """Its SSL_CTX*, for a call at once."""
    return c_void_p.from_address(id(context) + object.__basicsize__).value or 0


def connection_pointer(tls: ssl.SSLObject) -> int:
    """Its SSL*, for a call at once."""
    # Private: the SSLObject is a Python object around the one that has the pointer.
    inner = tls._sslobj  # type: ignore[attr-defined]
    return c_void_p.from_address(id(inner) + object.__basicsize__ + ctypes.sizeof(c_void_p)).value or 0


def _text(octets: bytes | None) -> str:
    return (octets or b"").decode("ascii", "backslashreplace")
