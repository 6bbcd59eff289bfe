"""TLS over a plain transport: octets of the wire in and out of two MemoryBIOs.

Not loop.start_tls: asyncio's and uvloop's lose what is already buffered, and make it hard to refuse plaintext that was
sent ahead of the handshake (CVE-2011-0411).
"""

import asyncio
import ssl
from collections.abc import Callable


class TlsFailure(Exception):
    """No handshake. `words`: OpenSSL's, for the log; `lost`: the peer went away; `timed_out`: it was too slow."""

    def __init__(self, words: str, *, lost: bool = False, timed_out: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.lost = lost
        self.timed_out = timed_out


class TlsTransport(asyncio.Transport):
    """What the application has as its transport."""

    peer_chain: tuple[bytes, ...]
    reused: bool


def start_tls(
    transport: asyncio.Transport,
    app: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    done: Callable[[TlsTransport, TlsFailure | None], None],
    limit: float,
    server_hostname: str | None = None,
    session: ssl.SSLSession | None = None,
    first: bytes = b"",
) -> TlsTransport:
    """Take `transport` over from its protocol and shake hands within `limit` seconds.

    `done` is called once, never before this returns; after success `app` gets data_received (plaintext), eof_received,
    pause_writing, resume_writing and connection_lost, but no connection_made. After a failure an alert is sent, the
    connection is closed, and `app` gets connection_lost. `first`: octets already read that belong to TLS (wrapper mode
    only: what a client sends behind STARTTLS in plaintext is no part of TLS).
    """
    raise NotImplementedError
