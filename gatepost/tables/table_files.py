"""The files of indexed tables: made from a source, listed and changed (postmap(1), postalias(1)).

`lmdb` and `cdb` have an index, in the form that Postfix reads and writes. The other types have none here: their table
is the source text, so that to make one means to look through it, and to change one is to change the text. Since the
servers go by the text of lmdb tables, too, as long as there is one, it is changed along with the index.
"""

import os
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from gatepost.tables.cdb_file import CdbError, cdb_bytes, cdb_entries
from gatepost.tables.environment import error_text, read_file
from gatepost.tables.file_replacement import only_writer, replace_file
from gatepost.tables.lmdb_file import LmdbError, lmdb_entries, write_lmdb
from gatepost.tables.source import decode
from gatepost.tables.table_source import Entry, SourceText, Warn, source_entries
from gatepost.tables.text_tables import INDEX_SUFFIXES

Fold = Callable[[str], str]


class TableFileError(Exception):
    """It cannot be done; the text tells why."""


class Duplicates(Enum):
    """What becomes of an entry whose key is there already (postmap -w, -r)."""

    WARN = "warn"
    IGNORE = "ignore"
    REPLACE = "replace"


class Manner(NamedTuple):
    """How tables are read and written. `nulls`: does an octet 0 follow keys and values (None: as the type has it)?

    `map_size`: lmdb_map_size, octets. `utf8`: lines that are not UTF-8 are left out.
    """

    syntax: str
    fold: Fold
    duplicates: Duplicates
    utf8: bool
    nulls: bool | None
    map_size: int
    warn: Warn


class TableFile:
    """One table, by type and name (of its source): the interface and what is common to all."""

    kind: str
    name: str
    manner: Manner
    path = ""
    """The file that holds the table."""
    duplicates_of = ""
    """How Postfix names the table where it tells of duplicates."""

    @property
    def has_text(self) -> bool:
        """Is its source text, which the servers go by, there, and changed along with it?"""
        raise NotImplementedError

    def create(self, entries: Iterable[Entry], mode: int) -> None:
        """Make the table anew. `mode`: permissions of a file that is not there yet. Raises TableFileError."""
        raise NotImplementedError

    def add(self, entries: Iterable[Entry], mode: int) -> None:
        """Put entries into the table, which is made if need be. Raises TableFileError."""
        raise NotImplementedError

    def remove(self, keys: Iterable[str]) -> bool:
        """Take entries out; was any of them there? Raises TableFileError."""
        raise NotImplementedError

    def entries(self) -> dict[str, str]:
        """All of them, keys as they are kept. Raises TableFileError."""
        raise NotImplementedError

    def _is_new(self, key: str, there: bool) -> bool:
        """Is this entry to be stored? Tells of duplicates where that is wanted."""
        if not there or self.manner.duplicates is Duplicates.REPLACE:
            return True
        if self.manner.duplicates is Duplicates.WARN:
            self.manner.warn(f'{self.duplicates_of}: duplicate entry: "{key}"')
        return False

    def _cannot_open(self, error: OSError) -> TableFileError:
        return TableFileError(f"open database {error.filename or self.path}: {error_text(error)}")


class TextFile(TableFile):
    """`hash:` and kin: the source is the table."""

    def __init__(self, kind: str, name: str, manner: Manner) -> None:
        self.kind, self.name, self.manner, self.path = kind, name, manner, name
        self.duplicates_of = name + INDEX_SUFFIXES[kind][0]

    def create(self, entries: Iterable[Entry], mode: int) -> None:
        seen: set[str] = set()
        for entry in entries:
            key = self.manner.fold(entry.key)
            self._is_new(key, key in seen)
            seen.add(key)

    def add(self, entries: Iterable[Entry], mode: int) -> None:
        def change(text: SourceText) -> bool:
            changed = False
            for entry in entries:
                key = self.manner.fold(entry.key)
                if self._is_new(key, key in text):
                    text.put(key, entry.line)
                    changed = True
            return changed

        self._change(change, mode)

    def remove(self, keys: Iterable[str]) -> bool:
        def change(text: SourceText) -> bool:
            found = [text.remove(self.manner.fold(key)) for key in keys]
            return any(found)

        return self._change(change, 0)

    def entries(self) -> dict[str, str]:
        found: dict[str, str] = {}
        text, manner = decode(self._read()), self.manner
        # What is wrong with the source is told when the table is made or opened.
        for entry in source_entries(text, self.path, manner.syntax, utf8=manner.utf8, warn=lambda _: None):
            found.setdefault(manner.fold(entry.key), entry.value)
        if self.kind == "btree":
            return dict(sorted(found.items()))
        return found

    @property
    def has_text(self) -> bool:
        return os.path.lexists(self.name)

    def index(self) -> str:
        """The file that Postfix has beside the source; "" if there is none."""
        for suffix in INDEX_SUFFIXES[self.kind]:
            if os.path.exists(self.name + suffix):  # noqa: PTH110
                return self.name + suffix
        return ""

    def _read(self) -> bytes:
        try:
            return read_file(self.path)
        except FileNotFoundError as error:
            if index := self.index():
                raise TableFileError(
                    f"open database {self.path}: only the index {index} is there, and tables are read from their "
                    f"source text; write it anew with Postfix's own command: postmap -s {self.kind}:{self.path}"
                ) from None
            index = self.path + INDEX_SUFFIXES[self.kind][0]
            raise TableFileError(f"open database {index}: {error_text(error)}") from None
        except OSError as error:
            raise self._cannot_open(error) from None

    def _change(self, change: Callable[[SourceText], bool], mode: int) -> bool:
        """`mode` 0: a file that is not there is not made."""
        try:
            with only_writer(self.path):
                there = os.path.lexists(self.path)
                if not there and not mode:
                    return False
                text = SourceText(decode(self._read() if there or self.index() else b""), self.manner.syntax,
                                  self.manner.fold)  # fmt: skip
                if change(text):
                    data = text.text.encode("utf-8", "surrogateescape")
                    # A link stays one: it is the text that is changed, wherever it is.
                    path = os.path.realpath(self.path) if os.path.islink(self.path) else self.path  # noqa: PTH114
                    replace_file(path, lambda temporary: _write(temporary, data), mode)
                    return True
                return False
        except OSError as error:
            raise self._cannot_open(error) from None


def _write(path: str, data: bytes) -> None:
    Path(path).write_bytes(data)


class IndexFile(TableFile):
    """`lmdb:` and `cdb:`: an index beside the source."""

    nulls = False
    """Does Postfix write an octet 0 behind keys and values?"""

    def create(self, entries: Iterable[Entry], mode: int) -> None:
        self._store({}, entries, mode)

    def add(self, entries: Iterable[Entry], mode: int) -> None:
        listed = list(entries)
        self._store(None, listed, mode)
        if self.has_text:
            quiet = Duplicates.IGNORE if self.manner.duplicates is Duplicates.WARN else self.manner.duplicates
            TextFile("hash", self.name, self.manner._replace(duplicates=quiet)).add(listed, mode)

    @property
    def has_text(self) -> bool:
        return os.path.lexists(self.name)

    def remove(self, keys: Iterable[str]) -> bool:
        listed = list(keys)
        found = self._remove(listed)
        if self.has_text:
            found |= TextFile("hash", self.name, self.manner).remove(listed)
        return found

    def _remove(self, keys: list[str]) -> bool:
        try:
            with only_writer(self.path):
                if not os.path.lexists(self.path):
                    return False
                stored = self.entries()
                found = [stored.pop(self.manner.fold(key), None) is not None for key in keys]
                if any(found):
                    self._replace(stored, 0)
                return any(found)
        except OSError as error:
            raise self._cannot_open(error) from None

    def entries(self) -> dict[str, str]:
        try:
            found = self._read()
        except OSError as error:
            raise self._cannot_open(error) from None
        except (CdbError, LmdbError) as error:
            raise TableFileError(f"open database {self.path}: {error}") from None
        return {_text(key): _text(value) for key, value in found}

    def _store(self, stored: dict[str, str] | None, entries: Iterable[Entry], mode: int) -> None:
        """`stored`: what there is before, None for what the file holds."""
        try:
            with only_writer(self.path):
                if stored is None:
                    stored = self.entries() if os.path.lexists(self.path) else {}
                for entry in entries:
                    key = self.manner.fold(entry.key) if entry.line else entry.key
                    if self._is_new(key, key in stored):
                        stored[key] = entry.value
                self._replace(stored, mode)
        except OSError as error:
            raise self._cannot_open(error) from None

    def _replace(self, stored: dict[str, str], mode: int) -> None:
        end = b"\0" if (self.nulls if self.manner.nulls is None else self.manner.nulls) else b""
        data = [(_octets(key) + end, _octets(value) + end) for key, value in stored.items()]
        try:
            replace_file(self.path, lambda path: self._write(path, data), mode)
        except (CdbError, LmdbError) as error:
            raise TableFileError(f"table {self.kind}:{self.name}: write error: {error}") from None

    def _read(self) -> Iterable[tuple[bytes, bytes]]:
        raise NotImplementedError

    def _write(self, path: str, data: list[tuple[bytes, bytes]]) -> None:
        raise NotImplementedError


class LmdbFile(IndexFile):
    """`FILE.lmdb`"""

    nulls = True

    def __init__(self, kind: str, name: str, manner: Manner) -> None:
        self.kind, self.name, self.manner, self.path = kind, name, manner, f"{name}.lmdb"
        self.duplicates_of = f"{kind}:{name}"

    def _read(self) -> Iterable[tuple[bytes, bytes]]:
        os.stat(self.path)  # noqa: PTH116 - for the system's own words if it is not there
        return lmdb_entries(self.path)

    def _write(self, path: str, data: list[tuple[bytes, bytes]]) -> None:
        write_lmdb(path, data, self.manner.map_size)


class CdbFile(IndexFile):
    """`FILE.cdb`"""

    def __init__(self, kind: str, name: str, manner: Manner) -> None:
        self.kind, self.name, self.manner, self.path = kind, name, manner, f"{name}.cdb"
        self.duplicates_of = name

    def add(self, entries: Iterable[Entry], mode: int) -> None:
        raise TableFileError(_CONSTANT)

    def remove(self, keys: Iterable[str]) -> bool:
        raise TableFileError(_CONSTANT)

    def _read(self) -> Iterable[tuple[bytes, bytes]]:
        return cdb_entries(read_file(self.path))

    def _write(self, path: str, data: list[tuple[bytes, bytes]]) -> None:
        _write(path, cdb_bytes(data))


# Postfix's words for: a cdb file is made whole from its source, and never changed.
_CONSTANT = "dict_cdb_open: inappropriate open flags for cdb database - specify O_RDONLY or O_WRONLY|O_CREAT|O_TRUNC"
_KINDS: dict[str, Callable[[str, str, Manner], TableFile]] = {
    **dict.fromkeys(INDEX_SUFFIXES, TextFile),
    "lmdb": LmdbFile,
    "cdb": CdbFile,
}


def table_file(kind: str, name: str, manner: Manner) -> TableFile | None:
    """The table's file; None for a type that has none that could be written."""
    make = _KINDS.get(kind)
    return make(kind, name, manner) if make is not None else None


def _text(octets: bytes) -> str:
    return decode(octets.removesuffix(b"\0"))


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
