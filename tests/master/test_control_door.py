"""The control socket: how much of it one user can take up. (Who may ask for what: tests/control/test_authority.py.)"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from gatepost.config.configuration import Configuration
from gatepost.control.authority import Authority
from gatepost.control.operations import Operations
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Ask, Frame, Part, framed
from gatepost.master.control_door import CONNECTIONS, LONGEST_QUESTION, QUESTIONS, ControlDoor
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.opening import Tables
from tests.smtpd.world import until

STRANGER = 4711


class Slow:
    """Operations that answer when they are told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Ask, Any]] = []

    def answer(self, ask: Ask, send: Any, paced: Any = None) -> None:
        self.asked.append((ask, send))

    def finish(self) -> None:
        for ask, send in self.asked:
            send(Part(ask.ticket, [ask.what], last=True))
        self.asked.clear()


class World:
    def __init__(self, path: str) -> None:
        self.path = path
        self.operations = Slow()
        tables = Tables(TableEnvironment(clock=lambda: 0.0, warn=lambda text: None))
        authority = Authority(Configuration.parse("", "").settings, tables, os.geteuid())
        self.door = ControlDoor(cast(Operations, self.operations), authority, lambda: None)
        self.closed: list[Channel] = []
        self.heard: list[Frame] = []

    async def connect(self) -> Channel:
        def made() -> Channel:
            return Channel(lambda channel, frame: self.heard.append(frame), self.closed.append)

        _, channel = await asyncio.get_running_loop().create_unix_connection(made, self.path)
        return channel


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(str(tmp_path / "control"))
    server = await asyncio.get_running_loop().create_unix_server(world.door.protocol, world.path)
    async with server:
        yield world


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Channel, "peer_user", lambda self: STRANGER)


async def test_a_user_has_so_many_connections(world: World, stranger: None) -> None:
    channels = [await world.connect() for _ in range(CONNECTIONS + 2)]
    await until(lambda: len(world.closed) == 2)
    channels[0].close()
    await until(lambda: len(world.closed) == 3)
    last = await world.connect()
    last.send(Ask(1, "list"))
    await until(lambda: len(world.operations.asked) == 1)
    for channel in (*channels, last):
        channel.close()
    await until(lambda: not world.door._connections and not world.door._strangers)


async def test_our_own_have_as_many_as_they_want(world: World) -> None:
    channels = [await world.connect() for _ in range(CONNECTIONS + 2)]
    for channel in channels:
        channel.send(Ask(1, "delete"))
    await until(lambda: len(world.operations.asked) == len(channels))
    for channel in channels:
        channel.close()


async def test_a_connection_has_so_many_questions_at_a_time(world: World, stranger: None) -> None:
    channel = await world.connect()
    for _ in range(2):
        for ticket in range(QUESTIONS):
            channel.send(Ask(ticket, "list"))
        await until(lambda: len(world.operations.asked) == QUESTIONS)
        world.operations.finish()
    await until(lambda: len(world.heard) == 2 * QUESTIONS)
    for ticket in range(QUESTIONS + 1):
        channel.send(Ask(ticket, "list"))
    await until(lambda: bool(world.closed))
    world.operations.finish()  # nobody is there any more


async def test_a_refusal_ends_a_question(world: World, stranger: None) -> None:
    channel = await world.connect()
    for ticket in range(2 * QUESTIONS):
        channel.send(Ask(ticket, "delete", ["", "ALL"]))
        await until(lambda ticket=ticket: len(world.heard) == ticket + 1)
    assert all(isinstance(part, Part) and part.denied and part.last for part in world.heard)
    assert not world.operations.asked
    channel.close()


async def test_a_question_is_not_longer_than_that(world: World, stranger: None) -> None:
    reader, writer = await asyncio.open_unix_connection(world.path)
    writer.write((LONGEST_QUESTION + 1).to_bytes(4, "big"))
    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("octets", [b"\0\0\0\1\xc1", framed(Part(1, [], last=True))])
async def test_what_is_no_question_ends_the_connection(world: World, stranger: None, octets: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(world.path)
    writer.write(octets)
    assert await reader.read() == b""
    writer.close()
