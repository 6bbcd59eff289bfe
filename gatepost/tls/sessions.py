"""What a client comes back with: sessions to be resumed.

Not by SSLObject.session: in CPython 3.10 to 3.12 each look at it leaves a copy of the session behind for good, some
7,000 octets with the server's certificate in it.
"""

import ssl

from gatepost.tls.openssl import SessionPointer, native


class ClientSession:
    """A session, or the ticket for one. It holds keys: no part of it is ever shown."""

    __slots__ = ("_context", "_kept")

    def __init__(self, context: ssl.SSLContext, kept: "SessionPointer | ssl.SSLSession") -> None:
        self._context = context
        self._kept = kept

    def offer(self, tls: ssl.SSLObject) -> None:
        """Have `tls` ask its server to resume; before its handshake. Raises ValueError for one of another context.

        Another context may have other authorities, and what was found of the certificate stays with the session.
        """
        if tls.context is not self._context:
            raise ValueError("Session refers to a different SSLContext.")
        openssl = native()
        if isinstance(self._kept, ssl.SSLSession):
            tls.session = self._kept
        elif openssl is not None:
            openssl.offer_session(tls, self._kept)


def take_session(tls: ssl.SSLObject) -> ClientSession | None:
    """What the server has given us to come back with; None as long as there is nothing.

    A TLSv1.3 server sends it with its first octets behind the handshake, so ask when the connection ends.
    """
    openssl = native()
    if openssl is None:
        session: ssl.SSLSession | None = tls.session
        return ClientSession(tls.context, session) if session is not None and session.has_ticket else None
    taken = openssl.take_session(tls)
    return ClientSession(tls.context, taken) if taken is not None else None
