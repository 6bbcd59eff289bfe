"""Session tickets that several contexts, or the same one made anew, understand.

A context makes ticket keys of its own when it is made. Processes that inherit it by fork share them, so that a client
may resume at any of them. Contexts made separately do not, nor does a context understand the tickets of the one that it
replaces (new certificate files, reload): give them the same keys. Who has the keys can read what was said in resumed
TLSv1.2 sessions: they are never written to a file, a log or a repr, and are best changed when the server starts.

OpenSSL encrypts the tickets with AES-256-CBC and HMAC-SHA256: that is tls_session_ticket_cipher's default; other
ciphers would need a callback per ticket.
"""

import ssl

from gatepost.tls.openssl import native

KEYS_SIZE = 80
"""Octets: key name 16, HMAC key 32, AES-256 key 32 (OpenSSL 3)."""


def set_keys(context: ssl.SSLContext, keys: bytes) -> bool:
    """From now on `context` issues and accepts tickets under `keys`.

    False if it cannot be done (openssl.native): then clients just cannot resume at another context. Raises ValueError
    for keys of another size.
    """
    openssl = native()
    if len(keys) != KEYS_SIZE:
        raise ValueError("ticket keys of another size")
    return openssl is not None and openssl.set_ticket_keys(context, keys)
