"""Moves the write-ahead log into the queue file, beside the writer: own thread, own connection.

The writer starts the log over by itself when all of it has been moved and nobody reads it. Under steady load the
writer is always a little ahead; only when the log has grown beyond LARGE_OCTETS is the writer held up for
the rest. The log file itself is kept and written over: overwriting syncs in half the time that growing takes.

Pages that nothing uses any more are used for new messages; only after a large removal are some given back.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw

from gatepost.queue.schema import LARGE_OCTETS, open_connection

USUAL_OCTETS = 16 * 1024 * 1024
"""How much is written to the log between checkpoints."""
_PAGE = 4096 + 24

FEW = 50
"""Messages removed in one commit as they are delivered, not by an operator."""
MANY_REMOVED = 1000
"""Messages in one commit, after which unused pages are looked for."""
SPARE_PAGES = 16 * 1024
"""Unused pages (64 MiB) that the file keeps; and it keeps as many as are in use."""
STEP_PAGES = 1024
"""Given back in one transaction, during which nothing else is written."""
STEP_PAUSE = 0.1
"""Seconds between two of them."""


class Checkpointer:
    """`write_lock` is what a commit holds; `fail` is told of an error after which the file cannot be trusted."""

    def __init__(
        self,
        path: Path,
        vfs: str | None,
        write_lock: threading.Lock,
        fail: Callable[[Exception], Exception],
    ) -> None:
        self._path = path
        self._vfs = vfs
        self._write_lock = write_lock
        self._fail = fail
        self._octets = 0
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="checkpoint", daemon=True)
        self._thread.start()

    def written(self, octets: int, removed: int, changed: int) -> None:
        """The writer added about that much to the log: octets of new messages, messages removed and changed.

        An estimate: asking SQLite costs a call per commit. Of few messages, mostly new ones, the rows lie in the same
        pages; many are anywhere in the file.
        """
        pages = 4 + 2 * changed
        if removed:
            pages += 4 + (2 * removed if removed > FEW else 0)
        self._octets += octets + octets // 8 + pages * _PAGE
        if self._octets >= USUAL_OCTETS and not self._wake.is_set():
            self._wake.set()

    def removed(self, messages: int) -> None:
        """The writer removed so many messages in one commit."""
        if messages >= MANY_REMOVED:
            self._wake.set()

    def close(self) -> None:
        if self._thread:
            self._stopping = True
            self._wake.set()
            self._thread.join()

    def _run(self) -> None:
        try:
            connection = open_connection(self._path, self._vfs)
        except apsw.Error as error:
            self._fail(error)
            return
        with contextlib.closing(connection):
            while True:
                self._wake.wait()
                if self._stopping:
                    return
                self._wake.clear()
                self._octets = 0
                try:
                    checkpoint(connection, self._write_lock)
                    self._give_back(connection)
                except (apsw.BusyError, apsw.LockedError, apsw.FullError):
                    # Another program checkpoints, or there is no room to grow the file: the log keeps everything.
                    continue
                except apsw.Error as error:
                    self._fail(error)
                    return

    def _give_back(self, connection: apsw.Connection) -> None:
        while too_many_spare(connection) and not self._stopping:
            give_back(connection, self._write_lock)
            checkpoint(connection, self._write_lock)
            time.sleep(STEP_PAUSE)


def too_many_spare(connection: apsw.Connection) -> bool:
    """Whether the file should become smaller. Raises apsw.Error."""
    spare = int(connection.pragma("freelist_count"))
    return spare > SPARE_PAGES and 2 * spare > int(connection.pragma("page_count"))


def give_back(connection: apsw.Connection, write_lock: threading.Lock) -> None:
    """Cut up to STEP_PAGES unused pages off the file. Raises apsw.Error."""
    with write_lock:
        connection.execute(f"PRAGMA incremental_vacuum({STEP_PAGES})").fetchall()


def checkpoint(connection: apsw.Connection, write_lock: threading.Lock) -> None:
    """Move what is in the log; hold the writer up only if the log has become too large. Raises apsw.Error."""
    logged, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if logged * _PAGE >= LARGE_OCTETS:
        with write_lock:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
