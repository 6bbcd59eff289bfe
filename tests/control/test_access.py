import fcntl
import os

import pytest

from gatepost.config.configuration import Configuration
from gatepost.config.settings import Settings
from gatepost.control.access import queue_session
from gatepost.control.client import ControlError
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
