"""A parameter's list of tables, searched in order (maps(3))."""

from collections.abc import Callable, Sequence

import msgspec

from gatepost.tables.index_files import IndexTable
from gatepost.tables.literal import InlineTable
from gatepost.tables.rule_table import RuleTable
from gatepost.tables.source import printable
from gatepost.tables.table import EmptyResult, LookupTemporaryFailure, Table
from gatepost.tables.text_tables import TextTable

_STEADY = (TextTable, RuleTable, IndexTable, InlineTable)


class Hit(msgspec.Struct, frozen=True, gc=False):
    """What was found: the value, the table (`type:name`) that had it, and the key it was found under."""

    value: str
    table: str
    key: str


class Maps:
    """The tables of one parameter. Empty maps are false.

    `steady`: all of them are files or stand in main.cf, so that an answer is the same until somebody edits it.
    """

    __slots__ = ("_fixed", "_warn", "parameter", "steady", "tables")

    def __init__(self, parameter: str, tables: Sequence[Table], warn: Callable[[str], None]) -> None:
        self.parameter = parameter
        self.tables = tuple(tables)
        self._fixed = tuple(table for table in self.tables if table.fixed)
        self.steady = all(isinstance(table, _STEADY) for table in self.tables)
        self._warn = warn

    def __bool__(self) -> bool:
        return bool(self.tables)

    async def find(self, key: str, *, full_key: bool = True) -> Hit | None:
        """The first hit. `full_key=False`: the key is a part of what is asked, which pattern tables must not see.
        Octets that are no UTF-8 stand in the key as surrogates, and so they do in the results of pattern tables.

        A table that cannot tell ends the search: LookupTemporaryFailure, after a warning in the log.
        """
        if not key:
            return None  # Postfix asks no table for the empty key
        for table in self.tables if full_key else self._fixed:
            try:
                value = await table.lookup(key)
            except LookupTemporaryFailure as failure:
                self._report(table, key, failure)
                raise
            except UnicodeEncodeError:
                continue  # the key is no UTF-8; as in Postfix it is in no table that wants text
            if value is not None:
                return Hit(value, table.name, key)
        return None

    async def find_partial(self, key: str) -> Hit | None:
        """As `find` for a partial key: only indexed ("fixed") tables are asked."""
        return await self.find(key, full_key=False) if self._fixed else None

    def _report(self, table: Table, key: str, failure: LookupTemporaryFailure) -> None:
        key = printable(key)
        if isinstance(failure, EmptyResult):
            self._warn(f"{self.parameter} lookup of {key} returns an empty string result")
            self._warn(f"{self.parameter} should return NO RESULT in case of NOT FOUND")
        else:
            self._warn(f'{table.name} lookup error for "{key}"')


class AliasMaps(Maps):
    """Those of local(8), which has words of its own for a table that cannot tell."""

    __slots__ = ()

    def _report(self, table: Table, key: str, failure: LookupTemporaryFailure) -> None:
        if isinstance(failure, EmptyResult):
            super()._report(table, key, failure)
        else:
            self._warn(f"{table.name}: lookup of '{printable(key)}' failed")
