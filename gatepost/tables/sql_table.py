"""What the tables of SQL databases share: the query, the domains asked for, the results (mysql_table(5) and kin)."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from gatepost.config.errors import ConfigError
from gatepost.tables.asking import in_own_task
from gatepost.tables.connection_pool import NoAnswer, PoolLimits
from gatepost.tables.database_config import (
    NEEDED,
    OWN_KEYS,
    CompileDomains,
    ConfiguredTable,
    DatabaseConfig,
    DomainList,
    in_domains,
)
from gatepost.tables.query_template import QueryForm, Quote, ResultCollector, ResultTooLong
from gatepost.tables.table import LookupTemporaryFailure

# The rows of an answer, NULL as None.
Rows = Iterable[Iterable[str | None]]

# Makes a query of a way to quote: how text is quoted may depend on the connection.
MakeQuery = Callable[[Quote], str]

QUERY_KEYS = frozenset(
    [
        "query",
        "result_format",
        "domain",
        "expansion_limit",
        "table",
        "select_field",
        "where_field",
        "additional_conditions",
    ]
)
SERVER_KEYS = QUERY_KEYS | OWN_KEYS | {"hosts", "user", "password", "dbname", "idle_interval", "retry_interval"}


class SqlPlan:
    """What one configuration of a table comes to."""

    __slots__ = ("ask", "domains", "form", "limit")

    def __init__(
        self,
        form: QueryForm,
        limit: int,
        domains: DomainList | None,
        ask: Callable[[MakeQuery], Coroutine[Any, Any, Rows]],
    ) -> None:
        """`ask` runs a query; it raises NoAnswer."""
        self.form = form
        self.limit = limit
        self.domains = domains
        self.ask = ask


def query_text(config: DatabaseConfig) -> str:
    """The query template; made of the parts that Postfix before 2.2 had, if they stand in place of it.

    Raises ConfigError.
    """
    if query := config.text("query"):
        return query
    if config.has("select_function"):
        return f"SELECT {config.needed('select_function')}('%s')"
    if not any(config.has(name) for name in ("table", "select_field", "where_field")):
        raise ConfigError(NEEDED, parameter="query")
    field, table, where = (config.needed(name) for name in ("select_field", "table", "where_field"))
    return f"SELECT {field} FROM {table} WHERE {where} = '%s' {config.text('additional_conditions')}"


def host_and_port(text: str) -> tuple[str, int]:
    """`name`, `name:port`, `[address]:port`; port 0 if there is none. Raises ConfigError."""
    if text.startswith("["):
        name, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    else:
        name, colon, port = text.rpartition(":")
        if not colon:
            name, port = text, ""
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ConfigError(f"bad port in {text}", parameter="hosts")
    return name, int(port or 0)


def pool_limits(config: DatabaseConfig) -> PoolLimits:
    """Limits of the connections to a server. Raises ConfigError."""
    return PoolLimits(
        connections=config.number("gatepost_connections", 5, 1),
        timeout=config.number("gatepost_timeout", 10, 1),
        retry_interval=config.number("retry_interval", 60, 1),
        idle_interval=config.number("idle_interval", 60, 1),
    )


def sql_plan(
    config: DatabaseConfig, compile_domains: CompileDomains, ask: Callable[[MakeQuery], Coroutine[Any, Any, Rows]]
) -> SqlPlan:
    """The plan that `config` makes. Raises ConfigError."""
    return SqlPlan(
        config.form([query_text(config)], config.text("result_format", "%s")),
        config.number("expansion_limit", 0),
        config.domains(compile_domains),
        ask,
    )


class SqlTable(ConfiguredTable[SqlPlan]):
    """One table of a SQL database."""

    async def lookup(self, key: str) -> str | None:
        plan = self.current(key)
        key = self._env.fold(key)
        if not await in_domains(plan.domains, key):
            return None
        # No key of a mail system holds a NUL; where query texts end with one it could cut them short.
        if not key or "\0" in key or not plan.form.suits(key):
            return None
        try:
            rows = await in_own_task(plan.ask(lambda quote: plan.form.query(0, key, quote) or ""))
        except NoAnswer as failure:
            raise LookupTemporaryFailure(self.name, key, str(failure)) from None
        results = ResultCollector(plan.form, key, plan.limit, self._env.warn)
        try:
            for row in rows:
                for value in row:
                    results.add(value)
        except ResultTooLong as error:
            self._env.warn(f"{self.name}: {error}")
            raise LookupTemporaryFailure(self.name, key, str(error)) from None
        return results.text()
