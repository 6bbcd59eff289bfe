import asyncio
import socket
from typing import cast

import pytest

from gatepost.net.connect import ConnectFailure, connect_tcp


class Collect(asyncio.Protocol):
    def __init__(self) -> None:
        self.data = b""
        self.closed = asyncio.Event()
        self.transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


@pytest.mark.parametrize("bind_address", ["", "127.0.0.5"])
async def test_connects(bind_address: str) -> None:
    peers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    protocol = await connect_tcp(Collect(), "127.0.0.1", port, limit=5, bind_address=bind_address)
    await protocol.closed.wait()
    assert protocol.data == b"hello"
    assert peers == [bind_address or "127.0.0.1"]
    server.close()
    await server.wait_closed()


async def test_nobody_listens() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailure, match=r"^Connection refused$"):
            await connect_tcp(Collect(), "127.0.0.1", sock.getsockname()[1], limit=5)


async def test_a_source_address_that_is_not_ours() -> None:
    with pytest.raises(ConnectFailure, match="assign requested address"):
        await connect_tcp(Collect(), "127.0.0.1", 25, limit=5, bind_address="192.0.2.1")


async def test_time_limit() -> None:
    # A full accept queue: further connections get no answer.
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        waiting: list[socket.socket] = []
        for _ in range(8):
            more = socket.socket()
            more.setblocking(False)
            more.connect_ex(sock.getsockname())
            waiting.append(more)
        await asyncio.sleep(0)
        try:
            protocol = await connect_tcp(Collect(), *sock.getsockname(), limit=0.05)
        except ConnectFailure as exc:
            assert str(exc) == "Connection timed out"
        else:
            cast(asyncio.Transport, protocol.transport).abort()  # some kernels queue more than they were told to
        for more in waiting:
            more.close()
