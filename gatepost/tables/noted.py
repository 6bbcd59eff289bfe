"""Tables that take note of what was found in them: for explanations of what the mail system would do."""

import msgspec

from gatepost.tables.environment import TableEnvironment
from gatepost.tables.maps import Hit, Maps
from gatepost.tables.opening import Tables
from gatepost.tables.table import LookupTemporaryFailure


class Found(msgspec.Struct, frozen=True):
    """One entry that was found, or (`failure`) why a table could not tell."""

    parameter: str
    table: str
    key: str
    value: str
    failure: str = ""


class NotedMaps(Maps):
    """The tables of one parameter; what is found is added to `found`."""

    __slots__ = ("_found",)

    def __init__(self, maps: Maps, found: list[Found], tables: Tables) -> None:
        super().__init__(maps.parameter, maps.tables, tables.env.warn)
        self._found = found

    async def find(self, key: str, *, full_key: bool = True) -> Hit | None:
        try:
            hit = await super().find(key, full_key=full_key)
        except LookupTemporaryFailure as failure:
            self._found.append(Found(self.parameter, failure.table, key, "", failure.reason or "cannot tell"))
            raise
        if hit is not None:
            self._found.append(Found(self.parameter, hit.table, hit.key, hit.value))
        return hit


class NotedTables(Tables):
    """All tables of a process. `found`: what was found, in order; empty it before a question."""

    def __init__(self, env: TableEnvironment) -> None:
        super().__init__(env)
        self.found: list[Found] = []

    @classmethod
    def over(cls, tables: Tables) -> "NotedTables":
        """The tables that others use already, and those that are opened from now on."""
        noted = cls(tables.env)
        noted._open = tables._open
        return noted

    def maps(self, parameter: str, text: str, *, syntax: str = "postmap") -> Maps:
        return NotedMaps(super().maps(parameter, text, syntax=syntax), self.found, self)

    def place_of(self, found: Found) -> tuple[str, int] | None:
        """File and line of an entry; None where there is no line that could be told (indexes, databases)."""
        from gatepost.tables.entry_place import entry_place  # imports the kinds of tables

        return entry_place(self.open(found.table), found.key) if not found.failure else None
