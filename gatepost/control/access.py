"""The queue of a running or a stopped system, by the same questions."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import apsw

from gatepost.config.settings import Settings
from gatepost.control.acting_as import acting_as, owner_of
from gatepost.control.client import ControlClient, ControlError, NotRunning, QueueManagerDown
from gatepost.control.listing import decode_listed
from gatepost.queue.reader import Reader, open_reader
from gatepost.queue.schema import NotAQueueFile
from gatepost.queue.selection import Selection
from gatepost.queue.store import Listed


class Session(Protocol):
    """`running` tells whether a queue manager answers, or the store of a stopped system. (A listing may find that out.)
    """

    running: bool

    def ask(self, what: str, *arguments: str) -> Iterator[str]:
        """The lines of the answer; raises ControlError."""
        ...

    def listing(self, selection: Selection | None = None) -> Iterator[Listed]:
        """All messages, or those of a selection, in the order of their arrival; raises ControlError."""
        ...


class RunningSession:
    """The queue of a running system. `reader`: of its file, if this user may read it."""

    def __init__(self, client: ControlClient, reader: Reader | None) -> None:
        self.running = True
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
        active: frozenset[str] = frozenset()
        try:
            active = frozenset(self.ask("active"))
        except QueueManagerDown:
            self.running = False
        try:
            for item in self._reader.listing(selection):
                if item.queue_id in active:
                    item.queue = "active"
                yield item
        except apsw.Error as error:
            raise ControlError(f"cannot read the queue: {error}") from error


@contextmanager
def queue_session(settings: Settings) -> Iterator[Session]:
    """The control socket if the mail system runs, else the store itself; raises ControlError."""
    directory = settings.gatepost_queue_directory
    try:
        client = ControlClient(directory)
    except NotRunning:
        from gatepost.control.stopped import stopped_session  # what writes the store takes long to load

        with stopped_session(directory, settings.mail_owner) as session:
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
        with acting_as(owner_of(mail_owner) if os.geteuid() == 0 else None):
            return open_reader(Path(directory))
    except (apsw.Error, NotAQueueFile, ControlError):
        return None
