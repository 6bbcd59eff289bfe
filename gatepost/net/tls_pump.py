"""TLS over a plain transport: octets of the wire in and out of two MemoryBIOs.

Not loop.start_tls: asyncio's and uvloop's lose what is already buffered, and make it hard to refuse plaintext that was
sent ahead of the handshake (CVE-2011-0411).

Bounded buffers: input is decrypted as it comes and handed on at once, or, while the application does not read, left in
the kernel but for one piece; output goes to the wire's transport, whose flow control is the application's. What the
peer can make us say (refusals of renegotiation) stops its input while it does not read.
"""

import _ssl
import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from gatepost.net.tls_failure import TlsFailure, library_failure, lost_connection, too_slow

__all__ = ["TlsFailure", "TlsTransport", "start_tls"]

RECORD = 16384
"""Octets of plaintext in a record (RFC 8446 5.1); so much is fed at once: a MemoryBIO's memory never shrinks."""

GATHERED = 64 * 1024
"""Octets of records that are gathered within one turn of the event loop before they are written."""

LINGER = 5.0
"""Seconds that a peer has to take the alert which ends its connection."""

_NOTHING = memoryview(b"")  # no part of something large

Done = Callable[["TlsTransport", TlsFailure | None], object]


class Resumable(Protocol):
    """An earlier session."""

    def offer(self, tls: ssl.SSLObject) -> None: ...


class TlsTransport(asyncio.Transport):
    """What the application has as its transport, and the wire's transport as its protocol."""

    __slots__ = (
        "_app", "_app_paused", "_closing", "_done", "_eof", "_eof_told", "_error", "_flushing", "_held", "_incoming",
        "_inside", "_loop", "_outgoing", "_reading_stopped", "_ssl", "_timer", "_unsent", "_user_paused", "_wire",
        "_wire_deaf", "_wire_full", "truncated",
    )  # fmt: skip

    def __init__(
        self,
        wire: asyncio.Transport,
        app: asyncio.Protocol,
        ssl_object: tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO],
        done: Done,
        limit: float,
        first: bytes,
    ) -> None:
        super().__init__()
        self._wire = wire
        self._app: asyncio.Protocol | None = app
        self._ssl, self._incoming, self._outgoing = ssl_object
        self._done: Done | None = done  # None once the handshake has come to its end
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(limit, self._timed_out)
        self._held = memoryview(first)  # octets of the wire that are yet to be decrypted
        self._unsent: list[bytes] = []  # plaintext that OpenSSL takes only when it has read more
        self._error: Exception | None = None
        self._closing = False
        self._eof = False  # no more plaintext will come
        self._eof_told = False
        self._inside = False  # the application is called by us, who flush when it returns
        self._flushing = False  # a flush is due in this turn of the loop
        self._user_paused = False  # the application does not read
        self._reading_stopped = False  # nor do we
        self._wire_full = False
        self._wire_deaf = False  # the peer makes us speak, and does not listen
        self._app_paused = False  # the application has been told not to write
        self.truncated = False
        """Has the peer's side ended without a close_notify?"""

    # Facts.

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """For questions about the connection."""
        return self._ssl

    @property
    def peer_chain(self) -> tuple[bytes, ...]:
        """The peer's certificates in DER, its own first, as it has sent them: nobody has verified them."""
        # Private: public in Python 3.13 only (SSLObject.get_unverified_chain).
        chain = self._ssl._sslobj.get_unverified_chain()  # type: ignore[attr-defined]
        if chain:
            return tuple(each.public_bytes(_ssl.ENCODING_DER) for each in chain)
        # A server that resumes a session still has the client's own certificate.
        own = self._ssl.getpeercert(True)
        return (own,) if own else ()

    @property
    def reused(self) -> bool:
        """Was an earlier session resumed?"""
        return bool(self._ssl.session_reused)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "ssl_object":
            return self._ssl
        return self._wire.get_extra_info(name, default)

    # The application's side: asyncio.Transport.

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._app = protocol  # type: ignore[assignment]

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._app  # type: ignore[return-value]

    def is_closing(self) -> bool:
        return self._closing or self._wire.is_closing()

    def is_reading(self) -> bool:
        return not self._user_paused and not self._closing

    def pause_reading(self) -> None:
        self._user_paused = True
        self._regulate()

    def resume_reading(self) -> None:
        self._user_paused = False
        self._regulate()
        if self._held or self._incoming.pending or self._eof:
            self._loop.call_soon(self._advance)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._wire.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._wire.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        return self._wire.get_write_buffer_size() + self._outgoing.pending + sum(map(len, self._unsent))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._done is not None:
            raise RuntimeError("nothing can be written before the handshake is over")
        if self._closing or not data:
            return
        if self._unsent:
            self._unsent.append(bytes(data))
            return
        self._encrypt(data)
        if not self._inside and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """Say close_notify and close when all is written. The peer's is not waited for: see tls_patience.py."""
        if self._closing:
            return
        self._closing = True
        if self._done is None:
            with contextlib.suppress(ssl.SSLError):  # it would wait for the peer's
                self._ssl.unwrap()
        self._flush()
        self._wire.close()

    def abort(self) -> None:
        self._closing = True
        self._wire.abort()

    # The wire's side: asyncio.Protocol, but for connection_made: the connection was there before.

    def data_received(self, data: bytes) -> None:
        if not self._closing and not self._eof:
            self._held = memoryview(bytes(self._held) + data if self._held else data)
            self._advance()

    def eof_received(self) -> bool:
        if self._done is not None:
            self._fail(lost_connection(None))
        elif not self._closing:
            self.truncated = not self._eof
            self._eof = True
            self._advance()
        return True  # it is we who close

    def pause_writing(self) -> None:
        self._wire_full = True
        self._tell_flow()

    def resume_writing(self) -> None:
        self._wire_full = self._wire_deaf = False
        self._regulate()
        self._tell_flow()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._cancel_timer()
        app, self._app = self._app, None
        done, self._done = self._done, None
        self._unsent.clear()
        if done is not None:
            done(self, lost_connection(exc))
        if app is not None:
            app.connection_lost(self._error or exc)

    # The pump.

    def begin(self) -> None:
        """Start the handshake."""
        if not self._closing:
            self._advance()

    def _advance(self) -> None:
        """Go as far as the input that is there allows; then write, once."""
        self._inside = True
        try:
            if self._done is None or self._shake_hands():
                self._receive()
        finally:
            self._inside = False
            self._flush()

    def _shake_hands(self) -> bool:
        """True if the application may go on."""
        while True:
            try:
                self._take_portion()
                self._ssl.do_handshake()
                break
            except ssl.SSLWantReadError:
                if not self._held:
                    return False
            except ssl.SSLError as exc:
                self._fail(library_failure(exc))
                return False
        self._cancel_timer()
        done, self._done = self._done, None
        if done is not None:
            done(self, None)
        self._tell_flow()
        return not self._closing

    def _fail(self, failure: TlsFailure) -> None:
        """The handshake has failed: the peer gets its alert, the application its answer."""
        done, self._done = self._done, None
        self._end(failure)
        if done is not None:
            done(self, failure)

    def _end(self, failure: TlsFailure) -> None:
        self._closing = True
        self._error = failure
        self._cancel_timer()
        if failure.timed_out:
            self._wire.abort()
            return
        self._flush()
        self._wire.close()
        self._timer = self._loop.call_later(LINGER, self._wire.abort)

    def _receive(self) -> None:
        if self._user_paused or self._closing:
            self._regulate()
            return
        own = self._outgoing.pending
        data = self._decrypt()
        if self._wire_full and self._outgoing.pending > own:
            self._wire_deaf = True
            self._regulate()
        if self._unsent and not self._closing:
            self._send_rest()
        if data and self._app is not None:
            self._app.data_received(data)
        if self._eof and not self._eof_told and not self._closing and not self._user_paused and self._app is not None:
            self._eof_told = True
            if not self._app.eof_received():
                self.close()

    def _decrypt(self) -> bytes:
        """All plaintext that is there."""
        pieces = []
        incoming, tls = self._incoming, self._ssl
        # Without this look OpenSSL would end each turn with an exception.
        while self._held or incoming.pending or tls.pending():
            try:
                self._take_portion()
                piece = tls.read(RECORD)
            except ssl.SSLWantReadError:
                continue  # it has taken all, and waits for the rest of a record
            except ssl.SSLError as exc:
                self._end(library_failure(exc))
                break
            if not piece:
                self._eof = True
                self._held = _NOTHING  # nothing counts behind a close_notify
                break
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_portion(self) -> None:
        if self._held and not self._incoming.pending:
            self._incoming.write(self._held[:RECORD])
            self._held = self._held[RECORD:] if len(self._held) > RECORD else _NOTHING

    def _encrypt(self, data: bytes | bytearray | memoryview) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._ssl.write(rest[:RECORD]) :]
                if self._outgoing.pending >= GATHERED:
                    self._flush()
        except ssl.SSLWantReadError:
            # Only a part has come of what the peer says behind its handshake (TLSv1.3: tickets, key updates).
            self._unsent.append(bytes(rest))
            self._tell_flow()
        except ssl.SSLError as exc:
            self._end(library_failure(exc))

    def _send_rest(self) -> None:
        unsent, self._unsent = self._unsent, []
        self._encrypt(b"".join(unsent))
        self._tell_flow()

    def _flush(self) -> None:
        self._flushing = False
        if self._outgoing.pending and not self._wire.is_closing():
            self._wire.write(self._outgoing.read())

    # Flow control.

    def _regulate(self) -> None:
        """Read from the wire, or do not."""
        stop = self._wire_deaf or (self._user_paused and self._done is None)
        if stop == self._reading_stopped or self._wire.is_closing():
            return
        self._reading_stopped = stop
        if stop:
            self._wire.pause_reading()
        else:
            self._wire.resume_reading()

    def _tell_flow(self) -> None:
        """Have the application write, or not."""
        pause = self._wire_full or bool(self._unsent)
        if pause == self._app_paused or self._done is not None or self._app is None:
            return
        self._app_paused = pause
        if pause:
            self._app.pause_writing()
        else:
            self._app.resume_writing()

    # Time.

    def _timed_out(self) -> None:
        self._timer = None
        self._fail(too_slow())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def start_tls(
    transport: asyncio.Transport,
    app: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_side: bool,
    done: Done,
    limit: float,
    server_hostname: str | None = None,
    session: Resumable | ssl.SSLSession | None = None,
    first: bytes = b"",
    kind: type[TlsTransport] = TlsTransport,
) -> TlsTransport:
    """Take `transport` over from its protocol and shake hands within `limit` seconds.

    `done` is called once, never before this returns; after success `app` gets data_received (plaintext), eof_received,
    pause_writing, resume_writing and connection_lost, but no connection_made. After a failure an alert is sent, the
    connection is closed, and `app` gets connection_lost. `first`: octets already read that belong to TLS, as nothing
    behind STARTTLS does. Raises ValueError for a `server_hostname` that is none, or a `session` of another context.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    plain = session if isinstance(session, ssl.SSLSession) else None
    tls = context.wrap_bio(incoming, outgoing, server_side, server_hostname, plain)
    if session is not None and plain is None:
        cast(Resumable, session).offer(tls)
    pump = kind(transport, app, (tls, incoming, outgoing), done, limit, first)
    transport.set_protocol(pump)  # type: ignore[arg-type]
    transport.resume_reading()
    if first or not server_side:  # a server has nothing to say before it has heard something
        asyncio.get_running_loop().call_soon(pump.begin)
    return pump
