"""`pgsql:` tables: PostgreSQL through asyncpg (pgsql_table(5)).

The query is text with the key quoted into it, as Postfix sends it, and every value comes back as the server writes it
(`t` for true, not Python's True).
"""

import contextlib
from collections.abc import Callable
from typing import Any

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.tables.connection_pool import ConnectionFailure, ConnectionPool, PoolLimits, QuestionFailure, Shared
from gatepost.tables.database_config import CompileDomains, DatabaseConfig
from gatepost.tables.database_library import library
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.sql_table import (
    SERVER_KEYS,
    MakeQuery,
    Rows,
    SqlPlan,
    SqlTable,
    host_and_port,
    pool_limits,
    sql_plan,
)

KEYS = SERVER_KEYS | {"select_function", "encoding"}


def quote_standard(text: str) -> str:
    """For a server with standard_conforming_strings."""
    return text.replace("'", "''")


def quote_with_backslashes(text: str) -> str:
    """For a server that takes backslashes in strings for escapes."""
    return text.replace("\\", "\\\\").replace("'", "''")


class PgsqlConnection:
    """One connection of asyncpg's."""

    __slots__ = ("_asyncpg", "_connection", "_quote", "_text_types", "host")

    def __init__(self, asyncpg: Any, connection: Any, host: str) -> None:
        self._asyncpg = asyncpg
        self._connection = connection
        self.host = host
        self._text_types: set[str] = set()
        settings = connection.get_settings()
        standard = getattr(settings, "standard_conforming_strings", "on") == "on"
        self._quote = quote_standard if standard else quote_with_backslashes

    async def ask(self, make_query: MakeQuery) -> Rows:
        """The rows. Raises ConnectionFailure, QuestionFailure."""
        asyncpg = self._asyncpg
        try:
            return await self._fetch(make_query(self._quote))
        except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, OSError, UnicodeError) as error:
            raise ConnectionFailure(str(error)) from None
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError) as error:
            if self._connection.is_closed():
                raise ConnectionFailure(str(error)) from None
            raise QuestionFailure(f"{error} from host {self.host}") from None

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.terminate()

    async def _fetch(self, query: str) -> Rows:
        statement = await self._connection.prepare(query, name="")
        if await self._learn_types(statement):
            statement = await self._connection.prepare(query, name="")
        return [[_text(value) for value in row] for row in await statement.fetch()]

    async def _learn_types(self, statement: Any) -> bool:
        """Have the columns' types sent as text; True if one was new."""
        learnt = False
        for attribute in statement.get_attributes():
            kind = attribute.type
            name, schema = kind.name.removesuffix("[]"), kind.schema
            if kind.kind not in ("scalar", "array") or schema != "pg_catalog" or name in self._text_types:
                continue
            self._text_types.add(name)
            await self._connection.set_type_codec(name, schema=schema, encoder=str, decoder=str, format="text")
            learnt = True
        return learnt


def _text(value: object) -> str | None:
    """A value as the server writes it. libpq makes an empty string of NULL, which counts for as much."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "{" + ",".join(map(_element, value)) + "}"
    raise ValueError(f"a column of type {type(value).__name__}; cast it to text in the query")


def _element(value: object) -> str:
    """An element of an array as the server writes it (array_out)."""
    if value is None:
        return "NULL"
    text = _text(value) or ""
    if isinstance(value, list):
        return text
    if not text or text.upper() == "NULL" or any(character in '{},"\\ \t\r\n\v\f' for character in text):
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def _pool(env: TableEnvironment, shared: Shared, config: DatabaseConfig) -> ConnectionPool[PgsqlConnection]:
    """The connections that `config` asks for. Raises ConfigError."""
    encoding = config.text("encoding", "UTF8")
    if encoding.upper().replace("-", "") not in ("UTF8", "UNICODE"):
        raise ConfigError(f'"{encoding}" is not supported: keys are sent as UTF-8', parameter="encoding")
    hosts = tuple(split_list(config.text("hosts")) or ["localhost"])
    targets = {host: _target(host) for host in hosts}
    login = tuple(config.text(name) for name in ("user", "password", "dbname"))
    limits = pool_limits(config)

    def make() -> ConnectionPool[PgsqlConnection]:
        async def connect(host: str) -> PgsqlConnection:
            return await _connect(library("asyncpg", "pgsql"), host, targets[host], login, limits)

        pairs = [(host, str(target.get("host", "")).startswith("/")) for host, target in targets.items()]
        return ConnectionPool(env, "pgsql", pairs, connect, limits)

    return shared.get(("pgsql", hosts, login, limits), make)


def _target(host: str) -> dict[str, Any]:
    """asyncpg's arguments for one of `hosts`: a URI, `inet:name:port`, `unix:/folder`. Raises ConfigError."""
    if host.startswith(("postgresql:", "postgres:")):
        return {"dsn": host}
    for prefix in ("unix:", "inet:"):
        host = host.removeprefix(prefix)
    name, port = host_and_port(host)
    return {"host": name, "port": port} if port else {"host": name}


async def _connect(
    asyncpg: Any, host: str, target: dict[str, Any], login: tuple[str, ...], limits: PoolLimits
) -> PgsqlConnection:
    arguments = dict(target)
    if "dsn" not in arguments:
        names = ("user", "password", "database")
        arguments.update((name, value) for name, value in zip(names, login, strict=True) if value)
    try:
        connection = await asyncpg.connect(**arguments, timeout=limits.timeout, statement_cache_size=0)
    except TimeoutError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError) as error:
        raise ConnectionFailure(str(error)) from None
    return PgsqlConnection(asyncpg, connection, host)


def opener(env: TableEnvironment, shared: Shared, compile_domains: CompileDomains) -> Callable[[str], SqlTable]:
    """Opens tables by their names (`pgsql:/etc/x.cf`). They raise ConfigError, also if asyncpg is not installed."""

    def plan(config: DatabaseConfig) -> SqlPlan:
        pool = _pool(env, shared, config)

        async def ask(make_query: MakeQuery) -> Rows:
            return await pool.ask(lambda connection: connection.ask(make_query))

        return sql_plan(config, compile_domains, ask)

    def open_table(name: str) -> SqlTable:
        library("asyncpg", "pgsql")
        return SqlTable(env, name, KEYS, plan)

    return open_table
