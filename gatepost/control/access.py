"""The queue of a running or a stopped system, by the same questions."""

import fcntl
import os
import pwd
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import apsw

from gatepost.config.settings import Settings
from gatepost.control.acting_as import acting_as
from gatepost.control.client import ControlClient, ControlError, NotRunning
from gatepost.control.listing import decode_listed
from gatepost.control.operations import Operations
from gatepost.ipc.messages import Ask, Part
from gatepost.queue.reader import Reader, open_reader
from gatepost.queue.schema import NotAQueueFile
from gatepost.queue.selection import Selection
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Listed, Store, StoreFailure, StoreFull


class Session(Protocol):
    """`running` tells whether a queue manager answers, or the store of a stopped system."""

    running: bool

    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        """The lines of the answer; raises ControlError."""
        ...

    def listing(self, selection: Selection | None = None) -> Iterator[Listed]:
        """All messages, or those of a selection, in the order of their arrival; raises ControlError."""
        ...


class RunningSession:
    """The queue of a running system. `reader`: of its file, if this user may read it."""

    running = True

    def __init__(self, client: ControlClient, reader: Reader | None) -> None:
        self.ask = client.ask
        self._reader = reader

    def listing(self, selection: Selection | None = None) -> Iterator[Listed]:
        """A reader of our own spares the queue manager the work: it only tells which messages are active."""
        if selection is not None:
            yield from filter(selection.matches, self._listing(selection))
        else:
            yield from self._listing(None)

    def _listing(self, selection: Selection | None) -> Iterator[Listed]:
        if self._reader is None:
            yield from map(decode_listed, self.ask("list"))
            return
        active = frozenset(self.ask("active"))
        try:
            for item in self._reader.listing(selection):
                if item.queue_id in active:
                    item.queue = "active"
                yield item
        except apsw.Error as error:
            raise ControlError(f"cannot read the queue: {error}") from error


class _Direct:
    """Commits at once: nobody else writes a stopped system's store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, batch: Batch, done: Callable[[Exception | None], None]) -> None:
        try:
            self._store.commit(batch)
        except (StoreFull, StoreFailure) as failure:
            done(failure)
        else:
            done(None)


class StoppedSession:
    """The queue of a system that does not run. `store` is nobody else's meanwhile."""

    running = False

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._turns: deque[Callable[[], None]] = deque()
        self._operations = Operations(store, _Direct(store), None, clock, self._turns.append)

    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        """The lines of the answer, worked out as they are taken; raises ControlError."""
        parts: deque[Part] = deque()
        self._operations.answer(Ask(0, what, list(arguments)), parts.append)
        while True:
            while parts:
                part = parts.popleft()
                yield from part.lines
                if part.error:
                    raise ControlError(part.error)
                if part.last:
                    return
            self._turns.popleft()()

    def listing(self, selection: Selection | None = None) -> Iterator[Listed]:
        """Nothing is active."""
        try:
            listing = self._store.listing()
            yield from listing if selection is None else filter(selection.matches, listing)
        except StoreFailure as failure:
            raise ControlError(str(failure)) from failure


@contextmanager
def queue_session(settings: Settings) -> Iterator[Session]:
    """The control socket if the mail system runs, else the store itself; raises ControlError."""
    directory = settings.gatepost_queue_directory
    try:
        client = ControlClient(directory)
    except NotRunning:
        with _stopped(directory, settings.mail_owner) as session:
            yield session
        return
    reader = _reader(directory, settings.mail_owner)
    try:
        yield RunningSession(client, reader)
    finally:
        client.close()
        if reader is not None:
            reader.close()


def _reader(directory: str, mail_owner: str) -> Reader | None:
    """Of the queue of a running system; None if this user may not read it, or it cannot be read this way."""
    try:
        with acting_as(_owner(mail_owner) if os.geteuid() == 0 else None):
            return open_reader(Path(directory))
    except (apsw.Error, NotAQueueFile, ControlError):
        return None


@contextmanager
def _stopped(directory: str, mail_owner: str) -> Iterator[Session]:
    """Opens the store under master's lock, so that nothing starts meanwhile."""
    lock_path = Path(directory) / "pid" / "master.pid"
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ControlError(f"{directory}: no queue here: the mail system was never started with it") from None
    except OSError as exc:
        raise ControlError(f"the mail system is down, and its queue is not yours: {lock_path}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ControlError("the mail system is starting or stopping; try again") from exc
        # A file that root makes in the queue could not be opened by mail_owner.
        with acting_as(_owner(mail_owner) if os.geteuid() == 0 else None):
            try:
                store = SqliteStore(directory)
            except (StoreFailure, StoreFull, OSError) as failure:
                raise ControlError(f"cannot open the queue: {failure}") from failure
            try:
                yield StoppedSession(store)
            finally:
                store.close()
    finally:
        os.close(lock)


def _owner(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ControlError(f"mail_owner: there is no user {name}") from None
