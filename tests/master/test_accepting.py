"""Taking clients when there are no descriptors for them, without a process that has none."""

import asyncio
import errno
import socket
from typing import Any, cast

import pytest

from gatepost.master import accepting
from gatepost.master.accepting import Accepting


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
        monkeypatch.setattr(accepting, "_room", lambda: self.room)
        self.room = True
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
    assert world.accepting.resting and world.sock.asked == 1
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
