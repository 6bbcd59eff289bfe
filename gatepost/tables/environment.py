"""What tables need from outside: clocks, a place for warnings, files and the surroundings' facts."""

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gatepost.tables.table import Table

# Opens one table of a type that lives elsewhere (socketmap, ldap, ...): full spec and the text after `type:`.
TableOpener = Callable[[str, str], Table]

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def read_file(path: str) -> bytes:
    """The whole file. Never waits for a writer, should somebody name a FIFO. Raises OSError."""
    with open(path, "rb", opener=_open_at_once) as stream:
        return stream.read()


def open_file(path: str) -> int:
    """A descriptor for reading, on the same terms. Raises OSError."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def error_text(error: OSError) -> str:
    """What the C library says of an error, as Postfix prints it (`No such file or directory`)."""
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class TableEnvironment:
    """Surroundings of all tables of one process.

    `clock` gives monotonic seconds. `warn` takes the text of a log line, without the word `warning: `; `error` why a
    table cannot be opened, without the word `error: ` (None: `warn` is told).
    `directory` is where relative file names start. `alias_tables` names the tables of alias_maps and
    alias_database (`hash:/etc/aliases`): their sources have the syntax of aliases(5), whichever parameter
    opens them. `parameter` gives the value of any name in main.cf, None if it is not set there. `stat_file`,
    `read_file` and `open_file` may be replaced where another process opens the files.
    """

    clock: Callable[[], float]
    warn: Callable[[str], None]
    smtputf8: bool = True
    directory: str = ""
    alias_tables: frozenset[str] = frozenset()
    environ: Mapping[str, str] = field(default_factory=dict)
    openers: Mapping[str, TableOpener] = field(default_factory=dict)
    parameter: Callable[[str], str | None] = lambda name: None
    wall_clock: Callable[[], float] = time.time
    stat_file: Callable[[str], os.stat_result] = os.stat
    read_file: Callable[[str], bytes] = read_file
    open_file: Callable[[str], int] = open_file
    error: Callable[[str], None] | None = None
    choose: Callable[[list[str]], str] = random.choice

    def path(self, name: str) -> str:
        """`name` as a path that can be opened."""
        return os.path.join(self.directory, name) if self.directory else name  # noqa: PTH118

    def fold(self, key: str) -> str:
        """The key as indexed tables keep it: Unicode case folding with smtputf8_enable, ASCII otherwise."""
        if key.isascii():
            return key.lower()
        return key.casefold() if self.smtputf8 else key.translate(_ASCII_LOWER)


class TableSource(Protocol):
    """What opens tables by their names in main.cf."""

    @property
    def env(self) -> TableEnvironment: ...

    def open(self, spec: str, *, syntax: str = "postmap") -> Table:
        """Raises ConfigError."""
        ...
