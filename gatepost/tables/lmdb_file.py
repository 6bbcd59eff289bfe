"""lmdb files, whole: written anew or listed (lmdb_table(5))."""

from collections.abc import Sequence
from typing import Any

from gatepost.config.errors import ConfigError
from gatepost.tables.database_library import library

# Postfix opens its files without the lock file that LMDB would put beside them.
_OPTIONS = {"subdir": False, "lock": False, "create": True, "max_dbs": 0}


class LmdbError(ValueError):
    """Not an lmdb file, an entry that none can hold, or the Python package is not installed."""


def _library() -> Any:
    try:
        return library("lmdb", "lmdb")
    except ConfigError as error:
        raise LmdbError(error.message) from None


def write_lmdb(path: str, entries: Sequence[tuple[bytes, bytes]], map_size: int) -> None:
    """Make `path` hold these entries, synced. `map_size`: lmdb_map_size, octets; more is taken as it is needed.

    Raises LmdbError and OSError.
    """
    lmdb = _library()
    content = sum(len(key) + len(value) for key, value in entries)
    map_size = max(map_size, 4 * content, 1 << 20)
    try:
        environment = lmdb.open(path, map_size=map_size, **_OPTIONS)
        try:
            with environment.begin(write=True) as transaction:
                for key, value in entries:
                    transaction.put(key, value)
        finally:
            environment.close()
    except lmdb.Error as error:
        raise LmdbError(str(error)) from None


def lmdb_entries(path: str) -> list[tuple[bytes, bytes]]:
    """All entries, sorted by key. Raises LmdbError."""
    lmdb = _library()
    try:
        environment = lmdb.open(path, readonly=True, **{**_OPTIONS, "create": False})
        try:
            with environment.begin() as transaction:
                return list(transaction.cursor())
        finally:
            environment.close()
    except lmdb.Error as error:
        raise LmdbError(str(error)) from None
