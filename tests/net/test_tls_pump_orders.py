"""Whatever happens in whatever order: each side hears a beginning of what the other has said, and each ends once."""

import asyncio
import errno
import ssl
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.net.tls_world import App, Faults, Peer, Wire, client_side, pumped, server_side, turns

OURS = st.sampled_from(["write", "large", "pause", "resume", "close", "abort"])
THEIRS = st.sampled_from(["step", "byte", "say", "notify", "eof", "lost", "full", "empty", "turn", "garbage"])


class World:
    def __init__(self, app: App, wire: Wire, peer: Peer) -> None:
        self.app, self.wire, self.peer = app, wire, peer
        self.on_its_way = b""
        self.said = b""  # by the peer
        self.wrote = b""  # by us
        self.heard = b""  # by the peer
        self.full = self.ended = self.clean = False

    def alive(self) -> bool:
        return not self.wire.closed and not self.ended

    def deliver(self, size: int) -> None:
        """Octets of the peer arrive, if there are any and somebody reads them."""
        if self.alive() and self.wire.reading and self.on_its_way:
            piece, self.on_its_way = self.on_its_way[:size], self.on_its_way[size:]
            self.wire.protocol.data_received(piece)

    def do(self, what: str) -> None:
        getattr(self, f"do_{what}")()

    def do_step(self) -> None:
        data = self.wire.taken()
        if self.peer.shaken:
            self.heard += self.peer.hears(data)
        else:
            self.on_its_way += self.peer.step(data)
        self.deliver(len(self.on_its_way))

    def do_byte(self) -> None:
        self.deliver(1)

    def do_say(self) -> None:
        if self.peer.shaken and not self.clean:
            text = b"%d " % len(self.said)
            self.on_its_way += self.peer.says(text)
            self.said += text

    def do_notify(self) -> None:
        if self.peer.shaken and not self.clean:
            self.clean = True
            try:
                self.peer.tls.unwrap()
            except ssl.SSLError:
                pass
            self.on_its_way += self.peer.outgoing.read()

    def do_garbage(self) -> None:
        self.on_its_way += b"\x17\x03\x03\x00\x02xx"

    def do_eof(self) -> None:
        if self.alive():
            self.ended = True
            assert self.wire.protocol.eof_received() is True

    def do_lost(self) -> None:
        if not self.wire.closed:
            self.wire.closed = True
            self.wire.protocol.connection_lost(ConnectionResetError(errno.ECONNRESET, ""))

    def do_full(self) -> None:
        if not self.full and not self.wire.closed:
            self.full = True
            self.wire.protocol.pause_writing()

    def do_empty(self) -> None:
        if self.full and not self.wire.closed:
            self.full = False
            self.wire.protocol.resume_writing()

    def do_write(self) -> None:
        self.write(b"%d " % len(self.wrote))

    def do_large(self) -> None:
        self.write(b"x" * 70000)

    def write(self, text: bytes) -> None:
        transport = self.app.transport
        if not transport.is_closing():
            self.wrote += text
        transport.write(text)

    def do_pause(self) -> None:
        self.app.transport.pause_reading()

    def do_resume(self) -> None:
        self.app.transport.resume_reading()

    def do_close(self) -> None:
        self.app.transport.close()

    def do_abort(self) -> None:
        self.app.transport.abort()


@given(st.lists(OURS | THEIRS | st.just("step") | st.just("step") | st.just("turn"), max_size=40), st.booleans())
def test_any_order(orders: list[str], keep_open: bool) -> None:
    async def play() -> None:
        loop = asyncio.get_running_loop()
        faults = Faults()
        loop.set_exception_handler(faults)
        app = App(keep_open=keep_open)
        wire, transport = pumped(server_side(), app, server=True)
        world = World(app, wire, Peer(client_side(), server=False))
        for order in orders:
            ours: Any = order in ("write", "large", "pause", "resume", "close", "abort")
            if order == "turn" or (ours and (not app.shaken.done() or app.failure is not None)):
                await turns(2)
                continue
            try:
                world.do(order)
            except ssl.SSLError:
                pass  # the peer's: it has heard an alert, or speaks behind its end
            if not wire.reading:
                assert app.shaken.done()
        await turns()
        try:
            world.do_step()
        except ssl.SSLError:
            pass
        assert world.said.startswith(bytes(app.got))
        assert world.wrote.startswith(world.heard)
        transport.abort()
        await turns()
        assert app.shaken.done() and app.ended.done() and app.eof <= 1
        assert not faults.found

    asyncio.run(play())
