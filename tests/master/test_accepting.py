"""Taking clients when there are no descriptors for them, without a process that has none."""

import asyncio
import errno
import socket
from typing import Any, cast

import pytest

from gatepost.master import accepting
from gatepost.master.accepting import Accepting
from gatepost.net import company


class Poor(socket.socket):
    """A listening socket of a process that may have no descriptors left."""

    error = 0
    asked = 0

    def accept(self) -> tuple[socket.socket, Any]:
        self.asked += 1
        if self.error:
            raise OSError(self.error, "")
        return super().accept()


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"220\r\n")
        transport.close()


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = True
        self.plenty = False
        monkeypatch.setattr(accepting, "_room", lambda spare: self.plenty if spare else self.room)
        self.warnings: list[str] = []
        self.accepting = Accepting(self.warnings.append)
        self.sock = Poor(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(5)
        self.sock.setblocking(False)
        self.address = self.sock.getsockname()

    async def greeting(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self.address)
        said = await reader.read()
        writer.close()
        return said

    async def until_asked(self, times: int) -> None:
        for _ in range(1000):
            if self.sock.asked >= times:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"asked {self.sock.asked} times")


async def test_a_client_for_whom_there_is_no_descriptor_waits_until_a_session_has_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(accepting, "REST", 3600.0)
    world = World(monkeypatch)
    world.accepting.listen(world.sock, Greeter)
    world.sock.error = errno.EMFILE
    client = asyncio.create_task(world.greeting())
    await world.until_asked(1)
    world.room = False
    world.accepting.session_gone()  # but what it has given back is taken already
    await asyncio.sleep(0.05)
    assert (world.accepting.resting, world.sock.asked) == (True, 1)
    world.room = True
    world.accepting.session_gone()
    await world.until_asked(2)
    world.sock.error = 0
    world.accepting.session_gone()
    assert await client == b"220\r\n"
    assert not world.accepting.resting
    assert world.warnings == ["accept connection: Too many open files"]
    await world.accepting.close()


async def test_a_rest_comes_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "REST", 0.01)
    monkeypatch.setattr(accepting, "WARN_INTERVAL", 0.0)
    world = World(monkeypatch)
    world.accepting.listen(world.sock, Greeter)
    world.sock.error = errno.ENFILE
    client = asyncio.create_task(world.greeting())
    await world.until_asked(3)
    assert len(world.warnings) > 1
    world.sock.error = 0
    assert await client == b"220\r\n"
    await world.accepting.close()


async def test_nobody_there_is_no_reason_to_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.accepting.listen(world.sock, Greeter)
    world.sock.error = errno.ECONNABORTED
    client = asyncio.create_task(world.greeting())
    await world.until_asked(2)
    world.sock.error = 0
    assert await client == b"220\r\n"
    assert world.warnings == []
    await world.accepting.close()


async def test_who_waits_at_the_end_is_served_and_the_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    with socket.create_connection(world.address) as client:
        world.accepting.listen(world.sock, Greeter)
        await world.accepting.close()
        client.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"220\r\n"
    with pytest.raises(ConnectionRefusedError), socket.create_connection(world.address):
        pass


@pytest.mark.parametrize("plenty", [True, False])
async def test_the_loop_takes_clients_itself_only_while_there_are_plenty_of_descriptors(
    monkeypatch: pytest.MonkeyPatch, plenty: bool
) -> None:
    monkeypatch.setattr(accepting, "AT_ONCE", 3)
    monkeypatch.setattr(company, "AT_A_TIME", 0.0)
    world = World(monkeypatch)
    world.plenty = plenty
    world.accepting.listen(world.sock, Greeter)

    async def times_asked() -> int:
        """How often this socket is asked for the next client: by the loop's own server, never."""
        before = world.sock.asked
        assert await world.greeting() == b"220\r\n"
        return world.sock.asked - before

    assert bool(await times_asked()) is not plenty
    world.plenty = not plenty
    assert bool(await times_asked()) is not plenty
    await times_asked()  # after this one, it is looked at
    assert bool(await times_asked()) is plenty
    assert bool(await times_asked()) is plenty
    await world.accepting.close()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(world.address):
        pass


async def test_those_who_come_at_a_time_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(company, "AT_A_TIME", float("inf"))
    world = World(monkeypatch)
    world.plenty = True
    world.accepting.listen(world.sock, Greeter)
    for _ in range(company.IN_A_ROW + 1):
        await world.greeting()
    assert world.sock.asked == 0
    assert await asyncio.gather(*[world.greeting() for _ in range(20)]) == [b"220\r\n"] * 20
    assert world.sock.asked
    monkeypatch.setattr(company, "AT_A_TIME", 0.0)
    for _ in range(company.IN_A_ROW):
        await world.greeting()
    asked = world.sock.asked
    await world.greeting()
    assert world.sock.asked == asked
    await world.accepting.close()


async def test_who_connects_while_it_is_changed_who_takes_clients_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "AT_ONCE", 2)
    world = World(monkeypatch)
    world.accepting.listen(world.sock, Greeter)
    for _ in range(20):
        world.plenty = not world.plenty
        assert await asyncio.gather(*[world.greeting() for _ in range(5)]) == [b"220\r\n"] * 5
    await world.accepting.close()


async def test_who_waits_for_the_loop_s_server_at_the_end_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.plenty = True
    world.accepting.listen(world.sock, Greeter)
    with socket.create_connection(world.address) as client:
        await world.accepting.close()
        client.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(client, 10) == b"220\r\n"


async def test_without_descriptors_for_a_server_clients_are_taken_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def none(sock: Poor) -> socket.socket:
        raise OSError(errno.ENFILE, "")

    monkeypatch.setattr(Poor, "dup", none)
    world = World(monkeypatch)
    world.plenty = True
    world.accepting.listen(world.sock, Greeter)
    assert await world.greeting() == b"220\r\n"
    await world.accepting.close()


async def test_a_connection_that_cannot_be_made_is_told_of_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> asyncio.Protocol:
        raise MemoryError

    world = World(monkeypatch)
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
    world.accepting.listen(world.sock, none)
    assert await world.greeting() == b""
    assert [type(fault) for fault in told] == [MemoryError]
    await world.accepting.close()
