"""Moves the write-ahead log into the queue file, beside the writer: own thread, own connection.

The writer starts the log over by itself when all of it has been moved and nobody reads it. Under steady load the
writer is always a little ahead; only when the log has grown beyond LARGE_OCTETS is the writer held up for
the rest. The log file itself is kept and written over: overwriting syncs in half the time that growing takes.
"""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

from gatepost.queue.schema import LARGE_OCTETS, open_connection

USUAL_OCTETS = 16 * 1024 * 1024
"""How much is written to the log between checkpoints."""
_PAGE = 4096 + 24


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

    def written(self, octets: int, removed: bool) -> None:
        """The writer added about that much to the log. An estimate: asking SQLite costs a call per commit."""
        self._octets += octets + octets // 8 + (8 if removed else 4) * _PAGE
        if self._octets >= USUAL_OCTETS and not self._wake.is_set():
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
                except (apsw.BusyError, apsw.LockedError, apsw.FullError):
                    # Another program checkpoints, or there is no room to grow the file: the log keeps everything.
                    continue
                except apsw.Error as error:
                    self._fail(error)
                    return


def checkpoint(connection: apsw.Connection, write_lock: threading.Lock) -> None:
    """Move what is in the log; hold the writer up only if the log has become too large. Raises apsw.Error."""
    logged, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if logged * _PAGE >= LARGE_OCTETS:
        with write_lock:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
