"""How far the peer's certificate is to be trusted, in Postfix's words."""

import ssl
from typing import Literal

import msgspec

from gatepost.tls.openssl import TellingTlsObject, TlsObject, VerifyError, native

Status = Literal["Anonymous", "Untrusted", "Trusted", "Verified"]

# X509_V_ERR_... of openssl/x509_vfy.h.
_NOT_YET_VALID = (9, 13)
_EXPIRED = (10, 14)
_SELF_SIGNED = 18
_NO_ISSUER = (19, 20)
_CHAIN_TOO_LONG = 22
_INVALID_PURPOSE = 26
_UNTRUSTED = 27


class Verification(msgspec.Struct, frozen=True):
    """`present`: there is a certificate; `trusted`: its chain leads to an authority that we know.

    `complaint`: the log's line if it does not, with `{peer}` for `name[address]:port`; empty for a resumed session,
    whose first handshake has had it.
    """

    present: bool
    trusted: bool
    complaint: str = ""


def verification(tls: ssl.SSLObject) -> Verification:
    """Of a finished handshake, resumed ones included."""
    openssl = native()
    if tls.getpeercert(True) is None:
        return Verification(False, False)
    if openssl is None:
        return Verification(True, False, "certificate verification failed for {peer}: OpenSSL's result is out of reach")
    error = tls.verify_error if isinstance(tls, TlsObject) else None
    if openssl.verify_result(tls) == 0 and error is None:
        return Verification(True, True)
    if error is None:
        return Verification(True, False)
    whose = "client" if tls.server_side else "server"
    return Verification(True, False, _complaint(error, whose, openssl.verify_words(error.code)))


def looked_at(tls: ssl.SSLObject) -> tuple[tuple[int, int, str], ...]:
    """Each certificate of the handshake: depth (0: the peer's), 1 if it was found good so far, subject. Where the
    context is `telling`; of a resumed session there is none.
    """
    return tls.looked_at if isinstance(tls, TellingTlsObject) else ()


def status(checked: Verification, matched: bool = False) -> Status:
    """The first word of `... TLS connection established`. `matched`: name or fingerprint is what the policy wants."""
    if not checked.present:
        return "Anonymous"
    if matched:
        return "Verified"
    return "Trusted" if checked.trusted else "Untrusted"


def _complaint(error: VerifyError, peer: str, words: str) -> str:
    """tls_verify.c, tls_log_verify_error."""
    failed = "certificate verification failed for {peer}"
    whose = "CA" if error.depth > 0 else peer
    code = error.code
    if code == _UNTRUSTED:
        return f"{failed}: not trusted by local or TLSA policy"
    if code == _SELF_SIGNED:
        return f"{failed}: self-signed certificate"
    if code in _NO_ISSUER:
        issuer = error.issuer.replace("{", "?").replace("}", "?") or "<unknown>"
        return f"{failed}: untrusted issuer {issuer}"
    if code in _NOT_YET_VALID:
        return f"{whose} {failed}: certificate not yet valid"
    if code in _EXPIRED:
        return f"{whose} {failed}: certificate has expired"
    if code == _INVALID_PURPOSE:
        return f"{failed}: not designated for use as a {whose} certificate"
    if code == _CHAIN_TOO_LONG:
        return f"{failed}: certificate chain longer than limit({error.limit})"
    return f"{whose} {failed}: num={code}:{words}"
