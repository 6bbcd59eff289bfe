"""The pump on a wire in memory: every cut, every wrong octet, every order of events."""

import _ssl
import asyncio
import ctypes
import errno
import gc
import ssl
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from gatepost.net import tls_pump
from gatepost.net.tls_pump import start_tls
from gatepost.tls import openssl
from tests.net.tls_world import (
    App,
    Faults,
    Peer,
    Wire,
    authority,
    client_side,
    leaf,
    pumped,
    server_side,
    shake,
    turns,
)

ALERT = 0x15


def on_both_loops(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for factory in (asyncio.new_event_loop, uvloop.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            faults = Faults()
            runner.get_loop().set_exception_handler(faults)
            runner.run(test())
        assert not faults.found


CUTS = st.lists(st.integers(1, 400), min_size=1, max_size=40)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut into pieces of these lengths, again and again."""
    cut, position, found = 0, 0, []
    while position < len(data):
        length = cuts[cut % len(cuts)]
        found.append(data[position : position + length])
        position += length
        cut += 1
    return found


@given(cuts=CUTS, server=st.booleans(), old=st.booleans())
def test_records_may_be_cut_anywhere(cuts: list[int], server: bool, old: bool) -> None:
    version = {"maximum_version": ssl.TLSVersion.TLSv1_2} if old else {}

    async def play() -> None:
        app = App(answer=lambda data: data.upper())
        context, other = (server_side(), client_side(**version)) if server else (client_side(**version), server_side())
        wire, _ = pumped(context, app, server=server)
        peer = Peer(other, server=not server)
        for _ in range(8):
            await turns()
            for piece in pieces(peer.step(wire.taken()), cuts):
                wire.protocol.data_received(piece)
        assert await app.shaken is None and peer.shaken
        text = b"mail from:<x@example>\r\n" * 2000
        for piece in pieces(peer.says(text), cuts):
            wire.protocol.data_received(piece)
        await turns()
        assert bytes(app.got) == text
        assert peer.hears(wire.taken()) == text.upper()
        app.transport.close()
        await turns()
        assert app.ended.done() and await app.ended is None

    asyncio.run(play())


@given(data=st.binary(min_size=6, max_size=600), server=st.booleans(), cuts=CUTS)
def test_garbage_instead_of_a_handshake(data: bytes, server: bool, cuts: list[int]) -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side() if server else client_side(), app, server=server)
        await turns()
        for piece in pieces(data, cuts):
            wire.protocol.data_received(piece)
        wire.protocol.eof_received()
        await turns()
        failure = await app.shaken
        assert failure is not None and failure.words and not app.got
        assert failure.lost or failure.words.startswith("error:0A0")
        assert wire.closed and app.ended.done()

    asyncio.run(play())


@given(where=st.integers(0, 5000), bit=st.integers(0, 7), old=st.booleans())
def test_a_wrong_bit_on_the_way(where: int, bit: int, old: bool) -> None:
    """Nothing but what the peer has said is ever heard."""
    version = {"maximum_version": ssl.TLSVersion.TLSv1_2} if old else {}

    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True)
        peer = Peer(client_side(**version), server=False)
        text = b"the very text " * 200
        left = where
        said = False
        for _ in range(8):
            await turns()
            try:
                data = bytearray(peer.step(wire.taken()))
                if peer.shaken and not said:
                    data += peer.says(text)
                    said = True
            except ssl.SSLError:
                break
            if 0 <= left < len(data):
                data[left] ^= 1 << bit
            left -= len(data)
            wire.protocol.data_received(bytes(data))
        await turns()
        wire.protocol.eof_received()
        await turns()
        assert text.startswith(bytes(app.got))
        assert app.shaken.done() and app.ended.done()

    asyncio.run(play())


def test_garbage_behind_the_handshake() -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True)
        await shake(wire, Peer(client_side(), server=False))
        wire.protocol.data_received(b"QUIT\r\n" * 4)
        await turns()
        failure = await app.ended
        assert isinstance(failure, tls_pump.TlsFailure) and failure.words.startswith("error:0A")
        assert not app.got and wire.taken() != b""  # the alert

    on_both_loops(play)


def test_a_failure_sends_an_alert_and_says_why() -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(minimum_version=ssl.TLSVersion.TLSv1_3), app, server=True)
        await turns()
        hello = Peer(client_side(maximum_version=ssl.TLSVersion.TLSv1_2), server=False).step()
        wire.protocol.data_received(hello)
        await turns()
        assert wire.taken()[0] == ALERT
        failure = await app.shaken
        assert failure is not None and not failure.lost and not failure.timed_out
        assert failure.words == "error:0A000102:SSL routines::unsupported protocol"
        assert await app.ended is failure

    on_both_loops(play)


def test_the_alert_of_a_peer_has_its_number() -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True)
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
        peer = Peer(stranger, server=False)
        await turns()
        wire.protocol.data_received(peer.step())
        await turns()
        with pytest.raises(ssl.SSLCertVerificationError):
            peer.step(wire.taken())
        wire.protocol.data_received(peer.outgoing.read())
        await turns()
        failure = await app.shaken
        assert failure is not None
        assert failure.words == "error:0A000418:SSL routines::tlsv1 alert unknown ca:SSL alert number 48"

    on_both_loops(play)


def test_nobody_answers() -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True, limit=0.01)
        failure = await asyncio.wait_for(app.shaken, 30)
        assert failure is not None and failure.timed_out and failure.words == "Connection timed out"
        await turns()
        assert wire.aborted and app.ended.done()

    on_both_loops(play)


@pytest.mark.parametrize(
    ("error", "words"),
    [(None, "lost connection"), (ConnectionResetError(errno.ECONNRESET, ""), "Connection reset by peer")],
)
def test_the_peer_goes_away_in_the_handshake(error: Exception | None, words: str) -> None:
    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True)
        await turns()
        wire.protocol.data_received(Peer(client_side(), server=False).step()[:100])
        if error is None:
            assert wire.protocol.eof_received()
        else:
            wire.closed = True
            wire.protocol.connection_lost(error)
        failure = await app.shaken
        assert failure is not None and failure.lost and failure.words == words
        await turns()
        assert app.ended.done()

    on_both_loops(play)


def test_done_comes_neither_early_nor_twice() -> None:
    async def play() -> None:
        app = App()
        wire = Wire()
        transport = start_tls(
            wire, app, server_side(), server_side=True, done=app.done, limit=60, first=b"GET / HTTP/1.0\r\n\r\n"
        )
        assert not app.shaken.done()
        with pytest.raises(RuntimeError):
            transport.write(b"220 too early\r\n")
        await turns()
        failure = await app.shaken
        assert failure is not None and "http request" in failure.words
        transport.close()
        await turns()
        assert app.ended.done()

    on_both_loops(play)


def test_closed_in_the_handshake() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        transport.close()
        await turns()
        failure = await app.shaken
        assert failure is not None and failure.lost
        assert wire.closed and not wire.written and app.ended.done()

    on_both_loops(play)


def test_first_octets_and_text_in_one_piece_with_the_handshake() -> None:
    async def play() -> None:
        app = App(answer=lambda data: b"heard " + data)
        peer = Peer(client_side(), server=False)
        hello = peer.step()
        wire, _ = pumped(server_side(), app, server=True, first=hello[:70])
        wire.protocol.data_received(hello[70:])  # before anything else has its turn
        await turns()
        last = peer.step(wire.taken()) + peer.says(b"at once")
        wire.protocol.data_received(last)
        assert app.shaken.done() and bytes(app.got) == b"at once"
        assert len(wire.written) == 1  # tickets and answer
        assert peer.hears(wire.taken()) == b"heard at once"

    on_both_loops(play)


def test_one_write_a_turn() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(), server=False)
        await shake(wire, peer)
        for number in range(10):
            transport.write(b"%d\r\n" % number)
        transport.writelines([b"the ", b"end"])
        transport.write(b"")
        assert not wire.written
        await turns()
        assert len(wire.written) == 1
        assert peer.hears(wire.taken()).endswith(b"9\r\nthe end")
        transport.write(b"x" * tls_pump.GATHERED)
        assert wire.written  # so much does not wait
        await turns()
        assert transport.get_write_buffer_size() == 0

    on_both_loops(play)


def test_close_says_close_notify() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(), server=False)
        await shake(wire, peer)
        transport.write(b"221 Bye\r\n")
        transport.close()
        transport.write(b"ignored")
        assert transport.is_closing() and wire.closed
        assert peer.hears(wire.taken()) == b"221 Bye\r\n"
        assert peer.tls.read(10) == b""  # an orderly end: without it there would be an SSLWantReadError
        await turns()
        assert app.ended.done() and await app.ended is None

    on_both_loops(play)


@pytest.mark.parametrize("keep_open", [True, False])
@pytest.mark.parametrize("truncated", [True, False])
def test_the_peer_ends_first(keep_open: bool, truncated: bool) -> None:
    async def play() -> None:
        app = App(keep_open=keep_open)
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(), server=False)
        await shake(wire, peer)
        last = peer.says(b"QUIT\r\n")
        if not truncated:
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.unwrap()
            last += peer.outgoing.read() + b"garbage behind the end"
        wire.protocol.data_received(last)
        assert wire.protocol.eof_received()
        assert bytes(app.got) == b"QUIT\r\n" and app.eof == 1
        assert transport.truncated is truncated
        assert transport.is_closing() is not keep_open
        if keep_open:
            transport.write(b"221 Bye\r\n")
            await turns()
            assert peer.hears(wire.taken()) == b"221 Bye\r\n"
        transport.abort()
        await turns()
        assert app.ended.done()

    on_both_loops(play)


def test_nothing_is_heard_while_the_application_does_not_read() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(), server=False)
        await shake(wire, peer)
        transport.pause_reading()
        assert not wire.reading and not transport.is_reading()
        wire.protocol.data_received(peer.says(b"one"))  # on its way already
        wire.protocol.data_received(peer.says(b"two"))
        wire.protocol.eof_received()
        await turns()
        assert not app.got and not app.eof
        transport.resume_reading()
        assert not app.got  # not from within
        await turns()
        assert bytes(app.got) == b"onetwo" and app.eof == 1 and wire.reading
        transport.abort()

    on_both_loops(play)


def test_flow_control_is_the_wires() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        wire.protocol.pause_writing()
        await shake(wire, Peer(client_side(), server=False))
        assert app.blocked  # the application is told once it is one
        wire.protocol.resume_writing()
        assert not app.blocked
        wire.protocol.pause_writing()
        assert app.blocked
        transport.abort()

    on_both_loops(play)


def _new_handshake(peer: Peer) -> bytes:
    """What a client says that wants another handshake (TLSv1.2)."""
    library = ctypes.CDLL(_ssl.__file__)
    library.SSL_renegotiate.argtypes = [ctypes.c_void_p]
    assert library.SSL_renegotiate(openssl.connection_pointer(peer.tls)) == 1
    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    return peer.outgoing.read()


def test_renegotiation_is_not_allowed() -> None:
    async def play() -> None:
        app = App(answer=lambda data: data)
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(maximum_version=ssl.TLSVersion.TLSv1_2), server=False)
        await shake(wire, peer)
        wire.protocol.data_received(_new_handshake(peer))
        peer.incoming.write(wire.taken())
        with pytest.raises(ssl.SSLError, match="NO_RENEGOTIATION"):
            peer.tls.do_handshake()
        assert not app.got
        transport.abort()

    on_both_loops(play)


def test_a_peer_that_makes_us_speak_and_does_not_listen_is_not_read_from() -> None:
    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(maximum_version=ssl.TLSVersion.TLSv1_2), server=False)
        await shake(wire, peer)
        wire.protocol.pause_writing()
        wire.protocol.data_received(_new_handshake(peer))
        assert wire.taken()[0] == ALERT and not wire.reading
        transport.pause_reading()
        transport.resume_reading()
        assert not wire.reading
        wire.protocol.resume_writing()
        assert wire.reading
        transport.abort()

    on_both_loops(play)


def test_writing_while_a_ticket_is_half_read() -> None:
    """OpenSSL takes nothing to write between two records of one message: the pump keeps it, and blocks the writer."""

    async def play() -> None:
        server = server_side(verify_mode=ssl.CERT_REQUIRED)
        authority().configure_trust(server)
        library = ctypes.CDLL(_ssl.__file__)
        library.SSL_CTX_ctrl.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p]
        set_max_send_fragment = 52
        assert library.SSL_CTX_ctrl(openssl.context_pointer(server), set_max_send_fragment, 512, None)
        client = client_side()
        leaf().configure_cert(client)  # which makes the ticket large
        app = App()
        wire, transport = pumped(client, app, server=False)
        peer = Peer(server, server=True)
        tickets = b""
        for _ in range(4):
            await turns()
            said = peer.step(wire.taken())
            if peer.shaken:
                tickets = said
                break
            wire.protocol.data_received(said)
        assert await app.shaken is None
        record = 5 + int.from_bytes(tickets[3:5], "big")
        wire.protocol.data_received(tickets[:record])
        transport.write(b"EHLO x\r\n")
        transport.write(b"MAIL\r\n")
        await turns()
        assert app.blocked and transport.get_write_buffer_size() == len(b"EHLO x\r\nMAIL\r\n")
        wire.protocol.data_received(tickets[record:])
        await turns()
        assert not app.blocked
        assert peer.hears(wire.taken()) == b"EHLO x\r\nMAIL\r\n"
        transport.abort()

    on_both_loops(play)


def test_an_end_that_the_peer_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_pump, "LINGER", 0.01)

    async def play() -> None:
        app = App()
        wire, _ = pumped(server_side(), app, server=True)
        gone = asyncio.get_running_loop().create_future()

        class Stuck(Wire):
            def close(self) -> None:
                self.closed = True

            def abort(self) -> None:
                gone.set_result(None)
                self.protocol.connection_lost(None)

        stuck = Stuck()
        stuck.protocol = wire.protocol
        wire.protocol._wire = stuck
        await turns()
        wire.protocol.data_received(b"garbage that is no hello")
        await asyncio.wait_for(gone, 30)
        assert app.shaken.done() and app.ended.done()

    on_both_loops(play)


def test_facts() -> None:
    async def play() -> None:
        server = server_side(verify_mode=ssl.CERT_OPTIONAL)
        authority().configure_trust(server)
        client = client_side()
        leaf().configure_cert(client)
        app = App()
        wire, transport = pumped(server, app, server=True)
        peer = Peer(client, server=False)
        await shake(wire, peer)
        own = ssl.PEM_cert_to_DER_cert(leaf().cert_chain_pems[0].bytes().decode())
        assert transport.peer_chain[0] == own
        assert not transport.reused
        assert transport.get_extra_info("ssl_object") is transport.ssl_object
        assert transport.get_extra_info("peername") is None
        assert transport.get_protocol() is app
        assert not transport.can_write_eof()
        assert not hasattr(transport, "__dict__")  # small: there are thousands
        peer.hears(peer.step())
        again = App()
        wire, transport = pumped(server, again, server=True)
        await shake(wire, Peer(client, server=False, session=peer.tls.session))
        assert transport.reused
        assert transport.peer_chain == (own,)

    on_both_loops(play)


def test_the_end_of_a_session_leaves_nothing() -> None:
    """No cycle: what is closed is gone at once, not when the collector comes."""

    async def play() -> None:
        contexts = server_side(), client_side()
        left: list[weakref.ref[Any]] = []

        async def session(how: int) -> None:
            app = App(answer=lambda data: data)
            wire, transport = pumped(contexts[0], app, server=True)
            peer = Peer(contexts[1], server=False)
            left.extend((weakref.ref(app), weakref.ref(transport.ssl_object)))
            if how == 0:
                wire.protocol.data_received(b"garbage instead of a hello")
            else:
                await shake(wire, peer)
                wire.protocol.data_received(peer.says(b"x"))
                if how == 1:
                    transport.close()
                elif how == 2:
                    wire.protocol.data_received(b"garbage behind the handshake")
                else:
                    wire.closed = True
                    wire.protocol.connection_lost(ConnectionResetError(errno.ECONNRESET, ""))
            await turns()
            assert app.ended.done()
            wire.protocol = None  # as asyncio's and uvloop's transports do

        gc.collect()
        gc.disable()
        try:
            for how in range(4):
                await session(how)
            await turns()
            assert [each() for each in left] == [None] * len(left)
        finally:
            gc.enable()

    asyncio.run(play())


def test_large_texts_leave_no_large_buffers() -> None:
    """A MemoryBIO keeps the most that it has ever held, and there are thousands of connections."""

    async def play() -> None:
        app = App()
        wire, transport = pumped(server_side(), app, server=True)
        peer = Peer(client_side(), server=False)
        await shake(wire, peer)
        fed: list[int] = []
        real = wire.protocol._incoming

        class Spied:
            pending = property(lambda _: real.pending)

            def write(self, data: bytes) -> None:
                fed.append(len(data))
                real.write(data)

        wire.protocol._incoming = Spied()
        wire.protocol.data_received(peer.says(b"x" * 1_000_000))
        assert len(app.got) == 1_000_000 and max(fed) <= tls_pump.RECORD
        transport.write(b"y" * 1_000_000)
        assert wire.written and max(map(len, wire.written)) < 2 * tls_pump.GATHERED
        await turns()
        assert peer.hears(wire.taken()) == b"y" * 1_000_000
        transport.pause_reading()
        for text in (b"a" * 100_000, b"b" * 100_000):
            wire.protocol.data_received(peer.says(text))
        transport.resume_reading()
        await turns()
        assert app.got.endswith(b"a" * 100_000 + b"b" * 100_000)
        transport.abort()

    on_both_loops(play)
