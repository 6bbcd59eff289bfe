import asyncio
from pathlib import Path

import pytest

from gatepost.control.client import ControlClient, ControlError, NotRunning, control_path, counts
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Ask, Frame, Part


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path)


async def served(folder: str, parts: list[Part]) -> asyncio.Server:
    """A control socket that answers every request with these parts, and closes after the last."""

    def heard(channel: Channel, frame: Frame) -> None:
        if isinstance(frame, Ask):
            for part in parts:
                channel.send(part)
            if not (parts and parts[-1].last):
                channel.close()

    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(lambda: Channel(heard, lambda channel: None), control_path(folder))


def ask(folder: str) -> list[str]:
    client = ControlClient(folder)
    try:
        return list(client.ask("list"))
    finally:
        client.close()


async def test_lines_of_several_parts(folder: str) -> None:
    async with await served(folder, [Part(1, ["a", "b"]), Part(1, []), Part(1, ["c"], last=True)]):
        assert await asyncio.to_thread(ask, folder) == ["a", "b", "c"]


async def test_answers_that_come_at_once(folder: str) -> None:
    parts = [Part(1, ["a"]), Part(2, ["x"]), Part(2, [], last=True), Part(1, ["b"], last=True)]
    asked: list[Ask] = []

    def heard(channel: Channel, frame: Frame) -> None:
        if isinstance(frame, Ask):
            asked.append(frame)
            if len(asked) == 2:
                for part in parts:
                    channel.send(part)

    def both() -> list[list[str]]:
        client = ControlClient(folder)
        try:
            first, second = client.ask("list"), client.ask("active")
            return [list(second), list(first)]
        finally:
            client.close()

    loop = asyncio.get_running_loop()
    async with await loop.create_unix_server(lambda: Channel(heard, lambda channel: None), control_path(folder)):
        assert await asyncio.to_thread(both) == [["x"], ["a", "b"]]


async def test_an_error(folder: str) -> None:
    async with await served(folder, [Part(1, ["a"]), Part(1, [], last=True, error="no space left")]):
        with pytest.raises(ControlError, match="no space left"):
            await asyncio.to_thread(ask, folder)


async def test_an_answer_that_breaks_off(folder: str) -> None:
    async with await served(folder, [Part(1, ["a"])]):
        with pytest.raises(ControlError, match="closed the connection"):
            await asyncio.to_thread(ask, folder)


async def test_counts(folder: str) -> None:
    async with await served(folder, [Part(1, ['{"hold": 2}'], last=True)]):
        assert await asyncio.to_thread(counts, folder) == {"hold": 2}


def test_nobody_listens(folder: str) -> None:
    with pytest.raises(NotRunning):
        ControlClient(folder)
