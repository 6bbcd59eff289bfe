"""Sessions of every kind, one after the other: memory stays where it is (`make soak` plays 100,000)."""

import asyncio
import gc
import itertools
import resource
from pathlib import Path
from typing import cast

import pytest

from gatepost.net.tls_pump import TlsFailure, TlsTransport, start_tls
from gatepost.tls import sni
from gatepost.tls.certificate import certificate_facts
from gatepost.tls.sessions import ClientSession, take_session
from gatepost.tls.summary import connection_summary, summarize
from gatepost.tls.values import ServerValues
from gatepost.tls.verification import verification
from tests.tls.handshakes import chain, client, no_warning, server

KINDS = ("full", "resumed", "aborted", "garbage", "early")
AT_ONCE = 25
WARM_UP = 1000


class World:
    def __init__(self) -> None:
        own = chain("ec")
        self.server = server(chains=(own,), ask_ccert=True)
        named = chain("ec", "named.example").certificates
        found = {"named.example": named}.get
        sni.serve_names(self.server, ServerValues(), found, no_warning)
        self.client = client(chains=(chain("ec", "client.example", False),))
        self.session: ClientSession | None = None
        self.failed = self.resumed = self.served = 0


class Serving(asyncio.Protocol):
    """Looks at all that a server looks at, and says everything again."""

    def __init__(self, world: World) -> None:
        self.world = world

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        start_tls(plain, self, self.world.server, server_side=True, limit=60, done=self.done)

    def done(self, transport: TlsTransport, failure: TlsFailure | None) -> None:
        self.transport = transport
        if failure is not None:
            self.world.failed += 1
            return
        assert connection_summary(summarize(transport.ssl_object)) and verification(transport.ssl_object).present
        assert certificate_facts(transport.peer_chain[0], "sha256").subject_CN == "client.example"
        assert sni.sni_name(transport.ssl_object) == "named.example"
        self.world.served += 1

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Visiting(asyncio.Protocol):
    def __init__(self, world: World, kind: str) -> None:
        self.world = world
        self.kind = kind
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast(asyncio.Transport, transport)
        if self.kind == "garbage":
            plain.write(b"EHLO there is no TLS here\r\n")
        elif self.kind == "early":
            plain.write(b"\x16\x03\x01\x02\x00\x01")
            plain.close()
        else:
            session = self.world.session if self.kind == "resumed" else None
            start_tls(
                plain, self, self.world.client, server_side=False, server_hostname="named.example", session=session,
                limit=60, done=self.done,
            )  # fmt: skip

    def done(self, transport: TlsTransport, failure: TlsFailure | None) -> None:
        assert failure is None
        self.transport = transport
        self.world.resumed += transport.reused
        transport.write(b"hello")

    def data_received(self, data: bytes) -> None:
        if self.kind == "garbage":
            return
        self.world.session = take_session(self.transport.ssl_object)
        if self.kind == "aborted":
            self.transport.abort()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(None)


def resident() -> int:
    """Octets of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_memory_stays_where_it_is(request: pytest.FixtureRequest) -> None:
    number: int = request.config.getoption("--tls-sessions")
    world = World()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Serving(world), "127.0.0.1", 0, backlog=1000)
    port = listener.sockets[0].getsockname()[1]
    kinds = itertools.cycle(KINDS)

    async def visits(count: int) -> None:
        for _ in range(count):
            _, visitor = await loop.create_connection(lambda: Visiting(world, next(kinds)), "127.0.0.1", port)
            await asyncio.wait_for(visitor.ended, 60)

    async def play(count: int) -> tuple[int, int]:
        """Memory and objects thereafter."""
        await asyncio.gather(*(visits(count // AT_ONCE) for _ in range(AT_ONCE)))
        gc.collect()
        return resident(), len(gc.get_objects())

    memory, objects = await play(WARM_UP)
    later, more = await play(number)
    listener.close()
    await listener.wait_closed()
    assert world.served > number / 2 and world.resumed > number / 10 and world.failed > number / 4
    assert later - memory < 3 * 1024 * 1024 + 10 * number
    assert more - objects < 500
