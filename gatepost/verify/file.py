"""The cache's file: an SQLite database that may be lost, since everything in it can be asked for again.

Used from one thread at a time.
"""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw

from gatepost.verify.entry import Entry, Rules, Status

APPLICATION_ID = 0x47617672  # "Gavr"
VERSION = 1
SCHEMA = f"""
CREATE TABLE address(
    id INTEGER PRIMARY KEY,
    address TEXT NOT NULL UNIQUE,
    status INTEGER NOT NULL,   -- 0 deliverable, 1 deferred, 2 undeliverable, 3 unknown
    probed INTEGER NOT NULL,   -- seconds since 1970; 0: no probe is under way
    updated INTEGER NOT NULL,  -- seconds since 1970; 0: never
    reason TEXT NOT NULL
);
CREATE TABLE cleanup(completed INTEGER NOT NULL);
INSERT INTO cleanup VALUES(0);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""
OPENINGS = 100
"""Times that a file is tried to be opened which others are opening, 0.02 s apart."""
RANGE = 2000
"""Rows looked at in one step of a cleanup, so that lookups need not wait for all of it."""


class CacheUnusable(Exception):
    """The file cannot be opened, read or written; the text says why."""


def _is_empty(connection: apsw.Connection) -> bool:
    return not connection.pragma("application_id") and not connection.pragma("schema_version")


def _is_ours(connection: apsw.Connection) -> bool:
    return (connection.pragma("application_id"), connection.pragma("user_version")) == (APPLICATION_ID, VERSION)


class CacheFile:
    """Raises CacheUnusable. A file that is damaged is replaced by an empty one; another program's is left alone."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = self._opened_in_turn()
        except (apsw.NotADBError, apsw.CorruptError):
            self._replace()
        except _NotOurs:
            raise CacheUnusable(f"open {path}: it is another program's file") from None
        except apsw.Error as error:
            raise CacheUnusable(f"open {path}: {error}") from None

    def _opened_in_turn(self) -> apsw.Connection:
        """Where several find a new file, SQLite lets one of them change its mode and turns the others away at once."""
        for _ in range(OPENINGS):
            with contextlib.suppress(apsw.BusyError):
                return self._opened()
            time.sleep(0.02)
        return self._opened()

    def _opened(self) -> apsw.Connection:
        connection = apsw.Connection(str(self.path))
        try:
            connection.set_busy_timeout(5000)
            if not _is_empty(connection) and not _is_ours(connection):
                raise _NotOurs
            # The pages of the log are not synced: a power cut may cost the latest results, and no more.
            connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
            if _is_empty(connection):
                connection.execute("BEGIN IMMEDIATE")
                if _is_empty(connection):  # another process may just have done it
                    connection.execute(SCHEMA)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        return connection

    def _replace(self) -> None:
        try:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
            self._connection = self._opened()
        except (OSError, apsw.Error, _NotOurs) as error:
            raise CacheUnusable(f"replace the damaged {self.path}: {error}") from None

    def load(self, address: str) -> Entry | None:
        """What is kept of an address. Raises CacheUnusable."""
        query = "SELECT status, probed, updated, reason FROM address WHERE address = ?"
        try:
            row: Any = self._connection.execute(query, (address,)).fetchone()
        except apsw.Error as error:
            raise CacheUnusable(f"read {self.path}: {error}") from None
        if row is None:
            return None
        status, probed, updated, text = row
        try:
            return Entry(Status(status), int(probed), int(updated), str(text))
        except (TypeError, ValueError) as error:
            raise CacheUnusable(f"read {self.path}: {error}") from None

    def write(self, changes: Mapping[str, Entry | None]) -> None:
        """Keep entries, or forget (None). Raises CacheUnusable."""
        kept = [(a, int(e.status), e.probed, e.updated, e.text) for a, e in changes.items() if e is not None]
        gone = [(address,) for address, entry in changes.items() if entry is None]
        connection = self._connection
        try:
            with connection:
                connection.executemany(
                    "INSERT INTO address(address, status, probed, updated, reason) VALUES(?, ?, ?, ?, ?) "
                    "ON CONFLICT(address) DO UPDATE SET status = excluded.status, probed = excluded.probed, "
                    "updated = excluded.updated, reason = excluded.reason",
                    kept,
                )
                connection.executemany("DELETE FROM address WHERE address = ?", gone)
        except apsw.Error as error:
            raise CacheUnusable(f"write {self.path}: {error}") from None

    def last_cleanup(self) -> int:
        """When one was completed; 0: never."""
        row: Any = self._connection.execute("SELECT completed FROM cleanup").fetchone()
        return int(row[0]) if row else 0

    def clean_range(self, after: int, rules: Rules, now: int) -> tuple[int, int, int]:
        """One step of a cleanup: (id to go on after, or -1 at the end; entries kept; entries dropped)."""
        rows: list[tuple[Any, ...]] = self._connection.execute(
            "SELECT id, status, probed, updated FROM address WHERE id > ? ORDER BY id LIMIT ?", (after, RANGE)
        ).fetchall()
        if not rows:
            return -1, 0, 0
        old = []
        for number, status, probed, updated in rows:
            if rules.expired(Entry(Status(status), probed, updated, ""), now):
                old.append((number,))
        with self._connection:
            self._connection.executemany("DELETE FROM address WHERE id = ?", old)
        return rows[-1][0], len(rows) - len(old), len(old)

    def cleaned(self, now: int) -> None:
        """A cleanup is complete."""
        self._connection.execute("UPDATE cleanup SET completed = ?", (now,))

    def close(self) -> None:
        with contextlib.suppress(apsw.Error):
            self._connection.close()


class _NotOurs(Exception):
    """A database of something else, or of a later version."""
