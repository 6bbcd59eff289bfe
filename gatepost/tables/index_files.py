"""The indexes that postmap(1) writes, read where there is no source text: `cdb:` (own reader) and `lmdb:`.

Both keep keys as postmap folded them, with or without a NUL at the end; values likewise.
"""

import fcntl
import os
import struct
from typing import Protocol

from gatepost.tables.cdb_file import cdb_hash
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.lmdb_pages import DamagedLmdb, find, snapshot
from gatepost.tables.source import Problem
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure
from gatepost.tables.watched import CHECK_INTERVAL

_PAIR = struct.Struct("<II")
_HEADER = 2048

# How often an lmdb table is searched if each time a writer has come between.
_TRIES = 5


class IndexFailure(Exception):
    """The index cannot be read, or cannot be read now."""


class IndexFile(Protocol):
    """An open index. It is opened anew when the file changes."""

    def get(self, key: bytes) -> bytes | None:
        """The value of exactly this key. Raises IndexFailure."""
        ...

    def close(self) -> None: ...


class CdbFile:
    """A constant database (cdb(5)): a header of 256 hash tables, records, the hash tables.

    Read piece by piece and not mapped into memory: there a file that is cut short would end the process.
    """

    __slots__ = ("_file",)

    def __init__(self, descriptor: int) -> None:
        """Of an open file, which is closed with this. Raises OSError, IndexFailure."""
        self._file = descriptor
        try:
            self._look_over()
        except BaseException:
            self.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        try:
            return self._get(key)
        except (struct.error, ValueError):
            raise IndexFailure("file is damaged") from None

    def _look_over(self) -> None:
        """Are all hash tables there?"""
        header, size = os.pread(self._file, _HEADER, 0), os.fstat(self._file).st_size
        if len(header) < _HEADER:
            raise IndexFailure("file is too short")
        for position, slots in _PAIR.iter_unpack(header):
            if position < _HEADER or position + 8 * slots > size:
                raise IndexFailure("file is damaged")

    def _pair(self, position: int) -> tuple[int, int]:
        pair: tuple[int, int] = _PAIR.unpack(os.pread(self._file, 8, position))
        return pair

    def _get(self, key: bytes) -> bytes | None:
        number = cdb_hash(key)
        table, slots = self._pair(number % 256 * 8)
        if table < _HEADER:
            raise ValueError
        slot = (number >> 8) % slots if slots else 0
        for _ in range(slots):
            found, position = self._pair(table + slot * 8)
            if not position:
                return None
            if found == number:
                key_size, value_size = self._pair(position)
                if key_size == len(key) and os.pread(self._file, key_size, position + 8) == key:
                    value = os.pread(self._file, value_size, position + 8 + key_size)
                    if len(value) != value_size:
                        raise ValueError
                    return value
            slot = (slot + 1) % slots
        return None

    def close(self) -> None:
        os.close(self._file)


class LmdbFile:
    """A file of OpenLDAP's LMDB."""

    __slots__ = ("_file",)

    def __init__(self, descriptor: int) -> None:
        """Of an open file, which is closed with this. Raises OSError, IndexFailure."""
        self._file = descriptor
        try:
            snapshot(self._file)
        except DamagedLmdb as error:
            self.close()
            raise IndexFailure(str(error)) from None
        except BaseException:
            self.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        """While postmap writes, what was there before counts: it leaves that alone until it is done."""
        try:
            for _ in range(_TRIES):
                table = snapshot(self._file)
                if not table.entries and self._is_being_made():
                    raise IndexFailure("file is being written")
                value = find(self._file, table, key)
                if snapshot(self._file).transaction == table.transaction:
                    return value
        except DamagedLmdb as error:
            raise IndexFailure(str(error)) from None
        raise IndexFailure("file is being written")

    def _is_being_made(self) -> bool:
        """Does postmap hold its lock on it? Then nothing in it is not to be taken for an empty table."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return False

    def close(self) -> None:
        os.close(self._file)


READERS: dict[str, tuple[str, type[CdbFile] | type[LmdbFile]]] = {
    "cdb": (".cdb", CdbFile),
    "lmdb": (".lmdb", LmdbFile),
}


class IndexTable:
    """`cdb:/file` or `lmdb:/file` whose text is not there. Opened at the first lookup, and again when it changes."""

    __slots__ = (
        "_clock",
        "_complaint",
        "_env",
        "_file",
        "_next_check",
        "_open",
        "_path",
        "_signature",
        "fixed",
        "name",
    )

    def __init__(self, env: TableEnvironment, name: str, path: str) -> None:
        """`path` is that of the missing source."""
        self.name = name
        self.fixed = True
        self._env = env
        self._clock = env.clock
        suffix, self._open = READERS[name.partition(":")[0]]
        self._path = env.path(path) + suffix
        self._file: IndexFile | None = None
        self._signature: tuple[int, ...] = ()
        self._next_check = 0.0
        self._complaint = ""

    @staticmethod
    def serves(env: TableEnvironment, kind: str, path: str) -> bool:
        """Is there an index that can be read, and no source?"""
        if kind not in READERS:
            return False
        try:
            env.stat_file(env.path(path) + READERS[kind][0])
        except (OSError, ValueError):
            return False
        try:
            env.stat_file(env.path(path))
        except FileNotFoundError:
            return True
        except OSError:
            pass
        return False

    @property
    def problems(self) -> list[Problem]:
        """What keeps the index from being read."""
        try:
            self._current()
        except (OSError, IndexFailure) as error:
            return [Problem(f"{self.name} is unavailable. {self._words(error)}")]
        return [Problem(f"{self.name}: {self._complaint}")] if self._complaint else []

    async def lookup(self, key: str) -> str | None:
        folded = self._env.fold(key).encode()
        try:
            file = self._current()
            # With Postfix's own keys first: they end in NUL, but for those that it was told to write otherwise.
            value = file.get(folded + b"\0")
            if value is None:
                value = file.get(folded)
            text = None if value is None else value.removesuffix(b"\0").decode()
        except (OSError, IndexFailure, UnicodeDecodeError) as error:
            reason = self._words(error)
            self._env.warn(f"{self.name} is unavailable. {reason}")
            raise LookupTemporaryFailure(self.name, key, reason) from None
        if text == "":
            raise EmptyResult(self.name, key)
        return text

    def close(self) -> None:
        """Let the file go, until the next lookup."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _words(self, error: Exception) -> str:
        return f"open database {self._path}: {error_text(error) if isinstance(error, OSError) else error}"

    def _current(self) -> IndexFile:
        """The file; if it has gone or been replaced by what is none, the one that was there before."""
        now = self._clock()
        if self._file is not None and now < self._next_check:
            return self._file
        try:
            status = self._env.stat_file(self._path)
            signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if self._file is None or signature != self._signature:
                file = self._open(self._env.open_file(self._path))
                self.close()
                self._file, self._signature = file, signature
            self._complaint = ""
        except (OSError, IndexFailure) as error:
            if self._file is None:
                raise
            self._complain(self._words(error))
        self._next_check = now + CHECK_INTERVAL
        return self._file

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            self._env.warn(f"{self.name}: {complaint}, using the content it had before")
