"""`ldap:` tables: a directory asked through OpenLDAP's library (ldap_table(5))."""

from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.config.values import split_list
from gatepost.tables.asking import in_own_task
from gatepost.tables.connection_pool import ConnectionPool, NoAnswer, PoolLimits, Shared
from gatepost.tables.database_config import NEEDED, CompileDomains, ConfiguredTable, DatabaseConfig, in_domains
from gatepost.tables.database_library import library
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.ldap_connection import LdapConnection, LdapLogin
from gatepost.tables.ldap_search import (
    SCOPES,
    Attributes,
    Expansion,
    Request,
    Search,
    SearchFailure,
    is_url,
    quote_dn,
    quote_filter,
)
from gatepost.tables.query_template import ResultCollector, ResultTooLong
from gatepost.tables.table import LookupTemporaryFailure

# No longer of effect in Postfix either.
_IGNORED = frozenset(("cache", "cache_expiry", "cache_size", "tls_random_file"))

KEYS = (
    frozenset(LdapLogin._fields)
    | _IGNORED
    | frozenset(("server_host", "server_port", "search_base", "query_filter", "result_format", "result_filter"))
    | frozenset(("domain", "result_attribute", "special_result_attribute", "terminal_result_attribute"))
    | frozenset(("leaf_result_attribute", "scope", "recursion_limit", "expansion_limit", "size_limit"))
    | frozenset(("gatepost_connections",))
)

_BINDS = {"yes": "simple", "simple": "simple", "no": "none", "none": "none", "sasl": "sasl"}


_LOGIN_TEXTS = [name for name, kind in LdapLogin.__annotations__.items() if kind is str and name != "bind"]


def _pool(env: TableEnvironment, shared: Shared, config: DatabaseConfig) -> ConnectionPool[LdapConnection]:
    """The connections that `config` asks for. Raises ConfigError."""
    login = _login(config)
    urls = _urls(config)
    # To connect, to bind and to search: each may take its time.
    limits = PoolLimits(connections=config.number("gatepost_connections", 5, 1), timeout=3 * login.timeout)

    def make() -> ConnectionPool[LdapConnection]:
        async def connect(url: str) -> LdapConnection:
            return await LdapConnection(library("ldap", "ldap"), url, login).open()

        return ConnectionPool(env, "ldap", [(url, False) for url in urls], connect, limits, in_order=True)

    return shared.get(("ldap", urls, login, limits), make)


def _urls(config: DatabaseConfig) -> tuple[str, ...]:
    port = config.number("server_port", 389, 1, 65535)
    servers = split_list(config.text("server_host")) or ["localhost"]
    urls = []
    for server in servers:
        if is_url(server):
            urls.append(server)
        else:
            has_port = ":" in server.rpartition("]")[2]
            urls.append(f"ldap://{server}" if has_port else f"ldap://{server}:{port}")
    return tuple(urls)


def _login(config: DatabaseConfig) -> LdapLogin:
    bind = _BINDS[config.choice("bind", "yes", _BINDS)]
    version = config.number("version", 3, 2, 3)
    start_tls = config.flag("start_tls", False)
    if version < 3 and (start_tls or bind == "sasl"):
        raise ConfigError("start_tls and bind = sasl need version 3", parameter="version")
    return LdapLogin(
        timeout=config.number("timeout", 10, 1),
        version=version,
        bind=bind,
        sasl_minssf=config.number("sasl_minssf", 0),
        start_tls=start_tls,
        tls_require_cert=config.flag("tls_require_cert", False),
        dereference=config.number("dereference", 0, 0, 3),
        chase_referrals=config.text("chase_referrals", "0").lower() in ("1", "yes"),
        debuglevel=config.number("debuglevel", 0),
        **{name: config.text(name) for name in _LOGIN_TEXTS},
    )


class LdapPlan:
    """What one configuration of a table comes to. Raises ConfigError."""

    def __init__(
        self, config: DatabaseConfig, pool: ConnectionPool[LdapConnection], compile_domains: CompileDomains
    ) -> None:
        if not config.has("search_base"):
            raise ConfigError(NEEDED, parameter="search_base")
        self.base = config.text("search_base")
        filter_text = config.text("query_filter", "(mailacceptinggeneralid=%s)")
        result_format = config.text("result_format", config.text("result_filter", "%s"))
        self.form = config.form([self.base, filter_text], result_format)
        self.scope = SCOPES[config.choice("scope", "sub", SCOPES)]
        self.attributes = Attributes(
            terminal=_names(config.text("terminal_result_attribute")),
            leaf=_names(config.text("leaf_result_attribute")),
            ordinary=_names(config.text("result_attribute", "maildrop")),
            special=_names(config.text("special_result_attribute")),
        )
        self.expansion_limit = config.number("expansion_limit", 0)
        self.size_limit = config.number("size_limit", self.expansion_limit)
        self.recursion_limit = config.number("recursion_limit", 1000, 1)
        self.domains = config.domains(compile_domains)
        self.pool = pool

    def request(self, key: str) -> Request | None:
        """The search for `key`; None if it lacks a part that is needed."""
        base = self.base if self.form.is_fixed(0) else self.form.query(0, key, quote_dn)
        filter_text = self.form.query(1, key, quote_filter)
        if base is None or filter_text is None:
            return None
        return Request(base, self.scope, filter_text, self.attributes.all)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.lower() for name in split_list(text))


class LdapTable(ConfiguredTable[LdapPlan]):
    """One LDAP table."""

    async def lookup(self, key: str) -> str | None:
        plan = self.current(key)
        key = self._env.fold(key)
        if not await in_domains(plan.domains, key):
            return None
        request = plan.request(key) if key and "\0" not in key else None
        if request is None:
            return None
        try:
            result, fault = await in_own_task(
                plan.pool.ask(lambda connection: self._ask(connection, plan, request, key))
            )
        except NoAnswer as failure:
            raise LookupTemporaryFailure(self.name, key, str(failure)) from None
        if fault:
            self._env.warn(f"{self.name}: {fault}")
            raise LookupTemporaryFailure(self.name, key, fault)
        return result

    async def _ask(
        self, connection: LdapConnection, plan: LdapPlan, request: Request, key: str
    ) -> tuple[str | None, str]:
        """The result, and what is wrong with it (empty: nothing)."""
        # The thread's warnings: the log takes none from it, so that they wait until it has finished.
        warnings: list[str] = []
        fault = ""
        collector = ResultCollector(plan.form, key, plan.expansion_limit, warnings.append)

        def carry_out(search: Search) -> None:
            nonlocal fault
            expansion = Expansion(
                search,
                plan.attributes,
                collector,
                size_limit=plan.size_limit,
                recursion_limit=plan.recursion_limit,
            )
            try:
                expansion.run(request, base_needed=plan.form.is_fixed(0))
            except (SearchFailure, ResultTooLong) as error:
                fault = str(error)  # the connection is as good as before

        try:
            await connection.ask(carry_out, plan.size_limit)
        finally:
            for warning in warnings:
                self._env.warn(warning)
        return collector.text(), fault


def opener(env: TableEnvironment, shared: Shared, compile_domains: CompileDomains) -> Callable[[str], LdapTable]:
    """Opens tables by their names (`ldap:/etc/x.cf`). They raise ConfigError, also if python-ldap is not installed."""

    def plan(config: DatabaseConfig) -> LdapPlan:
        return LdapPlan(config, _pool(env, shared, config), compile_domains)

    def open_table(name: str) -> LdapTable:
        library("ldap", "ldap")
        return LdapTable(env, name, KEYS, plan)

    return open_table
