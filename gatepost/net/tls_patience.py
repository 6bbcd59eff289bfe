"""A TLS connection whose end waits for the peer's (tls_fast_shutdown_enable = no)."""

import asyncio
import ssl
from typing import Any

from gatepost.net.tls_pump import TlsTransport


class PatientTransport(TlsTransport):
    """After our close_notify the connection is closed when the peer's has come, or after as many seconds as a handshake
    may take; whatever else the peer says then ends it at once.
    """

    __slots__ = ("_patience", "_waiting")

    def __init__(
        self, wire: asyncio.Transport, app: asyncio.Protocol, ssl_object: Any, done: Any, limit: float, first: bytes
    ) -> None:
        super().__init__(wire, app, ssl_object, done, limit, first)
        self._patience = limit
        self._waiting = False

    def close(self) -> None:
        if self._closing or self._done is not None or self._eof or self._wire.is_closing():
            super().close()
            return
        self._closing = self._waiting = True
        self._timer = self._loop.call_later(self._patience, self._wire.close)
        self._wire.resume_reading()
        self._hear(bytes(self._held))
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._waiting:
            self._hear(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        if self._waiting:
            self._wire.close()
            return True
        return super().eof_received()

    def _hear(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._ssl.unwrap()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError:
            pass
        self._flush()
        self._wire.close()
