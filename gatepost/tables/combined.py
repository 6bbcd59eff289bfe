"""Tables made of tables: pipemap, unionmap; and randmap, which draws lots (DATABASE_README)."""

from collections.abc import Callable

from gatepost.config.errors import ConfigError
from gatepost.tables.braces import is_braced, split_items
from gatepost.tables.environment import TableEnvironment
from gatepost.tables.table import EmptyResult, Table


def _items(kind: str, spec: str, text: str, what: str) -> list[str]:
    items = split_items(text[1:-1]) if is_braced(text) else []
    if not items:
        raise ConfigError(f'bad syntax: "{spec}"; need "{kind}:{{{what}...}}"')
    return items


class PipeTable:
    """`pipemap:{type:name, ...}`: the result of each table is the key for the next; all must find something."""

    __slots__ = ("fixed", "name", "tables")

    def __init__(self, name: str, text: str, open_table: Callable[[str], Table]) -> None:
        self.name = name
        self.tables = [open_table(spec) for spec in _items("pipemap", name, text, "type:name")]
        self.fixed = self.tables[0].fixed

    async def lookup(self, key: str) -> str | None:
        value: str | None = key
        last = self.tables[-1]
        for table in self.tables:
            assert value is not None
            try:
                value = await table.lookup(value)
            except EmptyResult:
                if table is last:
                    raise
                value = ""  # a key like any other
            if value is None:
                return None
        return value


class UnionTable:
    """`unionmap:{type:name, ...}`: the results of all tables that have one, joined with commas."""

    __slots__ = ("fixed", "name", "tables")

    def __init__(self, name: str, text: str, open_table: Callable[[str], Table]) -> None:
        self.name = name
        self.tables = [open_table(spec) for spec in _items("unionmap", name, text, "type:name")]
        self.fixed = any(table.fixed for table in self.tables)

    async def lookup(self, key: str) -> str | None:
        found = [value for table in self.tables if (value := await table.lookup(key)) is not None]
        return ",".join(found) if found else None


class RandomTable:
    """`randmap:{value, ...}`: one of the values, whatever the key."""

    __slots__ = ("_choose", "fixed", "name", "values")

    def __init__(self, env: TableEnvironment, name: str, text: str) -> None:
        self.name = name
        self.fixed = False
        self.values = _items("randmap", name, text, "value")
        self._choose = env.choose

    async def lookup(self, key: str) -> str | None:
        return self._choose(self.values)
