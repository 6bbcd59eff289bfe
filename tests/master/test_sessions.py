"""Who waits for a session: served in turn, or turned away at the end."""

import asyncio

from gatepost.master.load import ListenerLoad, SharedLoad
from gatepost.master.sessions import Connections
from tests.smtpd.world import World


async def test_clients_wait_in_turn_and_are_turned_away_at_the_end() -> None:
    async with World() as world:
        loop = asyncio.get_running_loop()
        load = ListenerLoad(SharedLoad(1, 1).row(0), 0, 1, (), loop.time, print)
        connections = Connections(load)
        server = await loop.create_server(connections.factory(world.env), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clients = []
        for _ in range(3):
            clients.append(await asyncio.open_connection("127.0.0.1", port))
            for _ in range(1000):
                if len(connections.open) + len(connections.waiting) < len(clients):
                    await asyncio.sleep(0)
        assert (len(connections.open), len(connections.waiting)) == (1, 2)
        clients[1][1].write(b"NOOP\r\n")  # before its greeting
        clients[0][1].write(b"QUIT\r\n")
        assert (await clients[0][0].read()).endswith(b"221 2.0.0 Bye\r\n")
        assert (await clients[1][0].readline()).startswith(b"220 ")
        assert await clients[1][0].readline() == b"250 2.0.0 Ok\r\n"
        assert len(connections.waiting) == 1
        server.close()
        await connections.gone(lambda: True)
        assert (await clients[1][0].read()).startswith(b"421 4.3.2 ")
        try:
            assert await clients[2][0].read() == b""
        except ConnectionResetError:
            pass
        for _, writer in clients:
            writer.close()
