"""The indexes that postmap(1) writes, read where there is no source text: `cdb:` (own reader) and `lmdb:` (library).

Both keep keys as postmap folded them, with or without a NUL at the end; values likewise.
"""

import fcntl
import mmap
import os
import struct
from typing import Any, Protocol

from gatepost.tables.cdb_file import cdb_hash
from gatepost.tables.database_library import library
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.source import Problem
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure
from gatepost.tables.watched import CHECK_INTERVAL

_PAIR = struct.Struct("<II")
_HEADER = 2048


class IndexFailure(Exception):
    """The index cannot be read, or cannot be read now."""


class IndexFile(Protocol):
    """An open index. It is opened anew when the file changes."""

    def get(self, key: bytes) -> bytes | None:
        """The value of exactly this key. Raises IndexFailure."""
        ...

    def close(self) -> None: ...


class CdbFile:
    """A constant database (cdb(5)): a header of 256 hash tables, records, the hash tables."""

    __slots__ = ("_map",)

    def __init__(self, path: str) -> None:
        """Raises OSError, IndexFailure."""
        with open(path, "rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError:  # nothing in it
                raise IndexFailure("file is too short") from None
        if len(self._map) < _HEADER:
            self._map.close()
            raise IndexFailure("file is too short")

    def get(self, key: bytes) -> bytes | None:
        try:
            return self._get(key)
        except (struct.error, ValueError, IndexError):
            raise IndexFailure("file is damaged") from None

    def _get(self, key: bytes) -> bytes | None:
        number = cdb_hash(key)
        table, slots = _PAIR.unpack_from(self._map, number % 256 * 8)
        slot = (number >> 8) % slots if slots else 0
        for _ in range(slots):
            found, position = _PAIR.unpack_from(self._map, table + slot * 8)
            if not position:
                return None
            if found == number:
                key_size, value_size = _PAIR.unpack_from(self._map, position)
                start = position + 8
                if self._map[start : start + key_size] == key:
                    value = self._map[start + key_size : start + key_size + value_size]
                    if len(value) != value_size:
                        raise ValueError
                    return value
            slot = (slot + 1) % slots
        return None

    def close(self) -> None:
        self._map.close()


class LmdbFile:
    """A file of OpenLDAP's LMDB, with Postfix's lock on it while it is read."""

    __slots__ = ("_descriptor", "_environment", "_lmdb")

    def __init__(self, path: str) -> None:
        """Raises OSError, IndexFailure, ConfigError."""
        self._lmdb: Any = library("lmdb", "lmdb")
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._environment = self._lmdb.open(path, subdir=False, readonly=True, lock=False, create=False)
        except self._lmdb.Error as error:
            os.close(self._descriptor)
            raise IndexFailure(str(error)) from None

    def get(self, key: bytes) -> bytes | None:
        # postmap writes in place and holds an exclusive lock meanwhile.
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            raise IndexFailure("file is being written") from None
        try:
            with self._environment.begin(buffers=False) as transaction:
                value: bytes | None = transaction.get(key)
                return value
        except self._lmdb.BadValsizeError:
            return None  # empty, or longer than any key in such a file
        except self._lmdb.Error as error:
            raise IndexFailure(str(error)) from None
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        self._environment.close()
        os.close(self._descriptor)


READERS: dict[str, tuple[str, type[CdbFile] | type[LmdbFile]]] = {
    "cdb": (".cdb", CdbFile),
    "lmdb": (".lmdb", LmdbFile),
}


class IndexTable:
    """`cdb:/file` or `lmdb:/file` whose text is not there. Opened at the first lookup, and again when it changes."""

    __slots__ = ("_clock", "_env", "_file", "_next_check", "_open", "_path", "_signature", "fixed", "name")

    def __init__(self, env: TableEnvironment, name: str, path: str) -> None:
        """`path` is that of the missing source. Raises ConfigError if a library is missing."""
        self.name = name
        self.fixed = True
        self._env = env
        self._clock = env.clock
        suffix, self._open = READERS[name.partition(":")[0]]
        self._path = env.path(path) + suffix
        self._file: IndexFile | None = None
        self._signature: tuple[int, ...] = ()
        self._next_check = 0.0
        if self._open is LmdbFile:
            library("lmdb", "lmdb")

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
        return []

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
        return f"open {self._path}: {error_text(error) if isinstance(error, OSError) else error}"

    def _current(self) -> IndexFile:
        now = self._clock()
        if self._file is not None and now < self._next_check:
            return self._file
        status = os.stat(self._path)  # noqa: PTH116
        signature = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if self._file is None or signature != self._signature:
            self.close()
            self._file = self._open(self._path)
            self._signature = signature
        self._next_check = now + CHECK_INTERVAL
        return self._file
