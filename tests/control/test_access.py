import asyncio
import fcntl
import os

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.settings import Settings
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError, control_path
from gatepost.ipc.channel import Channel
from gatepost.ipc.messages import Ask, Frame, Part
from gatepost.queue.store import Listed
from tests.cli.stopped_queue import StoppedQueue
from tests.queue.messages import a_message


@pytest.fixture
def stopped(tmp_path_factory: pytest.TempPathFactory) -> StoppedQueue:
    return StoppedQueue(tmp_path_factory.mktemp("system"))


def settings(queue: StoppedQueue) -> Settings:
    return Configuration.read(str(queue.config)).settings


def test_a_stopped_system_cannot_start_meanwhile(stopped: StoppedQueue) -> None:
    message = a_message(1)
    stopped.put(message)
    lock = os.open(stopped.queue / "pid" / "master.pid", os.O_RDWR)
    with queue_session(settings(stopped)) as session:
        assert not session.running
        assert len(list(session.ask("list"))) == 1
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(lock)


def test_a_system_that_starts_or_stops(stopped: StoppedQueue) -> None:
    lock = os.open(stopped.queue / "pid" / "master.pid", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(ControlError, match="starting or stopping"), queue_session(settings(stopped)):
        pass
    os.close(lock)


def test_a_queue_that_is_no_queue(stopped: StoppedQueue) -> None:
    (stopped.queue / "queue.db").write_bytes(b"something else" * 1000)
    with pytest.raises(ControlError, match="cannot open the queue"), queue_session(settings(stopped)):
        pass


async def listing_of_a_running_system(stopped: StoppedQueue, asked: list[str]) -> list[Listed]:
    """A queue manager that has message 2 active, and tells of a message 9 when it is asked for all."""

    def heard(channel: Channel, frame: Frame) -> None:
        if isinstance(frame, Ask):
            asked.append(frame.what)
            lines = {"active": [a_message(2).queue_id], "list": ['["0000A00009","hold",1,2,"",[],0]']}
            channel.send(Part(frame.ticket, lines[frame.what], last=True))

    def listing() -> list[Listed]:
        with queue_session(settings(stopped)) as session:
            assert session.running
            return list(session.listing())

    loop = asyncio.get_running_loop()
    socket = control_path(str(stopped.queue))
    async with await loop.create_unix_server(lambda: Channel(heard, lambda channel: None), socket):
        return await asyncio.to_thread(listing)


async def test_the_queue_of_a_running_system_is_read_beside_it(stopped: StoppedQueue) -> None:
    stopped.put(a_message(1), a_message(2))
    asked: list[str] = []
    items = await listing_of_a_running_system(stopped, asked)
    assert [(item.queue_id, item.queue) for item in items] == [
        (a_message(1).queue_id, "incoming"),
        (a_message(2).queue_id, "active"),
    ]
    assert asked == ["active"]


async def test_who_may_not_read_the_queue_asks_the_queue_manager(stopped: StoppedQueue) -> None:
    (stopped.queue / "queue.db").write_bytes(b"something else" * 1000)
    asked: list[str] = []
    items = await listing_of_a_running_system(stopped, asked)
    assert [(item.queue_id, item.queue) for item in items] == [("0000A00009", "hold")]
    assert asked == ["list"]
