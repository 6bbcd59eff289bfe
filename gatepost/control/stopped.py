"""The queue of a stopped system, under master's lock."""

import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gatepost.control.acting_as import acting_as, owner_of
from gatepost.control.client import ControlError, NotYours
from gatepost.control.operations import Operations
from gatepost.ipc.messages import Ask, Part
from gatepost.queue.selection import Selection
from gatepost.queue.sqlite import SqliteStore
from gatepost.queue.store import Batch, Listed, Store, StoreFailure, StoreFull


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
def stopped_session(directory: str, mail_owner: str) -> Iterator[StoppedSession]:
    """Opens the store under master's lock, so that nothing starts meanwhile; raises ControlError."""
    lock_path = Path(directory) / "pid" / "master.pid"
    try:
        lock = os.open(lock_path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ControlError(f"{directory}: no queue here: the mail system was never started with it") from None
    except PermissionError as exc:
        raise NotYours("mail system is down") from exc
    except OSError as exc:
        raise ControlError(f"{lock_path}: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise ControlError("the mail system is starting or stopping; try again") from exc
        # A file that root makes in the queue could not be opened by mail_owner.
        with acting_as(owner_of(mail_owner) if os.geteuid() == 0 else None):
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
