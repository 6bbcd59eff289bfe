"""The queue of a running or a stopped system, by the same questions."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from gatepost.config.settings import Settings
from gatepost.control.client import ControlClient, ControlError, NotRunning
from gatepost.control.operations import Operations
from gatepost.ipc.messages import Ask, Part
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch


class Session(Protocol):
    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        """The lines of the answer; raises ControlError."""
        ...


class _Direct:
    """Commits at once: nobody else writes a stopped system's store."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None:
        self._store.commit(batch)
        done(None)


class StoppedSession:
    """Opens the store itself, under master's lock, so that nothing starts meanwhile."""

    def __init__(self, queue_directory: str) -> None:
        self._store = SqliteStore(queue_directory)
        self._operations = Operations(self._store, _Direct(self._store), None, time.time, lambda function: function())

    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        parts: list[Part] = []
        self._operations.answer(Ask(0, what, list(arguments)), parts.append)
        for part in parts:
            yield from part.lines
            if part.error:
                raise ControlError(part.error)

    def close(self) -> None:
        self._store.close()


@contextmanager
def queue_session(settings: Settings) -> Iterator[Session]:
    """The control socket if the mail system runs, else the store itself; raises ControlError."""
    directory = settings.gatepost_queue_directory
    try:
        client = ControlClient(directory)
    except NotRunning:
        yield from _stopped(directory)
        return
    try:
        yield client
    finally:
        client.close()


def _stopped(directory: str) -> Iterator[Session]:
    lock_path = Path(directory) / "pid" / "master.pid"
    if not lock_path.exists():
        raise ControlError(f"{directory}: no queue here: the mail system has not been started with this configuration")
    try:
        lock = os.open(lock_path, os.O_RDWR)
    except OSError as exc:
        raise ControlError(f"{lock_path}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ControlError("the mail system is starting or stopping; try again") from exc
        session = StoppedSession(directory)
        try:
            yield session
        finally:
            session.close()
    finally:
        os.close(lock)
