"""`mysql:` tables: MySQL and MariaDB through asyncmy (mysql_table(5))."""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.tables.connection_pool import ConnectionFailure, ConnectionPool, QuestionFailure, Shared
from gatepost.tables.database_config import CompileDomains, DatabaseConfig
from gatepost.tables.database_library import library
from gatepost.tables.environment import TableEnvironment, error_text
from gatepost.tables.mysql_options import default_options, read_options
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

TLS_KEYS = ("tls_cert_file", "tls_key_file", "tls_CAfile", "tls_CApath", "tls_ciphers")
KEYS = SERVER_KEYS | {*TLS_KEYS, "tls_verify_cert", "option_file", "option_group", "require_result_set", "charset"}

# Where a server on this host listens, if neither table nor option file says so.
DEFAULT_SOCKET = "/run/mysqld/mysqld.sock"

# Seconds that a server has to take a farewell.
FAREWELL = 5.0

# Errors with which a server takes its leave: shutting down, killed, gone for too long. Those from 2000 on are the
# client's own: no connection, or a lost one.
_FAREWELLS = frozenset((1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 3169, 4031))


@dataclass(frozen=True)
class Login:
    """All that it takes to connect, but for the host. `tls`: cert, key, CA file, CA folder, ciphers."""

    user: str
    password: str
    database: str
    charset: str
    port: int
    socket: str
    tls: tuple[str, ...]
    verify: bool


class MysqlConnection:
    """One connection of asyncmy's."""

    __slots__ = ("_answering", "_connection", "_errors", "_leaving", "host")

    def __init__(self, asyncmy: Any, connection: Any, host: str) -> None:
        self._errors = asyncmy.errors
        self._connection = connection
        self._answering = False
        self._leaving: asyncio.Task[None] | None = None
        self.host = host

    async def ask(self, make_query: MakeQuery, require_result: bool) -> Rows:
        """The rows of the only result set. Raises ConnectionFailure, QuestionFailure."""
        self._answering = True
        try:
            sets = await self._fetch(make_query(self._connection.escape_string))
        except (OSError, EOFError) as error:
            raise ConnectionFailure(str(error)) from None
        except self._errors.MySQLError as error:
            number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
            if number >= 2000 or number in _FAREWELLS or not self._connection.connected:
                raise ConnectionFailure(_words(error)) from None
            self._answering = False
            raise QuestionFailure(f"{_words(error)} from host {self.host}") from None
        self._answering = False
        if len(sets) > 1:
            raise QuestionFailure("multiple result sets returning data are not supported")
        if not sets:
            if require_result:
                raise QuestionFailure("query returned no result set (require_result_set = yes)")
            return ()
        try:
            return [[None if value is None else value.decode() for value in row] for row in sets[0]]
        except UnicodeDecodeError as error:
            raise QuestionFailure(f"a result that is not UTF-8 from host {self.host}: {error}") from None

    def close(self) -> None:
        """Take leave, so that the server does not log an aborted connection, unless it owes an answer."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._answering = True
        if self._answering:
            with contextlib.suppress(Exception):
                self._connection.close()
        elif self._leaving is None:
            self._leaving = loop.create_task(self._leave())

    async def _leave(self) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(FAREWELL):
                await self._connection.ensure_closed()
        with contextlib.suppress(Exception):
            self._connection.close()

    async def _fetch(self, query: str) -> list[list[list[bytes | None]]]:
        """The rows of each result set. All of them are read: a stored procedure's status comes as the last."""
        sets = []
        async with self._connection.cursor() as cursor:
            await cursor.execute(query)
            while True:
                if cursor.description is not None:
                    sets.append(await cursor.fetchall())
                if not await cursor.nextset():
                    return sets


def _words(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def _pool(env: TableEnvironment, shared: Shared, config: DatabaseConfig) -> ConnectionPool[MysqlConnection]:
    """The connections that `config` asks for. Raises ConfigError."""
    options = _options(env, config)
    hosts = tuple(split_list(config.text("hosts")) or [options.get("host") or "localhost"])
    login = _login(config, options)
    targets = {host: _target(host, login) for host in hosts}
    context = _tls_context(login)
    limits = pool_limits(config)

    def make() -> ConnectionPool[MysqlConnection]:
        async def connect(host: str) -> MysqlConnection:
            return await _connect(library("asyncmy", "mysql"), host, targets[host], login, context)

        pairs = [(host, "unix_socket" in target) for host, target in targets.items()]
        return ConnectionPool(env, "mysql", pairs, connect, limits)

    return shared.get(("mysql", hosts, login, limits), make)


def _options(env: TableEnvironment, config: DatabaseConfig) -> dict[str, str]:
    path, group = config.text("option_file"), config.text("option_group", "client")
    if not path:
        return default_options(group, env.read_file) if group else {}
    try:
        return read_options(env.path(path), group, env.read_file)
    except OSError as error:
        raise ConfigError(f"open {path}: {error_text(error)}", parameter="option_file") from None


def _login(config: DatabaseConfig, options: dict[str, str]) -> Login:
    """What the table says, else the option file."""
    names = ("ssl-cert", "ssl-key", "ssl-ca", "ssl-capath", "ssl-cipher")
    port = options.get("port", "")
    return Login(
        user=config.text("user") or options.get("user", ""),
        password=config.text("password") or options.get("password", ""),
        database=config.text("dbname") or options.get("database", ""),
        charset=config.text("charset") or "utf8mb4",
        port=int(port) if port.isdigit() else 3306,
        socket=options.get("socket", ""),
        tls=tuple(config.text(key) or options.get(name, "") for key, name in zip(TLS_KEYS, names, strict=True)),
        verify=config.flag("tls_verify_cert", "ssl-verify-server-cert" in options),
    )


def _tls_context(login: Login) -> ssl.SSLContext | None:
    """None if no file or cipher is configured. Raises ConfigError."""
    certificate, key, ca_file, ca_path, ciphers = login.tls
    if not any(login.tls):
        return None
    try:
        context = ssl.create_default_context(cafile=ca_file or None, capath=ca_path or None)
        context.check_hostname = login.verify
        if not login.verify and not ca_file and not ca_path:
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(certificate, key or None)
        if ciphers:
            context.set_ciphers(ciphers)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"TLS: {error}", parameter="tls_cert_file" if certificate else "tls_CAfile") from None
    return context


def _target(host: str, login: Login) -> dict[str, Any]:
    """asyncmy's arguments for one of `hosts`. Raises ConfigError."""
    if host.startswith("unix:"):
        return {"unix_socket": host.removeprefix("unix:")}
    name, port = host_and_port(host.removeprefix("inet:"))
    if name == "localhost":
        # MySQL's client library takes this name for the socket, whatever the port.
        return {"unix_socket": login.socket or DEFAULT_SOCKET}
    return {"host": name, "port": port or login.port}


async def _connect(
    asyncmy: Any, host: str, target: dict[str, Any], login: Login, context: ssl.SSLContext | None
) -> MysqlConnection:
    try:
        connection = await asyncmy.connect(
            **target,
            user=login.user or None,
            password=login.password,
            database=login.database or None,
            charset=login.charset,
            autocommit=None,
            conv={},
            use_unicode=False,
            ssl=context if "host" in target else None,
            local_infile=False,
        )
    except (asyncmy.errors.MySQLError, OSError, EOFError, ValueError, LookupError) as error:
        raise ConnectionFailure(_words(error)) from None
    return MysqlConnection(asyncmy, connection, host)


def opener(env: TableEnvironment, shared: Shared, compile_domains: CompileDomains) -> Callable[[str], SqlTable]:
    """Opens tables by their names (`mysql:/etc/x.cf`). They raise ConfigError, also if asyncmy is not installed."""

    def plan(config: DatabaseConfig) -> SqlPlan:
        pool = _pool(env, shared, config)
        require_result = config.flag("require_result_set", True)

        async def ask(make_query: MakeQuery) -> Rows:
            return await pool.ask(lambda connection: connection.ask(make_query, require_result))

        return sql_plan(config, compile_domains, ask)

    def open_table(name: str) -> SqlTable:
        library("asyncmy", "mysql")
        return SqlTable(env, name, KEYS, plan)

    return open_table
