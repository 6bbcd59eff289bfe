"""Tables read from their source text: texthash, and hash, btree, lmdb, cdb, dbm, sdbm without their index."""

import os
from functools import partial
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


def _unreadable(kind: str, path: str, why: str, missing: bool) -> str:
    """As Postfix, which looks for the index: where neither is there its words are as true of the source.

    An index without its source: say what to do, for the file that was opened is not the one people see.
    """
    suffixes = INDEX_SUFFIXES.get(kind, ()) if missing else ()
    for suffix in suffixes:
        if os.path.exists(path + suffix):  # noqa: PTH110 (Path.exists raises where the folder may not be searched)
            return (
                f"open database {path}: only the index {Path(path + suffix).name} is there, and tables are read from "
                f"their source text; restore it, or write it anew with: postmap -s {kind}:{path}"
            )
    return f"open database {path}{suffixes[0] if suffixes else ''}: {why}"


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
        kind = name.removeprefix("proxy:").partition(":")[0]
        self._file = WatchedFile(env, name, path, parser(syntax, env.path(path), env.fold), partial(_unreadable, kind))

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
