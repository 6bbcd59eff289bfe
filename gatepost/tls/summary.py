"""The words about a TLS connection in the log and in the Received header."""

import ssl

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """What was negotiated; empty or 0: not known, or not so (a resumed session has no signatures)."""

    protocol: str
    cipher: str
    cipher_usebits: int
    cipher_algbits: int
    key_exchange: str = ""
    key_exchange_detail: str = ""  # `(2048 bits)`, `(P-256)`
    server_signature: str = ""
    server_signature_detail: str = ""
    server_digest: str = ""
    client_signature: str = ""
    client_signature_detail: str = ""
    client_digest: str = ""


def summarize(ssl_object: ssl.SSLObject) -> Summary:
    """Of a finished handshake."""
    raise NotImplementedError


def connection_summary(summary: Summary) -> str:
    """`TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature ...`"""
    raise NotImplementedError


def received_lines(summary: Summary) -> tuple[str, ...]:
    """The `(using TLSv1.3 with cipher ...` lines of the Received header, without leading tab, first comment open.

    Postfix puts the client certificate's words and the closing parenthesis behind it.
    """
    raise NotImplementedError
