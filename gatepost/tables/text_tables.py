"""Tables read from their source text: texthash, and hash, btree, lmdb, cdb, dbm, sdbm without their index."""

import os
from pathlib import Path

from gatepost.tables.environment import TableEnvironment
from gatepost.tables.postmap_text import parser
from gatepost.tables.source import Problem
from gatepost.tables.table import EmptyResult
from gatepost.tables.watched import WatchedFile

# What postmap(1) appends to the name of the source, for each type that has an index.
INDEX_SUFFIXES = {
    "hash": (".db",),
    "btree": (".db",),
    "lmdb": (".lmdb",),
    "cdb": (".cdb",),
    "dbm": (".pag", ".dir"),
    "sdbm": (".pag", ".dir"),
}


class TextTable:
    """`texthash:/file` and kin: one dict get a lookup, one stat() now and then."""

    __slots__ = ("_clock", "_file", "_fold", "fixed", "name", "source")

    def __init__(self, env: TableEnvironment, name: str, path: str, syntax: str = "postmap") -> None:
        self.name = name
        self.fixed = True
        self._clock = env.clock
        self._fold = env.fold
        self.source = (env.path(path), syntax, env)
        """Path, syntax and environment: for who wants to know where an entry stands."""
        self._file = WatchedFile(env, name, path, parser(syntax, env.path(path), env.fold))
        if self._file.content is None:
            self._explain_index(name.partition(":")[0])

    def _explain_index(self, kind: str) -> None:
        """An index without its source: say what to do, for the file that was opened is not the one people see."""
        for suffix in INDEX_SUFFIXES.get(kind, ()):
            index = Path(self._file.path + suffix)
            if os.path.exists(index):  # noqa: PTH110 (Path.exists raises where the folder may not be searched)
                self._file.explain(
                    f"open {self._file.path}: only the index {index.name} is there, and tables are read from their "
                    f"source text; restore it, or write it anew with: postmap -s {kind}:{self._file.path}"
                )

    @property
    def entries(self) -> dict[str, str]:
        """All entries, keys folded; raises LookupTemporaryFailure if the file cannot be read."""
        return self._file.current()

    @property
    def problems(self) -> list[Problem]:
        """What is wrong with the source, as it is now."""
        return self._file.all_problems()

    async def lookup(self, key: str) -> str | None:
        file = self._file
        if self._clock() >= file.next_check:
            file.check()
        content = file.content
        if content is None:
            content = file.current(key)
        value = content.get(key.lower() if key.isascii() else self._fold(key))
        if value == "":
            raise EmptyResult(self.name, key)
        return value
