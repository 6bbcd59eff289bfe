"""The tables that live elsewhere: in databases, directories, behind sockets. By type, how each is opened."""

from collections.abc import Callable

from gatepost.tables import ldap, memcache, mysql, network_tables, pgsql, sqlite
from gatepost.tables.connection_pool import Shared
from gatepost.tables.environment import TableSource
from gatepost.tables.match_list import MatchList
from gatepost.tables.table import Table

SERVER_TYPES = ("ldap", "mysql", "pgsql", "memcache", "tcp", "socketmap")
"""Types of tables for which a server is asked: the others know by themselves."""


def database_openers(source: TableSource, shared: Shared) -> dict[str, Callable[[str], Table]]:
    """For each type what opens a table by its whole name (`pgsql:/etc/x.cf`); it raises ConfigError.

    `source` opens the tables that these tables name in turn. `shared` keeps their connections.
    """
    env = source.env

    def compile_domains(table: str, text: str) -> MatchList:
        return MatchList.compile(table, text, source, match_parent=False)

    network = network_tables.opener(env, shared)
    return {
        "pgsql": pgsql.opener(env, shared, compile_domains),
        "mysql": mysql.opener(env, shared, compile_domains),
        "sqlite": sqlite.opener(env, shared, compile_domains),
        "ldap": ldap.opener(env, shared, compile_domains),
        "memcache": memcache.opener(env, shared, compile_domains, source.open),
        "tcp": network,
        "socketmap": network,
    }
