"""A wire in memory, peers of the standard library, and applications that keep what they are told."""

import asyncio
import functools
import ssl
from collections.abc import Callable
from typing import Any

import trustme

from gatepost.net.tls_pump import TlsFailure, TlsTransport, start_tls
from gatepost.tls.openssl import TlsObject


@functools.cache
def authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def leaf() -> trustme.LeafCert:
    return authority().issue_cert("mail.example", common_name="mail.example")


def server_side(**attributes: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = TlsObject
    context.options |= ssl.OP_NO_RENEGOTIATION
    leaf().configure_cert(context)
    return _with(context, attributes)


def client_side(**attributes: Any) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority().configure_trust(context)
    return _with(context, attributes)


def _with(context: ssl.SSLContext, attributes: dict[str, Any]) -> ssl.SSLContext:
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


class Wire(asyncio.Transport):
    """The plain transport below: nobody but the test moves its octets."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.protocol: Any = None
        self.closed = False
        self.aborted = False
        self.reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def taken(self) -> bytes:
        data = b"".join(self.written)
        self.written.clear()
        return data


class App(asyncio.Protocol):
    """`answer`: what it writes for what it reads; it remembers all calls, once each where that is the promise."""

    def __init__(self, answer: Callable[[bytes], bytes] | None = None, keep_open: bool = False) -> None:
        loop = asyncio.get_running_loop()
        self.answer = answer
        self.keep_open = keep_open
        self.got = bytearray()
        self.transport: TlsTransport
        self.failure: TlsFailure | None = None
        self.shaken: asyncio.Future[TlsFailure | None] = loop.create_future()
        self.ended: asyncio.Future[Exception | None] = loop.create_future()
        self.eof = 0
        self.blocked = False
        self.writable = asyncio.Event()
        self._arrived: list[tuple[int, asyncio.Future[None]]] = []

    def done(self, transport: TlsTransport, failure: TlsFailure | None) -> None:
        self.transport = transport
        self.failure = failure
        self.shaken.set_result(failure)  # raises if it is called twice

    def data_received(self, data: bytes) -> None:
        assert self.shaken.done() and data and not self.ended.done()
        self.got += data
        if self.answer is not None:
            self.transport.write(self.answer(data))
        for size, future in self._arrived:
            if len(self.got) >= size and not future.done():
                future.set_result(None)

    async def arrived(self, size: int) -> bytes:
        if len(self.got) < size:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._arrived.append((size, future))
            await asyncio.wait_for(future, 60)
        return bytes(self.got)

    def eof_received(self) -> bool:
        self.eof += 1
        return self.keep_open

    def pause_writing(self) -> None:
        assert not self.blocked
        self.blocked = True
        self.writable.clear()

    def resume_writing(self) -> None:
        assert self.blocked
        self.blocked = False
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


class Faults:
    """For a loop's exception handler."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def __call__(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.found.append(context)


class Peer:
    """The other end: the standard library's, by hand."""

    def __init__(self, context: ssl.SSLContext, *, server: bool, session: Any = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "mail.example"
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server, name, session)
        self.shaken = False

    def step(self, data: bytes = b"") -> bytes:
        """Take these octets of the wire; what it has to say."""
        self.incoming.write(data)
        if not self.shaken:
            try:
                self.tls.do_handshake()
                self.shaken = True
            except ssl.SSLWantReadError:
                pass
        return self.outgoing.read()

    def says(self, text: bytes) -> bytes:
        self.tls.write(text)
        return self.outgoing.read()

    def hears(self, data: bytes) -> bytes:
        self.incoming.write(data)
        heard = []
        try:
            while piece := self.tls.read(65536):
                heard.append(piece)
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        return b"".join(heard)


async def turns(number: int = 3) -> None:
    """Let the loop do what is due."""
    for _ in range(number):
        await asyncio.sleep(0)


def pumped(context: ssl.SSLContext, app: App, *, server: bool, **more: Any) -> tuple[Wire, TlsTransport]:
    """A pump on a wire in memory."""
    wire = Wire()
    more.setdefault("limit", 60)
    name = None if server else "mail.example"
    transport = start_tls(wire, app, context, server_side=server, server_hostname=name, done=app.done, **more)
    return wire, transport


async def shake(wire: Wire, peer: Peer) -> None:
    """Move octets until the peer has nothing more to say."""
    data = peer.step()
    for _ in range(8):
        await turns()
        if data:
            wire.protocol.data_received(data)
        data = peer.step(wire.taken())
    assert peer.shaken
