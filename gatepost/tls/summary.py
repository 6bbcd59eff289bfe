"""The words about a TLS connection in the log and in the Received header."""

import ssl

import msgspec

from gatepost.tls.openssl import Key, Native, native


class Summary(msgspec.Struct, frozen=True):
    """What was negotiated; empty or 0: not known, or not so (before TLSv1.3 only the cipher is told)."""

    protocol: str
    cipher: str
    cipher_usebits: int
    cipher_algbits: int
    key_exchange: str = ""
    key_exchange_detail: str = ""  # `2048 bits`, or a curve
    server_signature: str = ""
    server_signature_detail: str = ""
    server_digest: str = ""
    client_signature: str = ""
    client_signature_detail: str = ""
    client_digest: str = ""


def negotiated(tls: ssl.SSLObject) -> Summary:
    """Of a finished handshake what is cheap to know: protocol, cipher and its bits in use (as both numbers)."""
    name, protocol, bits = tls.cipher() or ("", "", 0)
    return Summary(tls.version() or protocol, name, bits, bits)


def summarize(tls: ssl.SSLObject) -> Summary:
    """All of it (tls_misc.c, tls_get_signature_params). It costs a twentieth of a session."""
    known, openssl = negotiated(tls), native()
    if openssl is None:
        return known
    used, possible = openssl.cipher_bits(tls)
    version, name = known.protocol, known.cipher
    if version != "TLSv1.3":
        return Summary(version, name, used, possible)
    exchange, exchange_detail = _words(openssl.key_exchange(tls), {"DH": "DHE", "EC": "ECDHE"})
    server, client = _signatures(openssl, tls)
    return Summary(version, name, used, possible, exchange, exchange_detail, *server, *client)


Signature = tuple[str, str, str]


def _signatures(openssl: Native, tls: ssl.SSLObject) -> tuple[Signature, Signature]:
    """The server's and the client's: name, detail, digest. A resumed session has certificates, but no new digests."""
    digest = openssl.own_digest(tls)
    # A client may have a certificate that it was not asked for.
    key = openssl.own_key(tls) if tls.server_side or digest else None
    own = (*_words(key, _SIGNATURES), digest if key is not None else "")
    key = openssl.peer_key(tls)
    peer = (*_words(key, _SIGNATURES), openssl.peer_digest(tls) if key is not None else "")
    return (own, peer) if tls.server_side else (peer, own)


_SIGNATURES = {"RSA": "RSA-PSS", "EC": "ECDSA"}
"""TLSv1.3 signs with RSA in no other way (RFC 8446 4.2.3)."""


def _words(key: Key | None, names: dict[str, str]) -> tuple[str, str]:
    if key is None:
        return "", ""
    if key.curve:
        return names.get(key.kind, key.kind), key.curve
    return names.get(key.kind, key.kind), f"{key.bits} bits" if key.kind in ("RSA", "DH") else ""


def connection_summary(summary: Summary) -> str:
    """`TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ...`"""
    parts = [f"{summary.protocol} with cipher {_cipher(summary)}"]
    if summary.key_exchange:
        parts.append(f"key-exchange {_detailed(summary.key_exchange, summary.key_exchange_detail)}")
    if summary.server_signature:
        parts.append(f"server-signature {_detailed(summary.server_signature, summary.server_signature_detail)}")
        if summary.server_digest:
            parts.append(f"server-digest {summary.server_digest}")
    if summary.client_signature:
        parts.append(f"client-signature {_detailed(summary.client_signature, summary.client_signature_detail)}")
        if summary.client_digest:
            parts.append(f"client-digest {summary.client_digest}")
    return " ".join(parts)


def received_lines(summary: Summary) -> tuple[str, ...]:
    """The comment that smtpd_tls_received_header adds, as lines without the leading tab.

    Another one, on the client's certificate, follows it.
    """
    lines = [f"(using {summary.protocol} with cipher {_cipher(summary)}"]
    if summary.key_exchange:
        line = f" key-exchange {_detailed(summary.key_exchange, summary.key_exchange_detail)}"
        if summary.server_signature:
            line += f" server-signature {_detailed(summary.server_signature, summary.server_signature_detail)}"
            if summary.server_digest:
                line += f" server-digest {summary.server_digest}"
        lines.append(line)
    if summary.client_signature:
        line = f" client-signature {_detailed(summary.client_signature, summary.client_signature_detail)}"
        if summary.client_digest:
            line += f" client-digest {summary.client_digest}"
        lines.append(line)
    lines[-1] += ")"
    return tuple(lines)


def _cipher(summary: Summary) -> str:
    return f"{summary.cipher} ({summary.cipher_usebits}/{summary.cipher_algbits} bits)"


def _detailed(name: str, detail: str) -> str:
    return f"{name} ({detail})" if detail else name
