"""`sqlite:` tables: a SQLite file, read in a thread of its own (sqlite_table(5)).

The first column of each row counts. The file is opened for reading only, and again when it is replaced.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable

import apsw

from gatepost.config.errors import ConfigError
from gatepost.tables.asking import WorkerThread
from gatepost.tables.connection_pool import NoAnswer, Shared
from gatepost.tables.database_config import CompileDomains, DatabaseConfig
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.pgsql import quote_standard
from gatepost.tables.sql_table import QUERY_KEYS, MakeQuery, Rows, SqlPlan, SqlTable, sql_plan

KEYS = QUERY_KEYS | {"dbpath", "gatepost_timeout"}

# Seconds after which a thread that nobody asks is let go.
IDLE = 60.0


class SqliteFile:
    """One database file. Questions are answered one after the other."""

    def __init__(self, env: TableEnvironment, path: str, timeout: float) -> None:
        self._env = env
        self._path = path
        self._timeout = timeout
        self._thread: WorkerThread | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._waiting = 0
        # The thread's own.
        self._connection: apsw.Connection | None = None
        self._signature: tuple[int, int] | None = None

    async def ask(self, make_query: MakeQuery) -> Rows:
        """The first column of each row. Raises NoAnswer."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._thread is None:
            self._thread = WorkerThread(f"sqlite {self._path}")
        self._waiting += 1
        query = make_query(quote_standard)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._thread.call(self._fetch, query)
        except TimeoutError:
            with contextlib.suppress(apsw.Error):
                if self._connection is not None:
                    self._connection.interrupt()
            raise self._failure(f"no answer within {self._timeout:g} s") from None
        except OSError as error:
            raise self._failure(f"cannot open database: {error_text(error)}") from None
        except (apsw.Error, UnicodeDecodeError) as error:
            raise self._failure(f"SQL query failed: {error}") from None
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._idle = asyncio.get_running_loop().call_later(IDLE, self.close)

    def close(self) -> None:
        """Let file and thread go, until the next question."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._thread is not None:
            self._thread.leave(self._forget)
            self._thread = None

    def _failure(self, text: str) -> NoAnswer:
        self._env.warn(f"sqlite {self._path}: {text}")
        return NoAnswer(text)

    def _fetch(self, query: str) -> Rows:
        connection = self._open()
        rows = []
        try:
            for row in connection.execute(query):
                rows.append([_text(connection, row[0])])
        except apsw.Error:
            self._forget()
            raise
        return rows

    def _open(self) -> apsw.Connection:
        status = os.stat(self._path)  # noqa: PTH116
        signature = (status.st_dev, status.st_ino)
        if self._connection is None or signature != self._signature:
            self._forget()
            connection = apsw.Connection(self._path, flags=apsw.SQLITE_OPEN_READONLY)
            connection.set_busy_timeout(int(self._timeout * 1000))
            self._connection, self._signature = connection, signature
        return self._connection

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _text(connection: apsw.Connection, value: object) -> str | None:
    """A value as SQLite writes it. Raises UnicodeDecodeError."""
    if isinstance(value, float):
        value = connection.execute("SELECT CAST(? AS TEXT)", (value,)).get
    elif isinstance(value, bytes):
        value = value.decode()
    return None if value is None else str(value)


def opener(env: TableEnvironment, shared: Shared, compile_domains: CompileDomains) -> Callable[[str], SqlTable]:
    """Opens tables by their names (`sqlite:/etc/x.cf`). They raise ConfigError."""

    def plan(config: DatabaseConfig) -> SqlPlan:
        path = config.needed("dbpath")
        if "\0" in path:
            raise ConfigError("NUL in a file name", parameter="dbpath")
        timeout = config.number("gatepost_timeout", 10, 1)
        file = shared.get(("sqlite", path, timeout), lambda: SqliteFile(env, env.path(path), timeout))
        return sql_plan(config, compile_domains, file.ask)

    return lambda name: SqlTable(env, name, KEYS, plan)
