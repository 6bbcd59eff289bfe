"""Connections to policy servers: kept, shared, given up, made again."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from gatepost.net.policy_client import Leases, PolicyPool, PolicyPools, PolicyTimes
from gatepost.net.policy_connection import PolicyConnection
from tests.policy_server import PolicyServer
from tests.smtpd.world import until

REQUEST = b"request=smtpd_access_policy\n\n"
QUICK = PolicyTimes(timeout=5, retry_delay=0.01)


def pool_of(server: PolicyServer, times: PolicyTimes = QUICK, limit: int = 10) -> PolicyPool:
    return PolicyPool(f"127.0.0.1:{server.port}", unix_path="", times=times, limit=limit)


class Asker:
    """Asks, and keeps what is warned of."""

    def __init__(self, pool: PolicyPool) -> None:
        self.pool = pool
        self.warnings: list[str] = []

    async def ask(self, leases: Leases | None = None) -> bytes | None:
        return await self.pool.ask(REQUEST, leases, self.warnings.append)


class Slow(PolicyServer):
    """Answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(["action=dunno"])
        self.go = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        while True:
            self.requests.append((await reader.readuntil(b"\n\n")).decode())
            await self.go.wait()
            writer.write(b"action=dunno\n\n")


async def test_a_connection_is_used_again() -> None:
    async with PolicyServer(["action=one", "action=two"]) as server:
        asker = Asker(pool_of(server))
        assert [await asker.ask(), await asker.ask()] == [b"one", b"two"]
        assert server.connections == [1, 1]
        assert server.requests[0].encode() == REQUEST


async def test_questions_at_the_same_time_have_a_connection_each() -> None:
    async with Slow() as server:
        asker = Asker(pool_of(server))
        asked = [asyncio.ensure_future(asker.ask()) for _ in range(5)]
        await until(lambda: len(server.requests) == 5)
        server.go.set()
        assert await asyncio.gather(*asked) == [b"dunno"] * 5
        assert server.accepted == 5


async def test_no_more_connections_than_there_may_be() -> None:
    async with Slow() as server:
        asker = Asker(pool_of(server, limit=2))
        asked = [asyncio.ensure_future(asker.ask()) for _ in range(7)]
        await until(lambda: len(server.requests) == 2)
        server.go.set()
        assert await asyncio.gather(*asked) == [b"dunno"] * 7
        assert server.accepted == 2


async def test_who_waits_too_long_for_a_connection_gets_none() -> None:
    async with Slow() as server:
        asker = Asker(pool_of(server, PolicyTimes(timeout=0.2, try_limit=1), limit=1))
        first, second = asyncio.ensure_future(asker.ask()), asyncio.ensure_future(asker.ask())
        assert await asyncio.gather(first, second) == [None, None]
        assert asker.warnings == [f"problem talking to server 127.0.0.1:{server.port}: Connection timed out"] * 2


async def test_who_gives_up_waiting_leaves_the_turn_to_the_next() -> None:
    async with Slow() as server:
        freed: list[Callable[[], object]] = []

        class Watched(PolicyPool):
            def free(self, connection: PolicyConnection) -> None:
                super().free(connection)
                while freed:
                    freed.pop()()

        pool = Watched(f"127.0.0.1:{server.port}", unix_path="", times=PolicyTimes(timeout=5, try_limit=1), limit=1)
        first = asyncio.ensure_future(Asker(pool).ask())
        await until(lambda: len(server.requests) == 1)
        second, third = asyncio.ensure_future(Asker(pool).ask()), asyncio.ensure_future(Asker(pool).ask())
        await until(lambda: len(pool._waiting) == 2)
        freed.append(second.cancel)  # which has just been told that it is its turn
        server.go.set()
        assert await first == b"dunno"
        assert await third == b"dunno"
        assert second.cancelled()


async def test_who_gives_up_connecting_leaves_the_turn_to_the_next(tmp_path: Path) -> None:
    path = tmp_path / "policy"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(str(path))  # the queue is full: connecting has to wait
            pool = PolicyPool("policy", unix_path=str(path), times=QUICK, limit=1)
            first, second = asyncio.ensure_future(Asker(pool).ask()), asyncio.ensure_future(Asker(pool).ask())
            await until(lambda: pool._connecting == 1 and len(pool._waiting) == 1)
            first.cancel()
            await until(lambda: first.cancelled() and pool._connecting == 1 and not pool._waiting)
            second.cancel()
            await asyncio.wait([second])
        assert pool._connecting == 0


async def test_a_transaction_keeps_its_connection() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server))
        mine, yours = Leases(), Leases()
        for leases in (mine, yours, mine, yours, mine):
            assert await asker.ask(leases) == b"dunno"
        assert server.connections == [1, 2, 1, 2, 1]
        mine.end()
        await asker.ask()
        assert server.connections[-1] == 1
        yours.end()
        yours.end()
        assert not yours.held


async def test_with_too_many_transactions_connections_go_round() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server, limit=2))
        transactions = [Leases() for _ in range(5)]
        for _ in range(2):
            for leases in transactions:
                assert await asker.ask(leases) == b"dunno"
        assert server.accepted == 2
        assert sum(len(leases.held) for leases in transactions) == 2
        for leases in transactions:
            leases.end()


async def test_a_connection_that_the_server_closed_is_made_again_in_silence() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server))
        leases = Leases()
        await asker.ask(leases)
        await server.stop()
        await until(lambda: not leases.held)
        await server.start()
        assert await asker.ask(leases) == b"dunno"
        assert asker.warnings == []


async def test_a_server_that_comes_back_between_two_tries() -> None:
    server = await PolicyServer(["action=dunno"]).start()
    asker = Asker(pool_of(server, PolicyTimes(timeout=5, retry_delay=1)))
    await server.stop()
    asked = asyncio.ensure_future(asker.ask())
    await until(lambda: asker.warnings)
    await server.start()
    assert await asked == b"dunno"
    name = f"127.0.0.1:{server.port}"
    assert asker.warnings == [
        f"connect to {name}: Connection refused", f"problem talking to server {name}: Connection refused",
    ]  # fmt: skip
    await server.close()


async def test_a_connection_answers_so_many_requests_only() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server, PolicyTimes(request_limit=2)))
        leases = Leases()
        for _ in range(5):
            await asker.ask(leases)
        assert server.connections == [1, 1, 2, 2, 3]


async def test_idle_connections_are_closed() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server, PolicyTimes(max_idle=0.05)))
        await asker.ask()
        await until(lambda: server.open == 0)
        await asker.ask()
        assert server.connections == [1, 2]


async def test_a_connection_has_its_time() -> None:
    async with PolicyServer(["action=dunno"]) as server:
        asker = Asker(pool_of(server, PolicyTimes(max_ttl=0.05)))
        await asker.ask()
        await until(lambda: server.open == 0)


async def test_words_that_nobody_asked_for_end_the_connection() -> None:
    async with PolicyServer(["raw action=one\\n\\n", "action=two"]) as server:
        asker = Asker(pool_of(server))
        assert await asker.ask() == b"one"
        (connection,) = asker.pool._connections
        connection.data_received(b"action=uninvited\n\n")
        await until(lambda: not asker.pool._connections)
        assert await asker.ask() == b"two"


async def test_a_unix_socket_whose_queue_is_full_is_waited_for(tmp_path: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    listener.listen(0)
    fillers = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)]
    while fillers[-1].connect_ex(listener.getsockname()) == 0:
        fillers.append(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK))
    pool = PolicyPools(directory=str(tmp_path), limit=1, clock=time.time).pool("unix", "socket", QUICK)
    asked = asyncio.ensure_future(Asker(pool).ask())
    await until(lambda: pool._connecting)
    for filler in fillers:
        filler.close()
    server = PolicyServer(["action=ok"])
    accepting = await asyncio.start_unix_server(server._accept, sock=listener)
    assert await asked == b"ok"
    accepting.close()
    await server.close()


async def test_pools_are_shared_by_server_and_settings(tmp_path: Path) -> None:
    pools = PolicyPools(directory=str(tmp_path), limit=0, clock=lambda: 1700000000.25)
    one = pools.pool("inet", "127.0.0.1:9", QUICK)
    assert pools.pool("inet", "127.0.0.1:9", PolicyTimes(timeout=5, retry_delay=0.01)) is one
    assert pools.pool("inet", "127.0.0.1:9", PolicyTimes()) is not one
    assert pools.pool("unix", "127.0.0.1:9", QUICK) is not one
    assert one.limit == 1
    assert pools.new_instance() == f"{os.getpid():x}.6553f100.3d090.0"
    assert pools.new_instance().endswith(".1")
