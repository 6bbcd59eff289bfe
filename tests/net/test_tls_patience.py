"""Ends of connections that wait for the peer's."""

import contextlib
import ssl

import pytest

from gatepost.net.tls_patience import PatientTransport
from tests.net.tls_world import App, Peer, Wire, client_side, pumped, server_side, shake, turns


async def closed(limit: float = 60.0) -> tuple[Wire, App, Peer]:
    """A connection that we have closed."""
    app = App()
    wire, _ = pumped(server_side(), app, server=True, kind=PatientTransport, limit=limit)
    peer = Peer(client_side(), server=False)
    await shake(wire, peer)
    app.transport.close()
    await turns()
    with contextlib.suppress(ssl.SSLError):
        peer.hears(wire.taken())
    return wire, app, peer


async def test_it_is_closed_once_the_peer_has_closed() -> None:
    wire, app, peer = await closed()
    assert not wire.closed and not app.ended.done() and app.transport.is_closing()
    peer.tls.unwrap()
    for octet in peer.outgoing.read():
        assert not wire.closed
        wire.protocol.data_received(bytes([octet]))
    await turns()
    assert wire.closed and await app.ended is None


@pytest.mark.parametrize("data", [b"", b"\x17\x03\x03\0\x05hello", b"hello"])
async def test_what_else_may_come(data: bytes) -> None:
    """The end of the stream, or what is no close_notify."""
    wire, app, _ = await closed()
    if data:
        wire.protocol.data_received(data)
    else:
        assert wire.protocol.eof_received()
    await turns()
    assert wire.closed and app.ended.done()


async def test_a_peer_that_says_nothing() -> None:
    wire, app, _ = await closed(limit=0.2)
    await app.ended
    assert wire.closed
