"""From `type:name` to an open table. Tables of the same name are one table."""

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Self

from gatepost.config.errors import ConfigError
from gatepost.tables.braces import split_items
from gatepost.tables.cidr import CidrTable
from gatepost.tables.combined import PipeTable, RandomTable, UnionTable
from gatepost.tables.connection_pool import Shared
from gatepost.tables.database_tables import database_openers
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.index_files import IndexTable
from gatepost.tables.literal import EnvironTable, FailTable, InlineTable, StaticTable
from gatepost.tables.maps import AliasMaps, Maps
from gatepost.tables.pattern_rules import Fallback
from gatepost.tables.pattern_tables import PatternTable
from gatepost.tables.source import Problem
from gatepost.tables.system_tables import UnixTable
from gatepost.tables.table import Table
from gatepost.tables.text_tables import INDEX_SUFFIXES, TextTable

# Full spec, text after `type:`, syntax of an indexed source.
Opener = Callable[[str, str, str], Table]


class Tables:
    """All tables of one process, by the name they have in main.cf."""

    def __init__(self, env: TableEnvironment) -> None:
        self.env = env
        self._open: dict[str, Table] = {}
        self._shared = Shared()
        self._openers = self._all_openers(env)

    def logged_by(self, warn: Callable[[str], None], error: Callable[[str], None] | None = None) -> Self:
        """The same tables, for a program with warnings and errors (TableEnvironment) of its own. A table that two
        programs have tells the one that had it first what is wrong with it; each tells itself which of its lookups
        fail.
        """
        other = copy(self)
        other.env = replace(self.env, warn=warn, error=error)
        other._openers = other._all_openers(other.env)
        return other

    def _all_openers(self, env: TableEnvironment) -> dict[str, Opener]:
        openers: dict[str, Opener] = {
            "texthash": lambda spec, name, syntax: TextTable(
                env, spec, name, syntax if syntax == "passwords" else "postmap"
            ),
            "inline": lambda spec, name, syntax: InlineTable(env, spec, name),
            "static": lambda spec, name, syntax: StaticTable(spec, name),
            "environ": lambda spec, name, syntax: EnvironTable(env, spec),
            "fail": lambda spec, name, syntax: FailTable(env, spec),
            "cidr": lambda spec, name, syntax: CidrTable(env, spec, name),
            "regexp": lambda spec, name, syntax: PatternTable(env, "regexp", spec, name),
            "pcre": lambda spec, name, syntax: PatternTable(env, "pcre", spec, name),
            "unix": lambda spec, name, syntax: UnixTable(env, spec, name),
            "pipemap": lambda spec, name, syntax: PipeTable(spec, name, self.open),
            "unionmap": lambda spec, name, syntax: UnionTable(spec, name, self.open),
            "randmap": lambda spec, name, syntax: RandomTable(env, spec, name),
            "proxy": lambda spec, name, syntax: self.open(name, syntax=syntax),
        }
        for kind in INDEX_SUFFIXES:
            openers[kind] = self._indexed
        for kind, open_named in database_openers(self, self._shared).items():
            openers[kind] = lambda spec, name, syntax, opener=open_named: opener(spec)  # type: ignore[misc]
        for kind, opener in env.openers.items():
            openers[kind] = lambda spec, name, syntax, opener=opener: opener(spec, name)  # type: ignore[misc]
        return openers

    def _indexed(self, spec: str, name: str, syntax: str) -> Table:
        """From the source text; from the index where only that is there, and we can read it."""
        if IndexTable.serves(self.env, spec.partition(":")[0], name):
            return IndexTable(self.env, spec, name)
        return TextTable(self.env, spec, name, syntax)

    @property
    def types(self) -> list[str]:
        """The table types that can be opened, as `postconf -m` lists them."""
        return sorted(self._openers)

    def problems(self) -> list[Problem]:
        """What is wrong with the tables opened so far: for `gatepost check`, and to refuse a reload."""
        return [problem for table in self._open.values() for problem in getattr(table, "problems", ())]

    def fallbacks(self) -> list[Fallback]:
        """Patterns in the tables opened so far that need an engine which a chosen text may keep busy for long."""
        return [fallback for table in self._open.values() for fallback in getattr(table, "fallbacks", ())]

    def close(self) -> None:
        """Close the connections and files that are idle. The tables can be used on; what they need is opened again."""
        self._shared.close()
        for table in self._open.values():
            if isinstance(table, IndexTable):
                table.close()

    def open(self, spec: str, *, syntax: str = "postmap") -> Table:
        """The table that `spec` names. Raises ConfigError for an unknown type or text that no type can read.

        `syntax` is that of an indexed table's source: `postmap` or `aliases`, or `passwords`, as `postmap`, but no line
        of it gets into the log; tables in env.alias_tables are alias
        files anyway. A file that cannot be read now is no error here: each lookup fails until it can.
        """
        if spec in self.env.alias_tables or spec.removeprefix("proxy:") in self.env.alias_tables:
            syntax = "aliases"
        cached = self._open.get(f"{syntax} {spec}")
        if cached is not None:
            return cached
        kind, colon, name = spec.partition(":")
        if not colon or not name or not kind:
            raise ConfigError(f'open dictionary: expecting "type:name" form instead of "{spec}"')
        opener = self._openers.get(kind)
        if opener is None:
            raise ConfigError(f"unsupported dictionary type: {kind}")
        table = self._open[f"{syntax} {spec}"] = opener(spec, name, syntax)
        return table

    def maps(self, parameter: str, text: str, *, syntax: str = "postmap") -> Maps:
        """The tables that the value of a parameter lists. Raises ConfigError with the parameter's name."""
        tables: list[Table] = []
        for spec in split_items(text):
            try:
                tables.append(self.open(spec, syntax=syntax))
            except ConfigError as error:
                raise ConfigError(error.message, parameter=parameter) from None
        return (AliasMaps if syntax == "aliases" else Maps)(parameter, tables, self.env.warn)
