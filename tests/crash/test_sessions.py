"""No socket is left behind by a loop that ends: the warning would be that of a test which has nothing to do with it."""

import asyncio
import gc
import socket

from tests.crash.sessions import kept, leave

MUCH = b"x" * 20_000_000


def test_a_session_whose_client_reads_nothing() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(MUCH)
        begun.set()
        await writer.drain()

    async def main() -> socket.socket:
        server = await asyncio.start_server(kept(serve), "127.0.0.1", 0)
        client = socket.create_connection(server.sockets[0].getsockname())
        await begun.wait()
        server.close()
        return client

    begun = asyncio.Event()
    asyncio.run(main()).close()
    gc.collect()


def test_a_client_whose_server_reads_nothing() -> None:
    async def main(listener: socket.socket) -> None:
        _, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(MUCH)
        leave(writer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        asyncio.run(main(listener))
    gc.collect()
